"""What a browser calls itself, in words people know."""

import re

_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
)
_SYSTEMS = (("Android", "Android"), ("iPhone", "iOS"), ("iPad", "iPadOS"), ("Windows", "Windows"), ("Mac OS", "macOS"),
            ("Linux", "Linux"))  # fmt: skip


def browser_name(agent: str) -> str:
    """Browser and system, such as "Firefox 145, Windows"; empty when neither is known."""
    name = next((f"{name} {_version(agent, mark)}" for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return ", ".join(part for part in (name, system) if part)


def _version(agent: str, mark: str) -> str:
    found = re.search(re.escape(mark) + r"(\d+)", agent)
    return found[1] if found else ""
