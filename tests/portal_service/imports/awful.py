"""Makes an export as nobody wants to get it: what real ones have, at once, and what should become of each row."""

import csv
import io
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

HEADER = (
    "Ticket ID", "Subject", "Description", "Status", "Priority", "Type", "Product", "Company Name", "Full name",
    "Email", "Agent", "Created time", "Last update time", "Tags", "Conversations", "Group",
)  # fmt: skip
_WORDS = (
    "printer", "Drucker", "imprimante", "プリンター", "打印机", "طابعة", "מדפסת", "принтер", "crash 💥", "naïve",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467", "zero\u200bwidth", "a\u0301ccent", "İstanbul", "ﬁ ligature",
    "\u200fشاشة\u202e turned\u202c", "100 %", "O'Neill", "Łódź",
)  # fmt: skip
_HTML = (
    "<div>Hi <b>all</b>,<br>see <a href='https://acme.example/x?a=1&amp;b=2'>the log</a></div><ul><li>one<li>two</ul>",
    "<html><head><style>p{color:red}</style></head><body><p>Broken &amp; unclosed <p>tags<table><tr><td>1<td>2</table>",
    "<p>bad</p><script>alert('x')</script><img src='https://acme.example/s.png' alt='screen'>",
)
_STATUSES = ("Closed", "closed", "Resolved", "CLOSED", "Closed", "Open", "Pending", "Waiting on Customer")
_START = datetime(2021, 3, 1, 8, tzinfo=UTC)


@dataclass
class Expected:
    """What an import of the file has to end with."""

    good: dict[str, str] = field(default_factory=dict)
    """Status by id."""
    bad_lines: set[int] = field(default_factory=set)
    """Where bad rows begin."""
    repeated: int = 0
    comments: int = 0


