from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from portal_service.people.models import Account, Contact, Staff
from portal_service.tickets.models import InternalNote, Reply, Ticket
from portal_service.tickets.text import MAX_BODY
from tests.portal_service.imports.conftest import OldDesk, csv_text, json_lines, row


def test_a_ticket_keeps_its_dates_status_and_words_and_tells_the_crm(old_desk: OldDesk) -> None:
    tally = old_desk.take(
        csv_text(
            row(
                "7",
                status="Resolved",
                priority="Urgent",
                description="<p>It <b>fails</b></p>",
                updated="2024-03-06",
                closed="2024-03-06 09:30",
                assignee="nora@SUPPORT.example",
                product="sync engine",
                tags="vip, old",
                url="https://acme.example/7",
            )
        )
    )

    ticket = old_desk.ticket("7")
    assert (tally.imported, tally.bad) == (1, 0)
    assert (ticket.status, ticket.priority, ticket.origin) == ("solved", "urgent", "import")
    assert ticket.description == "It fails"
    assert ticket.created_at == datetime(2024, 3, 5, 14, tzinfo=UTC)
    assert ticket.resolved_at == datetime(2024, 3, 6, 9, 30, tzinfo=UTC)
    assert ticket.assignee is not None
    assert ticket.assignee.name == "Nora"
    assert ticket.product is not None
    assert ticket.product.name == "Sync Engine"
    assert ticket.account is not None
    assert ticket.account.name == "Acme"
    assert ticket.details == {"Imported from": "old 7", "Tags": "vip, old"}
    assert ticket.link_url == "https://acme.example/7"
    (event,) = old_desk.events(ticket)
    assert event["status"] == "solved"
    assert event["contact"]["email"] == "carol@acme.example"
    assert event["created_at"].startswith("2024-03-05T14:00")


def test_nobody_gets_a_mail(old_desk: OldDesk) -> None:
    old_desk.take(csv_text(row("1"), row("2", status="open"), row("3", email="new@customer.example", status="pending")))
    assert old_desk.imported() == {"1", "2", "3"}
    assert old_desk.mails() == 0


def test_open_tickets_are_shared_out_by_the_usual_rule_and_finished_ones_are_nobodys(old_desk: OldDesk) -> None:
    old_desk.take(csv_text(*(row(str(number), status="open") for number in range(12)), row("done", status="closed")))

    with old_desk.database.read() as session:
        owners = [
            ticket.assignee.name if ticket.assignee else None
            for ticket in session.scalars(
                select(Ticket).where(Ticket.external_ref.like("old:%"), Ticket.status == "open")
            )
        ]
    assert set(owners) == {"Sam", "Nora"}
    assert abs(owners.count("Sam") - owners.count("Nora")) <= 4
    assert old_desk.ticket("0").assignment["candidates"]
    assert old_desk.ticket("done").assignee is None


def test_a_second_import_changes_nothing(old_desk: OldDesk) -> None:
    text = csv_text(row("1"), row("2", email="new@customer.example"), row("3", status="nonsense"))
    old_desk.take(text)
    before = old_desk.ticket("2")

    again = old_desk.take(text)

    assert (again.imported, again.present, again.bad) == (0, 2, 1)
    assert sorted(old_desk.imported()) == ["1", "2"]
    assert old_desk.ticket("2").version == before.version
    assert len(old_desk.events(before)) == 1


def test_a_dry_run_says_the_same_as_the_run_and_stores_nothing(old_desk: OldDesk) -> None:
    rows = [row(str(number), email=f"p{number % 7}@customer.example", company="New GmbH") for number in range(250)]
    text = csv_text(*rows, row("bad", created="nonsense"))
    before = old_desk.refs()

    planned = old_desk.take(text, dry_run=True, create_accounts=True)

    assert old_desk.refs() == before
    with old_desk.database.read() as session:
        assert session.scalars(select(Contact).where(Contact.name.like("p_"))).all() == []
        assert session.scalars(select(Account).where(Account.name == "New GmbH")).all() == []
    assert (planned.imported, planned.bad, len(planned.new_contacts)) == (250, 1, 7)
    assert old_desk.take(text, create_accounts=True) == planned


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"email": "nobody"}, "no requester's e-mail address"),
        ({"email": "a@b"}, "'a@b' is no e-mail address"),
        ({"email": "twins@acme.example"}, "an address of 2 contacts (Twin One, Twin Two)"),
        ({"status": "Gone"}, "the status 'Gone' is not known"),
        ({"priority": "P1"}, "the priority 'P1' is not known"),
        ({"company": "Unheard Of"}, "there is no account 'Unheard Of'"),
        ({"created": "3/4/2024"}, "nothing tells the day from the month"),
        ({"created": "2030-01-01"}, "lies in the future"),
        ({"id": ""}, "no id"),
        ({"subject": "", "description": " "}, "neither a subject nor a description"),
        ({"comments": "[{"}, "no JSON list"),
        ({"tags": "x" * 5000}, "longer than"),
    ],
)
def test_a_bad_row_is_reported_with_line_and_reason_and_the_others_come_in(
    old_desk: OldDesk, changes: dict[str, str], reason: str
) -> None:
    fields = dict.fromkeys(changes, "") | row("1")
    tally = old_desk.take(csv_text(fields, {**fields, "id": "2", **changes}, {**fields, "id": "3"}))

    assert (tally.imported, tally.bad) == (2, 1)
    assert list(old_desk.bad) == [3]
    assert reason in old_desk.bad[3]
    assert old_desk.imported() == {"1", "3"}


