"""What a file is by its content, and which kinds are taken. An allow-list: what is not named is refused (S18)."""

import puremagic

from portal_service.files.errors import FileRefused
from portal_service.messages import message

HEAD_BYTES = 64 * 1024
"""How much of a file's beginning is looked at."""

NOT_ALLOWED = message(
    "%(name)s is of a kind that is not accepted. Pictures, PDF, screen recordings, office documents, text files and "
    "zip archives are fine; put anything else into a zip archive."
)
MISMATCH = message("%(name)s is not what its name says. Please check the file, or put it into a zip archive.")

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."

TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "heic": "image/heic",
    "pdf": "application/pdf",
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "avi": "video/x-msvideo",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "txt": "text/plain",
    "log": "text/plain",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "md": "text/plain",
    "json": "application/json",
    "xml": "text/xml",
    "yaml": "text/plain",
    "yml": "text/plain",
    "ini": "text/plain",
    "cfg": "text/plain",
    "conf": "text/plain",
    "eml": "message/rfc822",
    "rtf": "application/rtf",
    "zip": "application/zip",
    "gz": "application/gzip",
    "7z": "application/x-7z-compressed",
    "docx": f"{_OFFICE}wordprocessingml.document",
    "xlsx": f"{_OFFICE}spreadsheetml.sheet",
    "pptx": f"{_OFFICE}presentationml.presentation",
    "odt": f"{_OPEN}text",
    "ods": f"{_OPEN}spreadsheet",
    "odp": f"{_OPEN}presentation",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "msg": "application/vnd.ms-outlook",
}
"""Served content type by the ending of the name."""

INLINE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain"})
"""What a browser may show; everything else is only ever downloaded."""

_ZIP_BASED = {"zip", "docx", "xlsx", "pptx", "odt", "ods", "odp"}
_OLE_BASED = {"doc", "xls", "ppt", "msg"}
_TEXT = {"txt", "log", "csv", "tsv", "md", "json", "xml", "yaml", "yml", "ini", "cfg", "conf", "eml"}
_ISO_MEDIA = {"mp4", "m4v", "mov", "m4a", "heic"}
_PICTURES = {"png", "jpg", "gif", "webp", "bmp", "tif"}
_EQUAL = {"jpeg": "jpg", "tiff": "tif", "mkv": "webm", "mpga": "mp3"}


def content_type(name: str, head: bytes) -> str:
    """The type of a file whose content fits its name. Raises FileRefused for any other.

    A picture under the ending of another kind of picture is what its content is: phones name them so.
    """
    ending = ending_of(name)
    if _fits(ending, head):
        return TYPES[ending]
    pictures = _endings(head) & _PICTURES if _EQUAL.get(ending, ending) in _PICTURES else set()
    if not pictures:
        raise FileRefused(MISMATCH, name=name)
    return TYPES[min(pictures)]


def ending_of(name: str) -> str:
    """The ending of a name, in lower case. Raises FileRefused for one that is not on the list."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    if ending not in TYPES:
        raise FileRefused(NOT_ALLOWED, name=name)
    return ending


def _fits(ending: str, head: bytes) -> bool:
    if ending in _TEXT:
        return _is_text(head)
    if ending in _ZIP_BASED:
        return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))
    if ending in _OLE_BASED:
        return head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    if ending in _ISO_MEDIA:
        return head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free"}
    return _EQUAL.get(ending, ending) in _endings(head)


def _endings(head: bytes) -> set[str]:
    """Every ending that files with such a beginning have."""
    try:
        found = puremagic.magic_string(head)
    except puremagic.PureError:
        return set()
    names = {match.extension.lstrip(".").lower() for match in found}
    return {_EQUAL.get(name, name) for name in names}


def _is_text(head: bytes) -> bool:
    # Programs and pictures have bytes that no text has; UTF-16, as Windows writes logs, has many zeros.
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return b"\x00" not in head and not head.startswith((b"MZ", b"\x7fELF", b"#!"))
