"""Why a file was not taken."""


class FileRefused(Exception):  # noqa: N818 (reads as what it says: the file is refused)
    """The file was not stored; `message_key` with `args` tells the sender what to do."""

    def __init__(self, message_key: str, **args: str) -> None:
        super().__init__(message_key % args if args else message_key)
        self.message_key = message_key
        self.message_args = args


class LinkRefused(Exception):  # noqa: N818 (reads as what it says: the link is refused)
    """A link to an attachment that was tampered with, revoked or never ours."""
