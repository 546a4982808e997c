"""Records as the API shows them."""

from collections.abc import Callable
from typing import Any

from crm_sync_service.desk.models import Account, Case, Contact, Note, Product, Record, Stamped, User
from shared.clock import to_text

Json = dict[str, Any]


class Serialiser:
    """Knows the public address of the desk, for links to its pages."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._makers: dict[type[Stamped], Callable[[Any], Json]] = {
            Case: self._case,
            Note: self._note,
            Contact: self._contact,
            Account: lambda account: self._record(account, "accounts"),
            Product: self._product,
            User: self._user,
        }

    def __call__(self, row: Stamped) -> Json:
        return self._makers[type(row)](row)

    def _case(self, case: Case) -> Json:
        return {
            **self._record(case, "cases"),
            "number": case.number,
            "description": case.description,
            "status": case.status,
            "priority": case.priority,
            "account_id": _id(case.account_id),
            "contact_id": _id(case.contact_id),
            "contact_ids": sorted(str(contact.id) for contact in case.contacts),
            "product_id": _id(case.product_id),
            "assigned_user_id": _id(case.assigned_user_id),
            "ticket_number": case.ticket_number,
            "ticket_url": case.ticket_url,
        }

    def _note(self, note: Note) -> Json:
        return {
            **_stamped(note),
            "case_id": str(note.case_id),
            "title": note.title,
            "body": note.body,
            "author": note.author,
            "side": note.side,
            "position": note.position,
            "origin": note.origin,
            "for_customer": note.for_customer,
        }

    def _contact(self, contact: Contact) -> Json:
        return {
            **self._record(contact, "contacts"),
            "emails": contact.addresses,
            "account_id": _id(contact.account_id),
        }

    def _product(self, product: Product) -> Json:
        return {**self._record(product, "products"), "active": product.active and not product.deleted}

    def _user(self, user: User) -> Json:
        return {**self._record(user, "users"), "email": user.email, "active": user.active and not user.deleted}

    def _record(self, record: Record, folder: str) -> Json:
        return {
            **_stamped(record),
            "name": record.name,
            "active": not record.deleted,
            "deleted": record.deleted,
            "merged_into": _id(record.merged_into),
            "url": f"{self._base_url}/{folder}/{record.id}",
        }


def _stamped(row: Stamped) -> Json:
    return {
        "id": str(row.id),
        "version": row.version,
        "created_at": to_text(row.created_at),
        "modified_at": to_text(row.modified_at),
        "modified_by": row.modified_by,
    }


def _id(value: object) -> str | None:
    return None if value is None else str(value)
