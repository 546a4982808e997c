"""Where an old ticket belongs here: its requester, account, product, type and agent. What is unknown is said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from portal_service.imports.authors import Author, author_of
from portal_service.imports.directory import (
    FALLBACK_CATEGORY,
    FALLBACK_TYPE,
    Directory,
    find_type,
    name_key,
)
from portal_service.imports.errors import BadRow, CannotImport
from portal_service.imports.oldticket import OldTicket
from portal_service.people.models import Account, Contact, ContactEmail, Staff
from portal_service.tickets.lifecycle import DONE
from portal_service.tickets.models import Category, Product, RequestType
from portal_service.tickets.text import MAX_DETAILS
from shared.emails import email_key
from shared.ids import new_id

NO_ACCOUNT = "no account named, and the requester has none: imported without one"
UNKNOWN_TYPE = "type not known here: {}, with the old name in the details"
UNKNOWN_PRODUCT = "product not known here: imported without one, its name in the details"
UNKNOWN_CATEGORY = "category not known here: its name in the details"
UNKNOWN_AGENT = "agent not known here: name in the details; open tickets are assigned by the usual rule"
INACTIVE_AGENT = "agent no longer active, ticket still open: assigned by the usual rule"

_MAX_NAME = 255

Named = TypeVar("Named", Account, Contact, Product)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An old ticket with the records it belongs to."""

    old: OldTicket
    ref: str
    contact: Contact
    account: Account | None
    new_contact: bool
    new_account: bool
    request_type: RequestType
    product: Product | None
    category: Category | None
    agent: Staff | None
    """None: nobody, or for an open ticket the one the usual rule finds."""
    authors: tuple[Author, ...]
    """One for each comment."""


@dataclass(frozen=True, kw_only=True)
class Additions:
    """Contacts and accounts that a dry run does not store and yet has to find again."""

    contacts: dict[str, list[Contact]] = field(default_factory=dict)
    accounts: dict[str, list[Account]] = field(default_factory=dict)

    def note(self, placed: Iterable[Placed]) -> None:
        for one in placed:
            if one.new_contact:
                self.contacts[email_key(one.old.requester_email)] = [one.contact]
            if one.new_account and one.account:
                self.accounts[name_key(one.account.name)] = [one.account]

    def show_to(self, directory: Directory) -> None:
        for key, contacts in self.contacts.items():
            directory.contacts.setdefault(key, contacts)
        for key, accounts in self.accounts.items():
            directory.accounts.setdefault(key, accounts)


