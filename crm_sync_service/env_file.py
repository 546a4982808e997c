"""Settings written into a .env file: what stands there otherwise stays, and only its owner can read it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,~-]*")


def write_env(path: Path, values: Mapping[str, str | None]) -> None:
    """Set these in the file, and take out those that are None. Raises OSError."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    left = dict(values)
    kept = []
    for line in lines:
        found = _LINE.match(line)
        if found is None or found[1] not in values:
            kept.append(line)
        elif (value := left.pop(found[1], None)) is not None:
            kept.append(f"{found[1]}={_quoted(value)}")
    kept += [f"{name}={_quoted(value)}" for name, value in left.items() if value is not None]
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text("\n".join(kept) + "\n", encoding="utf-8")
    fresh.replace(path)


def _quoted(value: str) -> str:
    """As shells, systemd and Docker Compose read it."""
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'
