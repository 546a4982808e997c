"""From a row of an export to a ticket's values: pure, the same for the same row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from portal_service.imports.columns import Columns
from portal_service.imports.comments import Conversation, read_conversation
from portal_service.imports.errors import BadRow
from portal_service.imports.long_texts import fitted, short_subject
from portal_service.imports.mapping import Rules
from portal_service.imports.moments import parse_moment
from portal_service.imports.oldticket import OldComment, OldTicket
from portal_service.imports.readable import readable
from portal_service.imports.rows import Row
from portal_service.imports.values import (
    PRIORITY_WORDS,
    STATUS_WORDS,
    as_text,
    choose,
    split_address,
    tag_list,
)
from portal_service.tickets.text import MAX_DETAILS, clean_line, link_error
from shared.emails import is_email

SUBJECT_SHORTENED = "subject longer than 255 characters: shortened, the whole stands above the description"
SUBJECT_FROM_TEXT = "no subject: the first words of the description"
DESCRIPTION_FROM_COMMENT = "no description: the first comment"
DESCRIPTION_FROM_SUBJECT = "no description: the subject"
TEXT_ATTACHED = "text longer than a ticket holds: its beginning stands there, the whole is attached"
NO_DATE = "no date of creation: the date of the last change, or of the import"
COMMENTS_UNTOLD = "comments that do not say who may see them: kept as {}"
LINK_KEPT = "link that is no web address: kept in the details"
DEFAULT_REQUESTER = "no requester: the one of [defaults]"

_MAX_REF = 255
_MAX_NAME = 255
_CLOCK_SKEW = timedelta(days=1)
_SUBJECT_WORDS = 80
_ROOM_FOR_NAMES = 1_000
"""Characters of the details for names that turn out to be unknown here."""


@dataclass(frozen=True, kw_only=True)
class Cleaner:
    """Reads the rows of one file."""

    columns: Columns
    rules: Rules
    source: str
    now: datetime

    def clean(self, row: Row) -> OldTicket:
        """The ticket a row tells of. Raises BadRow."""
        if row.problem:
            raise BadRow(row.problem)
        return _Reading(cleaner=self, row=row).ticket()


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """One row being read; what one field says is needed for the next."""

    cleaner: Cleaner
    row: Row

    def ticket(self) -> OldTicket:
        remarks: list[str] = []
        subject, description = self._subject_and_description(remarks)
        talk = self._conversation
        text = fitted(description, file="description.txt")
        if text.whole or any(comment.body.whole for comment in talk.comments):
            remarks.append(TEXT_ATTACHED)
        if talk.untold:
            remarks.append(COMMENTS_UNTOLD.format(self._rules.defaults.get("comments", "internal") + " ones"))
        link, details = self._link_and_details(remarks)
        name, address = self._requester(remarks)
        created, updated, finished = self._dates(remarks)
        return OldTicket(
            line=self.row.line,
            id=self._id,
            subject=subject,
            description=text,
            status=self._status(),
            priority=self._choose("priority", PRIORITY_WORDS),
            request_type=self._meant("type"),
            product=self._meant("product"),
            category=self._meant("category"),
            account=self._meant("account"),
            requester_name=name,
            requester_email=address,
            assignee=split_address(self._line("assignee"))[1] or self._line("assignee"),
            created_at=created,
            updated_at=updated,
            finished_at=finished,
            link_url=link,
            details=details,
            comments=tuple(comment for comment in talk.comments if comment is not self._opening),
            remarks=tuple(remarks),
        )

    @property
    def _rules(self) -> Rules:
        return self.cleaner.rules

    def _value(self, field: str) -> Any:
        return self.cleaner.columns.value(self.row.values, field)

    def _line(self, field: str) -> str:
        return clean_line(as_text(self._value(field)))

    def _meant(self, field: str) -> str:
        return self._rules.meant(field, self._line(field))

    def _choose(self, field: str, known: Mapping[str, str]) -> str:
        return choose(field, self._line(field), own=self._rules.words(field), known=known)

    @cached_property
    def _id(self) -> str:
        id_ = self._line("id").lstrip("#")
        if not id_:
            raise BadRow("it has no id, by which a repeated import would know it")
        if len(self.cleaner.source) + 1 + len(id_) > _MAX_REF:
            raise BadRow(f"its id is longer than {_MAX_REF} characters together with the source's name")
        return id_

    def _status(self) -> str:
        default = self._rules.defaults.get("status")
        return default if default and not self._line("status") else self._choose("status", STATUS_WORDS)

    @cached_property
    def _text(self) -> str:
        return readable(as_text(self._value("description")))

    @cached_property
    def _conversation(self) -> Conversation:
        created = self._moment("created_at") or self.cleaner.now
        return read_conversation(self._value("comments"), rules=self._rules, since=created, description=self._text)

    @cached_property
    def _opening(self) -> OldComment | None:
        """The comment that stands in for a description the export does not have."""
        if self._text.strip():
            return None
        return next((comment for comment in self._conversation.comments if comment.public), None)

    def _subject_and_description(self, remarks: list[str]) -> tuple[str, str]:
        subject, description = clean_line(readable(self._line("subject"))), self._text
        if self._opening:
            description = self._opening.body.whole or self._opening.body.shown
            remarks.append(DESCRIPTION_FROM_COMMENT)
        elif not description.strip():
            description = subject
            remarks.append(DESCRIPTION_FROM_SUBJECT)
        if not description.strip():
            raise BadRow("it has neither a subject nor a description")
        if not subject:
            subject = clean_line(description)[:_SUBJECT_WORDS].strip()
            remarks.append(SUBJECT_FROM_TEXT)
        short = short_subject(subject)
        if short != subject:
            description = f"{subject}\n\n{description}"
            remarks.append(SUBJECT_SHORTENED)
        return short, description

    def _requester(self, remarks: list[str]) -> tuple[str, str]:
        """Name and address. Raises BadRow for an address that is none; a missing one is the default's."""
        said_name, other_address = split_address(self._line("requester_name"))
        told = self._line("requester_email")
        named, address = split_address(told)
        address = address or other_address
        if not address and self._rules.defaults.get("requester_email"):
            remarks.append(DEFAULT_REQUESTER)
            return "", self._rules.defaults["requester_email"]
        if not address:
            raise BadRow(
                "it has no requester's e-mail address: give requester_email under [defaults] in the file of --mapping"
            )
        if not is_email(address):
            raise BadRow(f"{told[:120]!r} is no e-mail address", kind="a requester whose e-mail address is none")
        return (said_name or named)[:_MAX_NAME], address

    def _dates(self, remarks: list[str]) -> tuple[datetime, datetime, datetime]:
        """When it was created, last changed and, if it was, finished; in this order, whatever the export says."""
        created, updated = self._moment("created_at"), self._moment("updated_at")
        if created is None:
            remarks.append(NO_DATE)
            created = updated or self.cleaner.now
        finished = self._moment("finished_at")
        updated = max(created, updated or finished or created)
        return created, updated, max(created, finished or updated)

    def _moment(self, field: str) -> datetime | None:
        text = self._line(field)
        if not text or text.casefold() in {"null", "none", "-", "n/a"}:
            return None
        moment = parse_moment(text, zone=self._rules.zone, date_format=self._rules.date_format)
        if moment > self.cleaner.now + _CLOCK_SKEW:
            raise BadRow(f"{field} {text!r} lies in the future", kind=f"{field} lies in the future")
        return moment

    def _link_and_details(self, remarks: list[str]) -> tuple[str | None, dict[str, str]]:
        details = {"Imported from": f"{self.cleaner.source} {self._id}"}
        if tags := tag_list(self._value("tags")):
            details["Tags"] = clean_line(tags)
        link = self._line("url")
        if link and link_error(link):
            details["Link"] = link
            remarks.append(LINK_KEPT)
            link = ""
        if sum(len(label) + len(value) for label, value in details.items()) > MAX_DETAILS - _ROOM_FOR_NAMES:
            raise BadRow(f"its tags or its link are longer than {MAX_DETAILS - _ROOM_FOR_NAMES:,} characters")
        return link or None, details