@dataclass(frozen=True, kw_only=True)
class Placer:
    """Places the tickets of one chunk; contacts and accounts it adds are found by the tickets after."""

    directory: Directory
    create_accounts: bool
    fallback_type: str = FALLBACK_TYPE

    def place(self, old: OldTicket, ref: str) -> Placed:
        """Raises BadRow; then nothing was added."""
        remarks: list[str] = []
        details = dict(old.details)
        request_type = self._type(old, details, remarks)
        product = self._product(old, details, remarks)
        category = self._category(old, product, details, remarks)
        agent = self._agent(old, details, remarks)
        if sum(len(label) + len(value) for label, value in details.items()) > MAX_DETAILS:
            raise BadRow(f"names not known here and tags are together longer than {MAX_DETAILS:,} characters")
        account, new_account = self._account(old)
        contact, new_contact = self._contact(old, account)
        if new_account and account is not None:
            self.directory.accounts[name_key(account.name)] = [account]
        account = account or contact.account
        if account is None:
            remarks.append(NO_ACCOUNT)
        return Placed(
            old=replace(old, details=details, remarks=(*old.remarks, *remarks)),
            ref=ref,
            contact=contact,
            account=account,
            new_contact=new_contact,
            new_account=new_account,
            request_type=request_type,
            product=product,
            category=category,
            agent=agent,
            authors=tuple(author_of(comment, requester=contact, directory=self.directory) for comment in old.comments),
        )

    def _account(self, old: OldTicket) -> tuple[Account | None, bool]:
        """The account named, and whether it is new. Raises BadRow when there is none or more than one."""
        if not old.account:
            return None, False
        found = _preferred(self.directory.accounts.get(name_key(old.account), []))
        if len(found) == 1:
            return found[0], False
        if found:
            raise BadRow(
                f"{len(found)} accounts are called {old.account!r}: say which one is meant by renaming the others",
                kind="an account name that several accounts have",
            )
        if not self.create_accounts:
            raise BadRow(
                f"there is no account {old.account!r}: create it in the CRM, name the one that is meant under "
                "[account] in the file of --mapping, or let this import add it with --create-missing-accounts",
                kind=f"there is no account {old.account!r}",
            )
        if len(old.account) > _MAX_NAME:
            raise BadRow(f"the account's name is longer than {_MAX_NAME} characters")
        return Account(id=new_id(), name=old.account, active=True), True

    def _contact(self, old: OldTicket, account: Account | None) -> tuple[Contact, bool]:
        """The contact with this address, of several the one of the account, and whether it is new. Raises BadRow."""
        found = _preferred(self.directory.contacts.get(email_key(old.requester_email), []))
        if len(found) > 1 and account is not None:
            found = [contact for contact in found if contact.account_id == account.id] or found
        if len(found) > 1:
            names = ", ".join(sorted(contact.name for contact in found)[:5])
            raise BadRow(
                f"{old.requester_email} is an address of {len(found)} contacts ({names}): merge them, "
                "or give the row the account of the one that is meant",
                kind="a requester's address that several contacts have",
            )
        return (found[0], False) if found else (self._added_contact(old, account), True)

    def _added_contact(self, old: OldTicket, account: Account | None) -> Contact:
        address = old.requester_email
        key = email_key(address)
        contact = Contact(
            id=new_id(),
            name=old.requester_name or address.partition("@")[0],
            active=True,
            account=account,
            account_id=account.id if account else None,
            emails=[ContactEmail(position=0, address=address, key=key)],
            grants=[],
        )
        self.directory.contacts[key] = [contact]
        return contact

    def _type(self, old: OldTicket, details: dict[str, str], remarks: list[str]) -> RequestType:
        found = find_type(self.directory.request_types, old.request_type)
        if found:
            return found
        if old.request_type:
            details["Type"] = old.request_type
            remarks.append(UNKNOWN_TYPE.format(self.fallback_type))
        return fallback_type(self.directory.request_types, self.fallback_type)

    def _product(self, old: OldTicket, details: dict[str, str], remarks: list[str]) -> Product | None:
        if not old.product:
            return None
        found = _preferred(self.directory.products.get(name_key(old.product), []))
        if len(found) == 1:
            return found[0]
        details["Product"] = old.product
        remarks.append(UNKNOWN_PRODUCT)
        return None

    def _category(
        self, old: OldTicket, product: Product | None, details: dict[str, str], remarks: list[str]
    ) -> Category | None:
        """As named; a ticket with neither product nor category is of the category Other (S17)."""
        found = self.directory.categories.get(name_key(old.category), [])
        if found:
            return found[0]
        if old.category:
            details["Category"] = old.category
            remarks.append(UNKNOWN_CATEGORY)
        others = self.directory.categories.get(name_key(FALLBACK_CATEGORY), [])
        offered = [one for one in others if one.active]
        return offered[0] if offered and product is None else None

    def _agent(self, old: OldTicket, details: dict[str, str], remarks: list[str]) -> Staff | None:
        if not old.assignee:
            return None
        key = email_key(old.assignee) if "@" in old.assignee else name_key(old.assignee)
        found = self.directory.staff.get(key, [])
        if len(found) != 1:
            details["Assigned to"] = old.assignee
            remarks.append(UNKNOWN_AGENT)
            return None
        if not found[0].active and old.status not in DONE:
            details["Assigned to"] = found[0].name
            remarks.append(INACTIVE_AGENT)
            return None
        return found[0]


def fallback_type(types: Mapping[str, list[RequestType]], name: str) -> RequestType:
    """The type of tickets whose own is not known here, one that is on offer. Raises CannotImport."""
    found = find_type(types, name)
    if found is None or not found.active:
        raise CannotImport(
            f"there is no request type {name!r} on offer for tickets whose own is not known: "
            "name one under [defaults] type in the file of --mapping"
        )
    return found


def _preferred(records: Sequence[Named]) -> list[Named]:
    """Those in use; if there are none, those that no longer are, for old tickets are of their time."""
    return [record for record in records if record.active] or list(records)
