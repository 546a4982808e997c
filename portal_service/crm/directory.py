"""Accounts, contacts, users and products as the CRM has them (O10): new ones, renames, merges, deactivation."""

from datetime import datetime
from typing import TypeVar

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from portal_service.crm import users
from portal_service.crm.users import CRM
from portal_service.people.models import Account, AccountGrant, Contact, ContactEmail, Staff, User
from portal_service.tickets import fields, history, snapshots
from portal_service.tickets.models import Product, Ticket
from shared.emails import email_key
from shared.events import DirectoryChanged

Record = TypeVar("Record", Account, Product)


def find_or_stub(session: Session, model: type[Record], crm_id: str | None, name: str | None) -> Record | None:
    """The record with this CRM id; one with what is known of it where the directory has not told of it yet."""
    if crm_id is None:
        return None
    found = session.scalar(select(model).where(model.crm_id == crm_id))
    if found is None:
        found = model(crm_id=crm_id, name=(name or crm_id)[:255], active=True)
        session.add(found)
        session.flush()
    return found


def apply_directory_change(session: Session, event: DirectoryChanged, *, now: datetime) -> None:
    """Take over one record of the CRM, unless a newer revision of it is known.

    Nothing is deleted here: what the CRM deleted is inactive, what it merged hands over its tickets and people.
    """
    _APPLY[event.kind](session, event, now)


def _account(session: Session, event: DirectoryChanged, now: datetime) -> None:
    account = find_or_stub(session, Account, event.crm_id, event.name)
    if account is None or not _take(account, event):
        return
    target = find_or_stub(session, Account, event.merged_into, event.name)
    if target is None or target is account:
        return
    account.active = False
    for contact in session.scalars(select(Contact).where(Contact.account_id == account.id)):
        contact.account = target
    for grant in session.scalars(select(AccountGrant).where(AccountGrant.account_id == account.id)):
        _move_grant(session, grant, contact=grant.contact, account=target)
    for ticket in session.scalars(_open_to_change().where(Ticket.account_id == account.id)):
        fields.set_record(session, ticket, "account", target, actor=CRM, now=now)
        snapshots.publish(session, ticket, actor=CRM, now=now)


def _product(session: Session, event: DirectoryChanged, now: datetime) -> None:
    product = find_or_stub(session, Product, event.crm_id, event.name)
    if product is None or not _take(product, event):
        return
    target = find_or_stub(session, Product, event.merged_into, event.name)
    if target is None or target is product:
        return
    product.active = False
    for ticket in session.scalars(_open_to_change().where(Ticket.product_id == product.id)):
        fields.set_record(session, ticket, "product", target, actor=CRM, now=now)
        snapshots.publish(session, ticket, actor=CRM, now=now)


def _contact(session: Session, event: DirectoryChanged, now: datetime) -> None:
    contact = _find_contact(session, event)
    if not _take(contact, event):
        return
    contact.crm_id = event.crm_id
    if event.account_crm_id is not None:
        contact.account = find_or_stub(session, Account, event.account_crm_id, None)
    # A contact without any address in the CRM keeps those he registered with: they are how he is reached.
    if event.emails:
        _set_emails(session, contact, event.emails)
    session.flush()
    if event.merged_into is not None and event.merged_into != event.crm_id:
        _merge_contact(session, contact, event.merged_into, now)


def _find_contact(session: Session, event: DirectoryChanged) -> Contact:
    """By the CRM's id, else somebody registered here whom only one of its addresses means, else a new one."""
    found = session.scalar(select(Contact).where(Contact.crm_id == event.crm_id))
    if found is None:
        found = _registered(session, event)
    if found is None:
        found = Contact(crm_id=event.crm_id, name=event.name, crm_revision=0, active=True)
        session.add(found)
        session.flush()
    return found


def _registered(session: Session, event: DirectoryChanged) -> Contact | None:
    """The one portal contact without a CRM id that has one of these addresses; of several, none is guessed."""
    keys = {email_key(address) for address in event.emails}
    query = select(Contact).join(Contact.emails).where(Contact.crm_id.is_(None), ContactEmail.key.in_(keys)).distinct()
    found = session.scalars(query.limit(2)).all()
    return found[0] if len(found) == 1 else None


