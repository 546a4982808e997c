"""Who does something to a ticket."""

import uuid
from dataclasses import dataclass
from typing import Literal

from portal_service.people.models import User
from shared.events import Person


@dataclass(frozen=True, kw_only=True)
class Actor:
    kind: Literal["customer", "staff", "crm", "system"]
    name: str
    email: str | None = None
    crm_id: str | None = None
    staff_id: uuid.UUID | None = None
    contact_id: uuid.UUID | None = None

    @property
    def person(self) -> Person:
        return Person(name=self.name, email=self.email, crm_id=self.crm_id)


SYSTEM = Actor(kind="system", name="Casebridge")
CLOCK = Actor(kind="system", name="Casebridge clock")
"""Whoever closes what nobody answered (S64). Not `SYSTEM`, in whose name imports are silent."""


def actor_for(user: User) -> Actor:
    """The logged-in user as an actor. Raises ValueError for a log-in of nobody."""
    if user.staff is not None:
        staff = user.staff
        return Actor(kind="staff", name=staff.name, email=staff.email, crm_id=staff.crm_id, staff_id=staff.id)
    if user.contact is not None:
        contact = user.contact
        return Actor(
            kind="customer", name=contact.name, email=contact.email, crm_id=contact.crm_id, contact_id=contact.id
        )
    raise ValueError(f"log-in {user.username!r} belongs to nobody")
