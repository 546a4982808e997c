"""From ticket to Case and back: fields, value maps and the managed block of the description.

Everything is compared in the portal's terms, after the CRM's own rules were applied to our side, so that a value
the CRM stores differently on its own is no change.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from crm_sync_service.connectors.base import CaseFields, Connector, NewNote, TextRules
from crm_sync_service.connectors.characters import has_wide, named
from crm_sync_service.merge import UNMAPPED, Policy
from crm_sync_service.templates import DEFAULT_TEMPLATES, Templates
from crm_sync_service.texts import clean, clean_name, cut, one_line
from shared.clock import to_text
from shared.events import AttachmentLink, InternalNoteAdded, ReplyAdded, TicketChanged
from shared.ids import derived_id

BLOCK_BEGIN = "--- Casebridge: managed block, do not edit ---"
BLOCK_END = "--- end of managed block ---"
_BLOCK = re.compile(rf"{re.escape(BLOCK_BEGIN)}.*?(?:{re.escape(BLOCK_END)}|\Z)", re.DOTALL)
_CUT = "… [cut; full text: {url}]"
_CUT_HERE = "… [cut; the full text is on the ticket]"
_ALTERED = "what it lacks is written in another way, or cut"
_BLOCK_ATTACHMENTS = 100

_BOTH = Policy(direction="both", winner="crm")
_TO_CRM = Policy(direction="to_crm", winner="portal")

DEFAULT_POLICIES: Mapping[str, Policy] = {
    "subject": _TO_CRM,
    "block": _TO_CRM,
    "contact": _TO_CRM,
    "status": _BOTH,
    "priority": _BOTH,
    "account": _BOTH,
    "product": _BOTH,
    "assignee": _BOTH,
}
"""Every synced field. `block` is the managed part of the description; the customer's words are written once."""

OPTION_FIELDS = ("status", "priority")
PULLABLE = ("status", "priority", "account", "product", "assignee")
"""Fields that can travel to the portal."""
WRITTEN_ONCE = ("ticket_number", "ticket_url")
"""Fields of a Case that never change."""


