from typing import Any

import pytest
from sqlalchemy import func, select

from portal_service.crm.handlers import apply
from portal_service.people.models import Account, Contact, ContactEmail, Staff
from portal_service.people.staff_accounts import NewStaff, add_administrator
from portal_service.tickets.actions import apply_case_change, delete
from portal_service.tickets.models import Product
from shared.emails import email_key, is_email
from shared.events import CaseChanged, DirectoryChanged, FieldChange, TicketChanged
from tests.portal_service.support_desk import Help


def tell(desk: Help, session: Any, kind: Any, crm_id: str, name: str, **more: Any) -> None:
    event = DirectoryChanged(kind=kind, crm_id=crm_id, name=name, **{"revision": 1, "active": True, **more})
    apply(session, event, now=desk.clock.now)


@pytest.mark.parametrize(("kind", "model"), [("account", Account), ("contact", Contact), ("product", Product)])
def test_new_records_arrive_and_older_revisions_say_nothing(desk: Help, kind: str, model: Any) -> None:
    with desk.write() as session:
        tell(desk, session, kind, "X-1", "Second name", revision=2)
        tell(desk, session, kind, "X-1", "First name", revision=1)
        tell(desk, session, kind, "X-1", "Second name", revision=2)
        record = session.scalars(select(model).where(model.crm_id == "X-1")).one()
        assert (record.name, record.active) == ("Second name", True)
        tell(desk, session, kind, "X-1", "Second name", revision=3, active=False)
        assert session.scalars(select(model).where(model.crm_id == "X-1")).one().active is False


def test_a_stub_gets_its_name_when_the_directory_tells_it(desk: Help) -> None:
    with desk.write() as session:
        tell(desk, session, "contact", "C-1", "Ann", account_crm_id="A-new", emails=("ann@new.example",))
        account = session.scalars(select(Account).where(Account.crm_id == "A-new")).one()
        assert account.name == "A-new"
        tell(desk, session, "account", "A-new", "New Ltd")
        assert account.name == "New Ltd"


def test_crm_users_do_not_become_agents_but_agents_are_linked(desk: Help) -> None:
    with desk.write() as session:
        before = session.scalar(select(func.count()).select_from(Staff))
        tell(desk, session, "user", "U-anna", "Anna", emails=("anna@crm.example",))
        assert session.scalar(select(func.count()).select_from(Staff)) == before
        desk.staff(session, "Nora").crm_id = None
        session.flush()
        tell(desk, session, "user", "U-7", "Nora Bakker", emails=("NORA@support.example",))
        nora = desk.staff(session, "Nora Bakker")
        assert (nora.crm_id, nora.email) == ("U-7", "nora@support.example")
        tell(desk, session, "user", "U-7", "Nora Bakker", revision=2, active=False)
        assert nora.active is False


def test_an_agent_added_after_the_crm_told_of_the_user_is_linked(desk: Help) -> None:
    with desk.write() as session:
        tell(desk, session, "user", "U-ruth", "Ruth", emails=("Ruth@support.example",), revision=3)
        tell(desk, session, "user", "U-ruth", "Ruth", revision=2, active=False)
        tell(desk, session, "user", "U-gone", "Gus", emails=("gus@support.example",), active=False)
        for name in ("ruth", "gus"):
            given = NewStaff(name=name, email=f"{name}@support.example", username=name, language="en")
            add_administrator(session, given, now=desk.clock.now)
        assert desk.staff(session, "ruth").crm_id == "U-ruth"
        assert desk.staff(session, "gus").crm_id is None


@pytest.mark.parametrize("how", ["found by his address", "merged into another user"])
def test_the_tickets_of_an_agent_tell_of_the_user_he_turned_out_to_be(desk: Help, how: str) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        assert ticket.assignee is not None
        agent, version = ticket.assignee, ticket.version
        if how == "found by his address":
            agent.crm_id = None
            session.flush()
            tell(desk, session, "user", "U-new", agent.name, emails=(agent.email,))
        else:
            assert agent.crm_id is not None
            tell(desk, session, "user", agent.crm_id, agent.name, revision=9, active=False, merged_into="U-new")
        assert (agent.crm_id, agent.active) == ("U-new", True)
        assert ticket.version == version + 1
        told = [event for event in desk.told(session) if isinstance(event, TicketChanged)][-1]
        assert told.assignee is not None
        assert told.assignee.crm_id == "U-new"