class AwfulFile:
    """Rows go in, text and expectations come out; lines are counted as an editor counts them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.parts: list[bytes] = []
        self.expected = Expected()
        self.line = 1
        self.add_raw(_csv(HEADER))

    def add_raw(self, content: bytes, *, bad: bool = False) -> None:
        if bad:
            self.expected.bad_lines.add(self.line)
        self.parts.append(content)
        self.line += content.count(b"\n")

    def add_good(self, id_: int) -> None:
        cells = self.cells(id_)
        self.expected.good[str(id_)] = cells[3]
        self.expected.comments += len(json.loads(cells[14])) if cells[14] else 0
        self.add_raw(_csv(cells))

    def cells(self, id_: int) -> list[str]:
        rng = self.rng
        created = _START + timedelta(minutes=rng.randrange(2_000_000))
        person = rng.randrange(900)
        return [
            str(id_),
            " ".join(rng.choices(_WORDS, k=rng.randint(1, 9))),
            self._description(),
            rng.choice(_STATUSES),
            rng.choice(("Low", "Medium", "High", "Urgent", "")),
            rng.choice(("Question", "Incident", "level-2", "")),
            rng.choice(("Portal Server", "Sync Engine", "Gone Product", "")),
            rng.choice(("Acme Instruments", "GLOBEX GmbH & Söhne", "initech  nederland b.v.", "")),
            f"Person {person} 李",
            f"Person{person}@Customer.Example"
            if rng.random() < 0.9
            else rng.choice(("CAROL@acme.example", "dave@globex.example")),
            rng.choice(("sam@support.example", "Nora Bakker", "gone@old.example", "", "")),
            self._date(created),
            self._date(created + timedelta(hours=rng.randrange(1, 500))),
            rng.choice(("", "vip,urgent", "a b c")),
            self._conversation(created),
            "Support",
        ]

    def _description(self) -> str:
        rng = self.rng
        words = " ".join(rng.choices(_WORDS, k=rng.randint(3, 60)))
        kind = rng.random()
        if kind < 0.3:
            return rng.choice(_HTML) + words
        if kind < 0.6:
            return f'{words}\r\n\r\nHe said "it\'s 5"" wide",\n\tline, three;\r{words}'
        return words + ("\0" if kind > 0.97 else "")

    def _date(self, moment: datetime) -> str:
        form = self.rng.choice(("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d %b %Y %H:%M", "%Y-%m-%d %H:%M:%S +0000"))
        return moment.strftime(form)

    def _conversation(self, created: datetime) -> str:
        if self.rng.random() < 0.6:
            return ""
        items = [
            {
                "body": f"<p>Comment {number} <b>{self.rng.choice(_WORDS)}</b></p>",
                "private": number % 3 == 0,
                "from_email": self.rng.choice(("sam@support.example", "someone@customer.example")),
                "created_at": (created + timedelta(hours=number)).isoformat(),
            }
            for number in range(1, self.rng.randint(2, 5))
        ]
        return json.dumps(items, ensure_ascii=False)


def make(path: Path, *, rows: int = 10_000, seed: int = 1) -> Expected:
    """Write the file and say what an import of it has to end with.

    Needs the demo data and two contacts who share twins@acme.example.
    """
    file = AwfulFile(seed)
    for id_ in range(1, rows + 1):
        breaking = _BREAKAGES.get(id_ % 250)
        if breaking is None:
            file.add_good(id_)
        else:
            breaking(file, id_)
    content = b"".join(file.parts)
    path.write_bytes(content)
    return file.expected


def _csv(cells: Iterator[str] | list[str] | tuple[str, ...]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue().encode()


def _changed(**changes: str) -> "object":
    names = {"id": 0, "subject": 1, "status": 3, "company": 7, "email": 9, "created": 11, "talk": 14}

    def add(file: AwfulFile, id_: int) -> None:
        cells = file.cells(id_)
        for name, value in changes.items():
            cells[names[name]] = value
        file.add_raw(_csv(cells), bad=True)

    return add


def _ragged(file: AwfulFile, id_: int) -> None:
    file.add_raw(_csv(file.cells(id_)[:9]), bad=True)


def _unclosed(file: AwfulFile, id_: int) -> None:
    file.add_raw(f'{id_},"never closed,text,Open,Low\n'.encode(), bad=True)


def _undoubled(file: AwfulFile, id_: int) -> None:
    file.add_raw(f'{id_},"say "hello" to them",text,Open{"," * 12}\n'.encode(), bad=True)


def _broken_bytes(file: AwfulFile, id_: int) -> None:
    cells = file.cells(id_)
    cells[1], cells[2] = "caf__", "one line"
    file.add_raw(_csv(cells).replace(b"caf__", b"caf\xe9"), bad=True)


def _same_id(file: AwfulFile, id_: int) -> None:
    cells = file.cells(id_)
    cells[0] = str(id_ - 1)
    file.add_raw(_csv(cells), bad=True)


def _same_row(file: AwfulFile, id_: int) -> None:
    file.expected.repeated += 1
    file.add_raw(file.parts[-1])


def _blank_lines(file: AwfulFile, id_: int) -> None:
    file.add_raw(b"\n\n")
    file.add_good(id_)


def _endless_text(file: AwfulFile, id_: int) -> None:
    cells = file.cells(id_)
    cells[2] = "words and more 😀 words\n" * 9_000
    cells[1] = "long subject " * 40
    file.expected.good[str(id_)] = cells[3]
    file.expected.comments += len(json.loads(cells[14])) if cells[14] else 0
    file.add_raw(_csv(cells))


_BREAKAGES = {
    10: _changed(email="not an address"),
    20: _changed(email=""),
    30: _changed(email="twins@acme.example", company=""),
    40: _changed(status="Frobnicated"),
    50: _changed(company="Unheard Of Ltd"),
    60: _changed(created="03/05/2023 10:00"),
    70: _changed(created="2999-01-01"),
    80: _changed(id=""),
    90: _changed(talk="[{not json"),
    100: _ragged,
    110: _unclosed,
    120: _undoubled,
    130: _broken_bytes,
    142: _same_id,
    152: _same_row,
    160: _blank_lines,
    170: _endless_text,
}

if __name__ == "__main__":
    found = make(Path(sys.argv[1]), rows=int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
    print(f"{len(found.good)} good rows, {len(found.bad_lines)} bad, {found.repeated} repeated")
