"""Why something of an export was not imported."""


class BadRow(Exception):  # noqa: N818 (reads as what it says: the row is bad)
    """One row cannot become a ticket. The text says why and what to do; `kind` groups such rows in the summary."""

    def __init__(self, reason: str, *, kind: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind or reason


class CannotImport(Exception):  # noqa: N818 (reads as what it says)
    """Nothing of the file can be imported as asked; the text says what to do."""