def test_a_foreign_assignee_becomes_the_agent_once_linked(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        assert ticket.assignee is not None
        change = FieldChange(field="assignee", before=ticket.assignee.crm_id, after="U-9", after_label="Mila")
        event = CaseChanged(
            ticket_id=ticket.id, pull_number=1, changes=(change,), changed_by="Anna", changed_at=desk.clock.now
        )
        apply_case_change(session, event, now=desk.clock.now)
        desk.staff(session, "Mila").crm_id = None
        session.flush()
        tell(desk, session, "user", "U-9", "Mila", emails=("mila@support.example",))
        assert ticket.assignee is not None
        assert (ticket.assignee.name, ticket.foreign_assignee) == ("Mila", None)


def test_a_merged_account_hands_over_tickets_people_and_grants(desk: Help) -> None:
    with desk.write() as session:
        ticket, gone = desk.submit(session), desk.submit(session)
        delete(session, gone, actor=desk.actor(session, "sam"), now=desk.clock.now)
        tell(desk, session, "account", "A-Acme", "Acme", active=False, merged_into="A-Globex")
        globex = desk.account(session, "Globex")
        assert ticket.account is globex
        assert gone.account is not globex
        assert desk.contact(session, "Carol").account is globex
        assert [(grant.account, grant.whole_account) for grant in desk.contact(session, "Peter").grants] == [
            (globex, True)
        ]
        assert desk.account(session, "Acme").active is False
        told = [event for event in desk.told(session) if isinstance(event, TicketChanged)][-1]
        assert (told.number, told.version, told.account_crm_id) == (ticket.number, 2, "A-Globex")


def test_merged_contacts_become_one_with_all_addresses_tickets_and_the_log_in(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        tell(
            desk,
            session,
            "contact",
            "C-new",
            "Carol Jansen",
            emails=("c.jansen@acme.example",),
            account_crm_id="A-Acme",
        )
        tell(desk, session, "contact", "C-Carol", "Carol", active=False, merged_into="C-new")
        merged = desk.contact(session, "Carol Jansen")
        assert ticket.contact is merged
        assert [email.address for email in merged.emails] == ["c.jansen@acme.example", "carol@acme.example"]
        assert desk.user(session, "carol").contact is merged
        assert desk.contact(session, "Carol").active is False
        told = [event for event in desk.told(session) if isinstance(event, TicketChanged)][-1]
        assert told.contact is not None
        assert (told.version, told.contact.crm_id) == (2, "C-new")


def test_a_merged_product_is_followed(desk: Help) -> None:
    with desk.write() as session:
        ticket = desk.submit(session)
        tell(desk, session, "product", "P-Portal Server", "Portal Server", active=False, merged_into="P-Sync Engine")
        assert ticket.product is desk.product(session, "Sync Engine")


def test_a_registered_contact_is_recognised_by_an_address_only_he_has(desk: Help) -> None:
    with desk.write() as session:
        zoe = registered(desk, session, "Zoe", "Zoe@Acme.example")
        tell(desk, session, "contact", "C-zoe", "Zoe Z.", emails=("zoe@acme.example",), account_crm_id="A-Acme")
        assert (zoe.crm_id, zoe.name) == ("C-zoe", "Zoe Z.")


def registered(desk: Help, session: Any, name: str, address: str) -> Contact:
    """Somebody who came by a registration: the CRM does not know him yet."""
    contact = Contact(name=name, account=desk.account(session, "Acme"))
    contact.emails = [ContactEmail(position=0, address=address, key=email_key(address))]
    session.add(contact)
    session.flush()
    return contact


def test_an_address_that_several_share_is_not_guessed(desk: Help) -> None:
    with desk.write() as session:
        for name in ("ann", "bob"):
            registered(desk, session, name, "info@acme.example")
        tell(desk, session, "contact", "C-info", "Info", emails=("info@acme.example",))
        assert {desk.contact(session, name).crm_id for name in ("ann", "bob")} == {None}
        assert desk.contact(session, "Info").crm_id == "C-info"


@pytest.mark.parametrize(
    ("one", "other"),
    [("A@x.example", "a@X.EXAMPLE"), ("ü@münchen.example", "u\u0308@xn--mnchen-3ya.example"), (" a@b.c ", "a@b.c")],
)
def test_spellings_of_one_address_are_equal(one: str, other: str) -> None:
    assert email_key(one) == email_key(other)


@pytest.mark.parametrize("text", ["", "a", "a@b", "a b@c.d", "a@b.c\nBcc: x@y.z", "<a@b.c>", "a@@b.c", "a@b..c"])
def test_what_is_no_address_is_recognised(text: str) -> None:
    assert not is_email(text)