@dataclass(frozen=True, kw_only=True)
class ValueMaps:
    """The CRM's option keys by the portal's, for each option field; the first key that fits is written."""

    status: Mapping[str, str]
    priority: Mapping[str, str]
    read_only: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Further CRM keys that read as a portal key, by field."""

    def to_crm(self, name: str, value: str | None) -> str | None:
        maps = {"status": self.status, "priority": self.priority}
        return maps[name].get(value or "")

    def from_crm(self, name: str, value: str | None) -> str | None:
        """The portal's key, or UNMAPPED and the CRM's."""
        return self._known[name].get(value or "", f"{UNMAPPED}{value or ''}")

    @cached_property
    def _known(self) -> Mapping[str, Mapping[str, str]]:
        """By field, the portal's keys by the CRM's."""
        return {
            name: {crm: ours for ours, crm in pairs.items()} | dict(self.read_only.get(name, {}))
            for name, pairs in (("status", self.status), ("priority", self.priority))
        }

    def as_read(self, name: str, value: str | None) -> str | None:
        """A portal's key as it comes back from the CRM, where several share one of the CRM's keys."""
        stored = self.to_crm(name, value)
        return value if stored is None else self.from_crm(name, stored)


@dataclass(frozen=True, kw_only=True)
class CaseMapping:
    """How one CRM's Cases stand for tickets."""

    connector: Connector
    values: ValueMaps
    policies: Mapping[str, Policy] = field(default_factory=lambda: DEFAULT_POLICIES)
    """By synced field."""
    templates: Templates = DEFAULT_TEMPLATES
    written_once: Sequence[str] = WRITTEN_ONCE
    attributes: Mapping[str, str] = field(default_factory=dict)
    """The CRM's own names by CaseField; for checks only, the connector has its own."""

    def ours(self, ticket: TicketChanged, *, contact_id: str | None) -> dict[str, str | None]:
        """The synced fields of a ticket, as this CRM would give them back."""
        fields = {
            "subject": shorten(
                storable(ticket.subject, self.connector.capabilities.text),
                self.connector.capabilities.text.subject_length,
            ),
            "block": storable(managed_block(ticket, self.templates), self.connector.capabilities.text),
            "contact": contact_id,
            "status": ticket.status,
            "priority": ticket.priority,
            "account": ticket.account_crm_id,
            "product": ticket.product_crm_id,
            "assignee": ticket.assignee.crm_id if ticket.assignee else None,
        }
        return {
            name: self.values.as_read(name, value)
            if name in OPTION_FIELDS
            else self.connector.normalise(_stored_in(name), value)
            for name, value in fields.items()
            if name in self.policies
        }

    def theirs(self, case: CaseFields, *, known: Sequence[CaseFields] = ()) -> dict[str, str | None]:
        """The same fields of a Case, in the portal's terms.

        `known`: fields as they were or are to be; a block that differs from theirs in white space only is that one,
        as an editor of rich text makes one line of it without anybody wanting to.
        """
        fields = {name: case.get(name) for name in self.policies if name != "block"}
        fields["block"] = _rebroken(block_of(case.get("description") or ""), [each.get("block") for each in known])
        for name in OPTION_FIELDS:
            if name in self.policies:
                fields[name] = self.values.from_crm(name, case.get(name))
        return fields

    def at_portal(self, ticket: TicketChanged, name: str) -> str | None:
        """An option as the ticket has it, where several of the portal's keys stand for one of the CRM's."""
        return str(getattr(ticket, name)) if name in OPTION_FIELDS else None

    def altered(self, ticket: TicketChanged) -> str | None:
        """What to tell if this CRM cannot keep the ticket's words as they are."""
        texts = {"subject": ticket.subject, "description": ticket.description}
        lost = [name for name, words in texts.items() if self._stored(name, words).split() != words.split()]
        return f"the CRM cannot keep all of the {' and the '.join(lost)}: {_ALTERED}" if lost else None

    def altered_note(self, note: NewNote, words: str) -> str | None:
        """The same for the words of a reply."""
        stored = " ".join(self._stored("description", note.body).split())
        kept = " ".join(words.split()) in stored
        return None if kept else f"the CRM cannot keep all of its words: {_ALTERED}"

    def _stored(self, name: str, words: str) -> str:
        return self.connector.normalise(name, storable(words, self.connector.capabilities.text)) or ""

    def new_case(self, ticket: TicketChanged, ours: CaseFields) -> dict[str, str | None]:
        """All fields of a Case that is to be created."""
        fields = self._to_crm({name: value for name, value in ours.items() if name != "block"})
        fields["description"] = description(ticket, ours.get("block") or "", rules=self.connector.capabilities.text)
        return fields | self.once(ticket)

    def once(self, ticket: TicketChanged) -> dict[str, str | None]:
        """What is written when a Case is made and never changes, as far as this CRM has fields for it."""
        values = {"ticket_number": str(ticket.number), "ticket_url": ticket.ticket_url}
        stored = {name: self.connector.normalise(name, values[name]) for name in self.written_once}
        return {name: value for name, value in stored.items() if value is not None}

    def update(self, changes: CaseFields, *, description_now: str) -> dict[str, str | None]:
        """Changed fields as the CRM wants them; text outside the block stays as account managers left it."""
        fields = self._to_crm({name: value for name, value in changes.items() if name != "block"})
        if "block" in changes:
            rules = self.connector.capabilities.text
            fields["description"] = with_block(description_now, changes["block"] or "", rules=rules)
        return fields

    def note(
        self, ticket: TicketChanged, reply: ReplyAdded | InternalNoteAdded, *, case_id: str, generation: int = 0
    ) -> NewNote:
        """The Note of a reply, cut with a visible mark where this CRM's limits ask for it.

        `generation`: how often the ticket was given another Case; each has Notes of its own.
        """
        rules, mark = self.connector.capabilities.text, _CUT.format(url=ticket.ticket_url)
        note = note_for(reply, case_id=case_id, templates=self.templates)
        note = replace(note, title=storable(note.title, rules), body=storable(note.body, rules))
        over = rules.size(note.body) - rules.note_bytes
        if over > 0:
            # The words give way, not the links of the attachments behind them.
            words = storable(reply.body, rules)
            shorter = replace(reply, body=cut(words, rules.size(words) - over, mark=mark, size=rules.size))
            note = replace(note, body=note_for(shorter, case_id=case_id, templates=self.templates).body)
        return replace(
            note,
            id=note_id_of(keyed(note.key, generation)),
            key=keyed(note.key, generation),
            title=shorten(note.title, rules.note_title_length),
            body=cut(note.body, rules.note_bytes, mark=mark, size=rules.size),
        )

    def _to_crm(self, fields: CaseFields) -> dict[str, str | None]:
        return {
            name: self.values.to_crm(name, value) if name in OPTION_FIELDS else value for name, value in fields.items()
        }


def _rebroken(block: str | None, known: Sequence[str | None]) -> str | None:
    if block is None:
        return None
    return next((each for each in known if each is not None and each.split() == block.split()), block)


def _stored_in(name: str) -> str:
    return "description" if name == "block" else name


def unmapped(ticket: TicketChanged) -> dict[str, str]:
    """Fields of a ticket that name a record the CRM does not know, each with a sentence (S87): never guessed."""
    problems = {}
    if ticket.assignee and not ticket.assignee.crm_id:
        problems["assignee"] = f"{ticket.assignee.name} is no user of the CRM, so the Case's assignee is left as it is"
    if ticket.account_name and not ticket.account_crm_id:
        problems["account"] = f"the account {ticket.account_name} is not in the CRM"
    if ticket.product_name and not ticket.product_crm_id:
        problems["product"] = f"the product {ticket.product_name} is not in the CRM"
    return problems


