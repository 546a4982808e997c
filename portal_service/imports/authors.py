"""Who wrote a comment of an old ticket, as far as the export and the records here tell."""

from dataclasses import dataclass
from typing import Literal

from portal_service.imports.directory import Directory
from portal_service.imports.oldticket import OldComment
from portal_service.people.models import Contact, Staff
from shared.emails import email_key

_NOBODY = "Unknown"


@dataclass(frozen=True, kw_only=True)
class Author:
    side: Literal["customer", "staff"]
    name: str
    email: str | None
    crm_id: str | None


def author_of(comment: OldComment, *, requester: Contact, directory: Directory) -> Author:
    """The author, with the name known here where the export gives an address only."""
    person = _known(comment, requester, directory)
    by_customer = comment.from_customer
    if by_customer is None:
        by_customer = isinstance(person, Contact) or (person is None and _same_house(comment, requester))
    return Author(
        side="customer" if by_customer else "staff",
        name=comment.author_name or (person.name if person else comment.author_email) or _NOBODY,
        email=comment.author_email or (person.email if person else None),
        crm_id=person.crm_id if person else None,
    )


def _known(comment: OldComment, requester: Contact, directory: Directory) -> Staff | Contact | None:
    """The person with the author's address; without one, the requester where the export says a customer wrote it."""
    if not comment.author_email:
        return requester if comment.from_customer and not comment.author_name else None
    key = email_key(comment.author_email)
    staff = directory.staff.get(key, [])
    if len(staff) == 1:
        return staff[0]
    if key in {email.key for email in requester.emails}:
        return requester
    contacts = directory.contacts.get(key, [])
    return contacts[0] if len(contacts) == 1 else None


def _same_house(comment: OldComment, requester: Contact) -> bool:
    """Whether the author's address is of the requester's domain: a colleague who was copied in."""
    domain = email_key(comment.author_email).rpartition("@")[2]
    return bool(domain) and any(email.key.rpartition("@")[2] == domain for email in requester.emails)
