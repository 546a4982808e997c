"""What people did, written down by themselves: only what is in here was promised to them."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["ticket", "entry", "edit", "note"]


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One change by one person."""

    side: Literal["portal", "crm"]
    kind: Kind
    ticket: str
    """The ticket's number, as both sides show it; empty for one whose number was never told."""
    acknowledged: bool
    """False: the connection broke before an answer came, so it may or may not have happened."""
    token: str = ""
    """Words that are in this one text and in no other."""
    field: str = ""
    value: str | None = None
    """As people read it: the name of a record, the key of a status or priority."""
    events: int = 1


class Diary:
    """Appends deeds to a file, each with one write, so that a reader sees whole lines."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def note(self, deed: Deed) -> None:
        self._file.write(f"{json.dumps(asdict(deed), ensure_ascii=False)}\n")

    def close(self) -> None:
        self._file.close()


def read(*paths: Path) -> Iterator[Deed]:
    """All deeds of some diaries, each diary in its order."""
    for path in paths:
        if path.exists():
            yield from (Deed(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())


def new_token() -> str:
    return f"words-{uuid.uuid4().hex[:16]}"
