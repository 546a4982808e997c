"""Where to go after a form."""

from urllib.parse import urlsplit


def local_target(wanted: str | None, otherwise: str) -> str:
    """`wanted` if it is a path of this portal, never another site's; else `otherwise`."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")) or "\\" in wanted:
        return otherwise
    try:
        return otherwise if urlsplit(wanted).netloc else wanted
    except ValueError:
        return otherwise