def test_a_row_the_database_refuses_costs_itself_only(old_desk: OldDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process imports the same ticket between our look and our write."""
    rows = [row(str(number)) for number in range(30)]
    old_desk.take(csv_text(rows[17]))
    monkeypatch.setattr("portal_service.imports.directory.imported_numbers", lambda *_: {})

    tally = old_desk.take(csv_text(*rows))

    assert (tally.imported, tally.bad) == (29, 1)
    assert "cannot be stored" in old_desk.bad[19]
    assert len(old_desk.imported()) == 30


def test_one_id_with_two_contents_is_bad_and_with_the_same_contents_is_said_once(old_desk: OldDesk) -> None:
    tally = old_desk.take(csv_text(row("1"), row("1"), row("1", subject="Other")))
    assert (tally.imported, tally.repeated, tally.bad) == (1, 1, 1)
    assert "already on line 2" in old_desk.bad[4]


def test_a_requester_is_found_by_any_address_and_a_new_one_once(old_desk: OldDesk) -> None:
    tally = old_desk.take(
        csv_text(
            row("1", email="CAROL@ACME.example", name=""),
            row("2", email="Zoë Smith <zoe@customer.example>", name=""),
            row("3", email="Zoe@Customer.example", name=""),
            row("4", email="twins@acme.example", name="", status="closed"),
        )
    )
    assert tally.new_contacts == {"zoe@customer.example"}
    assert old_desk.ticket("1").contact is not None
    assert old_desk.ticket("1").contact.name == "Carol"  # type: ignore[union-attr] # as the line above says
    assert old_desk.ticket("2").contact_id == old_desk.ticket("3").contact_id
    assert old_desk.ticket("2").contact.name == "Zoë Smith"  # type: ignore[union-attr] # as above
    assert list(old_desk.bad) == [5]


def test_a_shared_address_is_no_question_where_the_account_answers_it(old_desk: OldDesk) -> None:
    with old_desk.database.write() as session:
        acme = session.scalars(select(Account).where(Account.name == "Acme")).one()
        session.scalars(select(Contact).where(Contact.name == "Twin Two")).one().account = acme
    old_desk.take(csv_text(row("1", email="twins@acme.example", company=" ACME ")))
    assert old_desk.ticket("1").contact.name == "Twin Two"  # type: ignore[union-attr] # there is one


def test_what_is_not_known_here_is_kept_in_the_details(old_desk: OldDesk) -> None:
    tally = old_desk.take(csv_text(row("1", product="Abacus", type="Incident", agent="Gone Agent", status="open")))
    ticket = old_desk.ticket("1")
    assert ticket.details == {
        "Imported from": "old 1",
        "Type": "Incident",
        "Product": "Abacus",
        "Assigned to": "Gone Agent",
    }
    assert ticket.request_type.key == "level-1"
    assert ticket.category is not None
    assert ticket.category.name_en == "Other"
    assert ticket.assignee is not None
    assert len(tally.remarks) == 3


def test_an_agent_who_left_keeps_what_he_finished_and_not_what_is_open(old_desk: OldDesk) -> None:
    with old_desk.database.write() as session:
        session.scalars(select(Staff).where(Staff.email == "nora@support.example")).one().active = False
    old_desk.take(csv_text(row("1", agent="Nora"), row("2", agent="Nora", status="open")))
    assert old_desk.ticket("1").assignee.name == "Nora"  # type: ignore[union-attr] # there is one
    assert old_desk.ticket("2").assignee.name == "Sam"  # type: ignore[union-attr] # there is one


def test_the_mapping_gives_values_accounts_and_defaults_their_meaning(old_desk: OldDesk) -> None:
    old_desk.take(
        csv_text(row("1", status="Wartet", email="", company="ACME Holding")),
        values={"status": {"wartet": "pending"}, "account": {"acmeholding": "Acme"}},
        defaults={"requester_email": "peter@acme.example", "type": "billing"},
    )
    ticket = old_desk.ticket("1")
    assert ticket.status == "pending"
    assert ticket.account.name == "Acme"  # type: ignore[union-attr] # there is one
    assert ticket.contact.name == "Peter"  # type: ignore[union-attr] # there is one


CONVERSATION = [
    {"id": 1, "author": {"name": "Carol", "email": "carol@acme.example"}, "public": True, "plain_body": "It fails"},
    {"author": {"name": "Sam", "email": "sam@support.example"}, "public": True, "html_body": "<p>Try <b>this</b></p>",
     "created_at": "2024-03-06T10:00:00Z"},
    {"author": {"name": "Nora", "email": "nora@support.example"}, "public": False, "body": "He is angry",
     "created_at": "2024-03-06T09:00:00Z"},
    {"author": {"name": "Eve", "email": "eve@elsewhere.example"}, "body": "Who may read this?",
     "created_at": "2024-03-07T09:00:00Z"},
]  # fmt: skip


def test_a_conversation_becomes_replies_and_notes_in_order(old_desk: OldDesk) -> None:
    tally = old_desk.take(
        json_lines(
            {
                "id": 35436,
                "subject": "Help",
                "description": "It fails",
                "status": "solved",
                "requester": {"name": "Carol", "email": "carol@acme.example"},
                "organization": {"name": "Acme"},
                "created_at": "2024-03-05T10:00:00Z",
                "comments": CONVERSATION,
            }
        )
    )
    ticket = old_desk.ticket("35436")
    assert [(type(entry), entry.side, entry.author_name, entry.body) for entry in ticket.entries] == [
        (InternalNote, "staff", "Nora", "He is angry"),
        (Reply, "staff", "Sam", "Try this"),
        (InternalNote, "staff", "Eve", "Who may read this?"),
    ]
    assert ticket.entry_count == 3
    assert any("do not say who may see them" in remark for remark in tally.remarks)
    kinds = [("note_id" in event, "reply_id" in event, event.get("position")) for event in old_desk.events(ticket)[1:]]
    assert kinds == [(True, False, 1), (False, True, 2), (True, False, 3)]
    assert old_desk.events(ticket)[0]["reply_count"] == 3
    assert old_desk.mails() == 0


@pytest.mark.parametrize(
    ("said", "side", "name"),
    [
        ({"from_email": "sam@support.example"}, "staff", "Sam"),
        ({"from_email": "DAVE@globex.example"}, "customer", "Dave"),
        ({"from_email": "colleague@acme.example"}, "customer", "colleague@acme.example"),
        ({"from_email": "former@helpdesk.example", "author": "Old Agent"}, "staff", "Old Agent"),
        ({"role": "end-user"}, "customer", "Carol"),
        ({"role": "agent", "from_email": "carol@acme.example"}, "staff", "Carol"),
        ({}, "staff", "Unknown"),
    ],
)
def test_the_author_of_a_comment_is_who_the_export_and_the_records_say(
    old_desk: OldDesk, said: dict[str, str], side: str, name: str
) -> None:
    old_desk.take(json_lines({**row("1"), "comments": [{"body": "words", "public": True, **said}]}))
    (entry,) = old_desk.ticket("1").entries
    assert (entry.side, entry.author_name) == (side, name)


def test_a_first_comment_stands_in_for_a_missing_description(old_desk: OldDesk) -> None:
    talk = '[{"body": "First words", "public": true}, {"body": "Second", "public": true, "incoming": true}]'
    old_desk.take(csv_text(row("1", description="", comments=talk), row("2", description="", comments="")))
    ticket = old_desk.ticket("1")
    assert ticket.description == "First words"
    assert [(entry.body, entry.side, entry.author_name) for entry in ticket.entries] == [
        ("Second", "customer", "Carol")
    ]
    assert old_desk.ticket("2").description == "Ticket 2"


def test_nothing_of_a_text_that_is_too_long_is_lost(old_desk: OldDesk) -> None:
    text = "#!/bin/sh\n" + "words 😀 and more\n" * 8000
    old_desk.take(
        json_lines(
            {**row("1", subject="s" * 400, description=text), "comments": [{"body": "Log:\n" + text, "public": False}]}
        )
    )
    ticket = old_desk.ticket("1")
    assert len(ticket.subject) == 255
    assert ticket.description.startswith("s" * 400 + "\n\n#!/bin/sh")
    assert len(ticket.description) <= MAX_BODY
    assert ticket.description.endswith("are in the attached description.txt]")
    whole, of_note = ticket.attachments
    assert (whole.name, whole.internal, of_note.internal) == ("description.txt", False, True)
    with old_desk.storage.open(whole.sha256) as stream:
        assert text in stream.read().decode()
    first, note = old_desk.events(ticket)
    assert [link["name"] for link in first["attachments"]] == ["description.txt"]
    assert [link["name"] for link in note["attachments"]] == ["comment-1.txt"]