def _merge_contact(session: Session, contact: Contact, target_crm_id: str, now: datetime) -> None:
    target = session.scalar(select(Contact).where(Contact.crm_id == target_crm_id))
    if target is None:
        target = Contact(crm_id=target_crm_id, name=contact.name, account_id=contact.account_id, active=True)
        session.add(target)
        session.flush()
    tickets = list(session.scalars(_open_to_change().where(Ticket.contact_id == contact.id)))
    _hand_over(session, contact, target)
    for ticket in tickets:
        history.record(
            session, ticket, "changed", actor=CRM, now=now, field="contact", before=contact.name, after=target.name
        )
        snapshots.publish(session, ticket, actor=CRM, now=now)


def _hand_over(session: Session, old: Contact, new: Contact) -> None:
    """Give one contact's tickets, addresses, grants and log-in to another; the old one stays, inactive."""
    old.active = False
    for ticket in session.scalars(select(Ticket).where(Ticket.contact_id == old.id)):
        ticket.contact = new
    addresses = [*(email.address for email in new.emails), *(email.address for email in old.emails)]
    _set_emails(session, new, tuple(addresses))
    for grant in list(old.grants):
        _move_grant(session, grant, contact=new, account=grant.account)
    user = session.scalar(select(User).where(User.contact_id == old.id))
    if user is not None and session.scalar(select(User.id).where(User.contact_id == new.id)) is None:
        user.contact = new
    session.flush()


def _move_grant(session: Session, grant: AccountGrant, *, contact: Contact, account: Account) -> None:
    whole = grant.whole_account
    session.delete(grant)
    session.flush()
    existing = session.get(AccountGrant, (contact.id, account.id))
    if existing is None:
        contact.grants.append(AccountGrant(account=account, whole_account=whole))
    else:
        existing.whole_account = existing.whole_account or whole
    session.flush()
    session.expire(contact, ["grants"])


def _user(session: Session, event: DirectoryChanged, now: datetime) -> None:
    """A CRM user who is a support agent here: known by his id, or linked once by an address that is only his."""
    users.remember(session, event)
    staff = session.scalar(select(Staff).where(Staff.crm_id == event.crm_id)) or _staff_by_email(session, event)
    if staff is None or not _take(staff, event):
        return
    is_merged = event.merged_into is not None and event.merged_into != event.crm_id
    staff.active = (event.active or is_merged) and staff.deactivated_at is None
    user_id = event.merged_into if is_merged and event.merged_into else event.crm_id
    if staff.crm_id != user_id and session.scalar(select(Staff.id).where(Staff.crm_id == user_id)) is None:
        users.link(session, staff, user_id, now=now)


def _staff_by_email(session: Session, event: DirectoryChanged) -> Staff | None:
    keys = {email_key(address) for address in event.emails}
    unlinked = session.scalars(select(Staff).where(Staff.crm_id.is_(None)))
    found = [staff for staff in unlinked if email_key(staff.email) in keys]
    return found[0] if len(found) == 1 else None


def _take(record: Account | Contact | Product | Staff, event: DirectoryChanged) -> bool:
    """Set what all kinds have; False when a newer revision was taken before."""
    if event.revision < record.crm_revision:
        return False
    record.crm_revision = event.revision
    record.name = event.name[:255]
    record.active = event.active
    return True


def _set_emails(session: Session, contact: Contact, addresses: tuple[str, ...]) -> None:
    unique = {email_key(address): address for address in reversed(addresses)}
    wanted = [(key, unique[key]) for key in dict.fromkeys(email_key(address) for address in addresses)]
    if [(email.key, email.address) for email in contact.emails] == wanted:
        return
    contact.emails.clear()
    session.flush()
    contact.emails = [
        ContactEmail(position=position, address=address, key=key) for position, (key, address) in enumerate(wanted)
    ]


def _open_to_change() -> Select[Ticket]:
    return select(Ticket).where(Ticket.deleted_at.is_(None)).order_by(Ticket.number).with_for_update(of=Ticket)


_APPLY = {"account": _account, "contact": _contact, "user": _user, "product": _product}