def managed_block(ticket: TicketChanged, templates: Templates = DEFAULT_TEMPLATES) -> str:
    """What Casebridge keeps up to date in a Case's description: links, given details, attachments."""
    values = {
        "number": str(ticket.number),
        "ticket_url": ticket.ticket_url,
        "link_url": ticket.link_url or None,
        "request_type": ticket.request_type,
        "category": ticket.category or None,
        "origin": ticket.origin,
        "details": "\n".join(f"{label}: {one_line(value)}" for label, value in ticket.details.items()) or None,
        "attachments": _attachments(ticket.attachments, templates, ticket_url=ticket.ticket_url),
    }
    return "\n".join([BLOCK_BEGIN, templates.block.fill(values), BLOCK_END])


def _attachments(
    links: Sequence[AttachmentLink], templates: Templates, *, ticket_url: str, most: int | None = _BLOCK_ATTACHMENTS
) -> str | None:
    """A list with its heading, or None without any."""
    if not links:
        return None
    lines = [templates.attachments]
    lines += [
        templates.attachment.fill({"name": one_line(link.name), "size": f"{link.size:,}", "url": link.url})
        for link in links[:most]
    ]
    if most is not None and len(links) > most:
        lines.append(templates.more_attachments.fill({"count": str(len(links) - most), "ticket_url": ticket_url}))
    return "\n".join(lines)


def block_of(text: str) -> str | None:
    """The managed block in a description, or None."""
    found = _BLOCK.search(text)
    return found.group(0) if found else None


def words_of(text: str) -> str:
    """A description without the managed block."""
    return _BLOCK.sub("", text, count=1).strip()


def with_block(text: str, block: str, *, rules: TextRules) -> str:
    """A description with its managed block replaced, or added where it was taken out.

    Where both do not fit the words are cut with a visible mark, as a block cut by the CRM would never agree again.
    """
    if _BLOCK.search(text):
        whole = _BLOCK.sub(lambda _: block, text, count=1)
    else:
        whole = f"{text.rstrip()}\n\n{block}" if text.strip() else block
    if rules.size(whole) <= rules.description_bytes:
        return whole
    room = rules.description_bytes - rules.size(f"\n\n{block}")
    return f"{cut(words_of(text), room, mark=_CUT_HERE, size=rules.size)}\n\n{block}"


def description(ticket: TicketChanged, block: str, *, rules: TextRules) -> str:
    """The customer's words and the block, the words cut with a visible mark where the CRM's limit asks for it."""
    room = rules.description_bytes - rules.size(f"\n\n{block}")
    words = cut(
        storable(_harmless(ticket.description), rules), room, mark=_CUT.format(url=ticket.ticket_url), size=rules.size
    )
    return f"{words}\n\n{block}"


def _harmless(words: str) -> str:
    """Words of a customer that look like our marker must not be taken for it."""
    return words.replace(BLOCK_BEGIN, f"> {BLOCK_BEGIN[4:]}")


def storable(text: str, rules: TextRules) -> str:
    """A text without what a CRM refuses; characters that it cannot keep have their names in their place."""
    cleaned = clean(text)
    return cleaned if not has_wide(cleaned) or rules.wide() else named(cleaned)


def shorten(text: str, limit: int) -> str:
    """A text of at most `limit` characters, with a visible mark if anything had to go; none where none is taken."""
    if limit < 1:
        return ""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def note_for(
    reply: ReplyAdded | InternalNoteAdded, *, case_id: str, templates: Templates = DEFAULT_TEMPLATES
) -> NewNote:
    """The one Note of a reply: its title says who and begins with the first words, which is what a list shows."""
    internal = isinstance(reply, InternalNoteAdded)
    reply_id = reply.note_id if isinstance(reply, InternalNoteAdded) else reply.reply_id
    side = "internal" if isinstance(reply, InternalNoteAdded) else reply.side
    author, body = clean_name(reply.author.name), clean(reply.body)
    values = {
        "side": templates.sides["internal" if internal else side],
        "author": author,
        "written_at": to_text(reply.created_at)[:16].replace("T", " "),
        "body": body,
        "first_words": one_line(body)[:80],
        "attachments": _attachments(reply.attachments, templates, ticket_url="", most=None),
    }
    return NewNote(
        id=note_id_of(reply_id),
        key=str(reply_id),
        case_id=case_id,
        title=templates.note_title.fill(values).strip(),
        body=templates.note_body.fill(values),
        author=author,
        side=side,
        position=reply.position,
        created_at=reply.created_at,
    )


def keyed(key: object, generation: int) -> str:
    """The key of what belongs to a ticket's Case: of the first one the key itself, of later ones with a number."""
    return f"{key}:{generation}" if generation else str(key)


def note_id_of(reply_id: object) -> str:
    return str(derived_id("note", reply_id))


def case_id_of(ticket_id: object) -> str:
    return str(derived_id("case", ticket_id))
