"""One of every mail, for the tests of their words and for looking at them:

    python -m tests.portal_service.channels.samples /tmp/mails

writes each in each language as HTML and as text, with an index.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from portal_service.channels.mail_out import Recipient
from portal_service.channels.wording import Written, languages, written
from portal_service.people.models import Contact, Staff
from portal_service.tickets.models import Ticket

URL = "https://support.example.com/tickets/1001"
_LONG = (
    "Hello,\n\nsince the update on Monday the monthly report shows the totals of the month before.\n"
    "The rows are right, only the line “Total” is not.\n\nRegards,\nCarol"
)
_REPLY = {"by": "Sam Peters", "quote": "Thank you, Carol. Which browser do you use?\n\nSam", "files": []}
_STAFF = frozenset({
    "assigned", "reply_staff", "note", "solved_staff", "closed_staff", "closed_unanswered_staff", "review_overdue",
})  # fmt: skip
_PLAIN: dict[str, dict[str, Any]] = {
    "approved": {"username": "carol"},
    "confirm_registration": {"username": "carol"},
    "already_known": {"username": "carol, carol2"},
    "registration_waits": {"applicant": "Zoë Ng", "email": "zoe@acme.example", "company": "Acme Instruments"},
    "refused": {"quote": "We do not know your company. Please ask your account manager."},
    "reset": {"username": "carol"},
    "staff_invited": {"username": "sam"},
    "password_changed": {"username": "carol"},
    "factor_added": {"username": "carol"},
    "factor_removed": {"username": "carol"},
}
_ABOUT_TICKET: dict[str, dict[str, Any]] = {
    "created": {"quote": _LONG, "assignee": "Sam Peters", "missed_favourite": "Mila Novak"},
    "guest_created": {"quote": _LONG, "assignee": "Sam Peters", "key": "3V9QK-7TQX2-MMB4H-0ZCRD"},
    "guest_link": {"key": "3V9QK-7TQX2-MMB4H-0ZCRD"},
    "assigned": {"quote": _LONG, "by": "Nora Bakker", "note": "She called twice. Please phone her today."},
    "reply": _REPLY | {"files": ["screenshot.png", "very long name of a log file " * 4 + ".txt"]},
    "reply_staff": {"by": "Carol Jansen", "quote": "Firefox 145 on Windows 11.", "files": ["export.csv"]},
    "question": _REPLY,
    "waiting": {"by": "Sam Peters"},
    "note": {"by": "Nora Bakker", "quote": "Same cause as the fault of 4.1.", "files": []},
    "solved": {"by": "Sam Peters"},
    "solved_staff": {"by": "Carol Jansen", "quote": "That was it, thanks!", "files": []},
    "closed": {"by": "Sam Peters"},
    "closed_staff": {"by": "Carol Jansen"},
    "reopened": {"by": "Carol Jansen"},
    "reminder": {
        "since": datetime(2026, 11, 13, 9, 30, tzinfo=UTC),
        "closes": datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
        "quote": _REPLY["quote"],
    },
    "closed_unanswered": {},
    "closed_unanswered_staff": {"requester": "Carol Jansen"},
    "review_overdue": {"due": datetime(2026, 11, 22, 12, 5, tzinfo=UTC), "quote": _LONG},
}
KINDS = sorted({*_PLAIN, *_ABOUT_TICKET})


@dataclass(frozen=True)
class Sample:
    kind: str
    language: str
    mail: Written


def ticket(subject: str = "Monthly report shows last month's totals", status: str = "open") -> Ticket:
    """Carol's ticket with Sam."""
    return Ticket(
        number=1001,
        subject=subject,
        status=status,
        contact=Contact(name="Carol Jansen"),
        assignee=Staff(name="Sam Peters", email="sam@support.example"),
    )


def sample(kind: str, language: str, *, about: Ticket | None = None, **words: Any) -> Written:
    """A mail as it would be written to Carol, or to Sam where it is one for staff."""
    is_staff = kind in _STAFF or kind == "registration_waits"
    to = Recipient(
        name="Sam Peters" if is_staff else "Carol Jansen",
        address="someone@example.com",
        language=language,
        timezone="Europe/Amsterdam",
        staff=is_staff,
    )
    given = _PLAIN.get(kind, _ABOUT_TICKET.get(kind, {})) | words
    known = (about or ticket(status=_STATUS.get(kind, "open"))) if kind in _ABOUT_TICKET else None
    return written(kind, to, given, url=URL, ticket=known)


_STATUS = {
    "created": "new", "guest_created": "new", "assigned": "new", "review_overdue": "new", "question": "pending",
    "waiting": "pending", "reminder": "pending", "solved": "solved", "solved_staff": "solved", "closed": "closed",
    "closed_staff": "closed", "closed_unanswered": "closed", "closed_unanswered_staff": "closed",
}  # fmt: skip


def samples() -> Iterator[Sample]:
    for kind in KINDS:
        for language in sorted(languages()):
            yield Sample(kind, language, sample(kind, language))


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for one in samples():
        name = f"{one.kind}.{one.language}"
        (folder / f"{name}.html").write_text(one.mail.html, encoding="utf-8")
        (folder / f"{name}.txt").write_text(f"Subject: {one.mail.subject}\n\n{one.mail.text}", encoding="utf-8")
        names.append(f'<li><a href="{name}.html">{name}</a> (<a href="{name}.txt">text</a>)</li>')
    (folder / "index.html").write_text(f"<meta charset=utf-8><ul>{''.join(names)}</ul>", encoding="utf-8")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
