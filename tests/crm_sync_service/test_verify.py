"""`casebridge verify` against the bundled CRM over HTTP: each kind of damage is found, and nothing else."""

import json
import shutil
import threading
from dataclasses import replace

import pytest
from click.testing import CliRunner
from flask import Flask, redirect
from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session
from structlog.testing import capture_logs
from werkzeug.serving import make_server

from crm_sync_service import verify
from crm_sync_service.connectors.config import ConnectorConfig, default_mapping
from crm_sync_service.connectors.desk import DeskConnector
from crm_sync_service.desk.app import create_app
from crm_sync_service.desk.base import open_database as open_desk_database
from crm_sync_service.desk.demo import load_demo
from crm_sync_service.desk.models import Case, Note
from crm_sync_service.mapping import case_id_of, note_id_of
from crm_sync_service.mapping_file import read_mapping
from crm_sync_service.models import Base, Lane, Link, ReplyReplica, inbox, outbox
from crm_sync_service.templates import NOTE_PLACEHOLDERS, parse_template
from crm_sync_service.verifier import Counts, Verifier, WebLinks
from shared.broker import Broker
from shared.clock import utc_now
from shared.database import Database
from shared.events import AttachmentLink, Message, Person
from shared.ids import derived_id, new_id
from tests.crm_sync_service.desk.client import KEY, desk_settings
from tests.crm_sync_service.engine import Engine, new_internal_note, new_reply, new_ticket

FILE = read_mapping(default_mapping("desk"))


def demo(kind, key):
    return str(derived_id(f"demo-{kind}", key))


@pytest.fixture
def serve():
    """Serves applications on free ports until the test ends; returns their addresses."""
    servers = []

    def serve_(app):
        server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve_
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def desk_file(tmp_path_factory):
    """A database of the bundled CRM with its demo records, made once: their passwords take long to hash."""
    file = tmp_path_factory.mktemp("desk") / "crm.db"
    database = open_desk_database(f"sqlite:///{file}")
    database.upgrade()
    with database.write() as session:
        load_demo(session, utc_now())
    database.dispose()
    return file


@pytest.fixture
def desk(desk_file, tmp_path):
    """The bundled CRM."""
    shutil.copy(desk_file, tmp_path / "crm.db")
    app = create_app(desk_settings(f"sqlite:///{tmp_path}/crm.db", tmp_path))
    yield app
    app.extensions["desk"].database.dispose()


class Desk(DeskConnector):
    def mapping(self):
        return FILE.case_mapping(self)


@pytest.fixture
def crm(desk, serve):
    connector = Desk(ConnectorConfig(url=serve(desk), api_key=KEY, fields=FILE.attributes))
    yield connector
    connector.close()


@pytest.fixture
def in_crm(desk):
    """Changes records of the CRM behind everybody's back."""

    def change(statement):
        with desk.extensions["desk"].database.write() as session:
            assert session.execute(statement).rowcount == 1

    return change


@pytest.fixture
def portal(serve):
    """The portal's answers to links; `gone` are the files it has lost."""
    app, app_gone = Flask("portal"), set()

    @app.get("/files/<name>")
    def file(name):
        return ("lost", 404) if name in app_gone else "content"

    @app.get("/tickets/<int:number>")
    def ticket(number):
        return redirect("/log-in")

    app.gone = app_gone
    app.address = serve(app)
    return app


class Tickets:
    """A portal's ticket source, in memory."""

    def __init__(self):
        self.kept, self.said, self.unsent_events = {}, {}, 0

    def count(self):
        return len(self.kept)

    def tickets(self):
        return iter(sorted(self.kept.values(), key=lambda ticket: ticket.number))

    def entries(self, ticket_id):
        return self.said.get(ticket_id, [])

    def unsent(self):
        return self.unsent_events


class Pair:
    """Tickets and the sync service that mirrors them."""

    def __init__(self, database, crm, portal, tmp_path):
        self.engine, self.crm, self.portal = Engine(database, crm), crm, portal
        self.engine.clock = utc_now()
        self.source = Tickets()
        self.broker = Broker(f"embedded:///{tmp_path}/broker.db")

    def file(self, number, **changes):
        """A ticket with an attachment, two replies and an internal note, mirrored."""
        base = self.portal.address
        link = AttachmentLink(id=new_id(), name="screen shot.png", size=2048, url=f"{base}/files/shot-{number}")
        told = AttachmentLink(id=new_id(), name="log.txt", size=10, url=f"{base}/files/log-{number}")
        ticket = new_ticket(
            number=number,
            ticket_url=f"{base}/tickets/{number}",
            account_crm_id=demo("account", "acme"),
            product_crm_id=demo("product", "portal"),
            contact=Person(name="Carol Jansen", email="carol@acme.example", crm_id=demo("contact", "carol")),
            assignee=Person(name="Sam Peters", email="sam@support.example", crm_id=demo("user", "sam")),
            attachments=(link, told),
            reply_count=3,
            **changes,
        )
        entries = [
            replace(new_reply(ticket, 1, "It still burns.\r\nSee the log."), attachments=(told,)),
            new_internal_note(ticket, 2),
            new_reply(ticket, 3, "Danke — 谢谢 🙏"),
        ]
        self.source.kept[ticket.ticket_id], self.source.said[ticket.ticket_id] = ticket, entries
        self.engine.receive(ticket, *entries)
        self.engine.settle()
        self.deliver()
        return ticket

    def deliver(self):
        """The relay has sent everything."""
        with self.engine.database.write() as session:
            session.execute(update(outbox.table).values(sent_at=utc_now()))

    def change(self, ticket, **changes):
        changed = replace(ticket, version=ticket.version + 1, **changes)
        self.source.kept[ticket.ticket_id] = changed
        return changed

    def verify(self, *, links=None):
        """What it prints, line by line, and the counts."""
        verifier = Verifier(
            source=self.source, database=self.engine.database, crm=self.crm, mapping=self.crm.mapping(), links=links
        )
        printed = []
        report = verify.Report(as_json=False, write=printed.append)
        return printed, verify.verify(verifier, self.broker, report)


@pytest.fixture
def pair(open_database, crm, portal, tmp_path):
    return Pair(open_database("sqlite", Base.metadata), crm, portal, tmp_path)


@pytest.fixture
def links():
    links = WebLinks()
    yield links
    links.close()


def only(pair, **options):
    """The one line that is printed when there is one thing wrong."""
    printed, counts = pair.verify(**options)
    assert not counts.all_equal
    assert len(printed) == 1, printed
    return printed[0]


def test_a_clean_pair_passes_and_everything_is_counted(pair, links):
    for number in range(1001, 1004):
        pair.file(number)
    printed, counts = pair.verify(links=links)
    assert printed == []
    assert counts == Counts(tickets=3, cases=3, notes=9, links=9)
    assert counts.all_equal


def test_what_account_managers_write_themselves_is_no_difference(pair, in_crm):
    ticket = pair.file(1001)
    case_id = case_id_of(ticket.ticket_id)
    case = pair.crm.get_case(case_id)
    text = f"Called them.\n\n{case.fields['description']}\n\nVIP"
    pair.crm.update_case(case_id, {"description": text}, version=None)
    note = {"id": str(new_id()), "case_id": case_id, "title": "Customer visit", "body": "They like it.", "position": 9}
    pair.crm._client.call("POST", "notes", body={**note, "author": "Anna", "side": "internal"})
    pair.engine.settle()
    pair.deliver()
    assert pair.verify() == ([], Counts(tickets=1, cases=1, notes=4))


def test_a_missing_case_is_found(pair, in_crm):
    ticket = pair.file(1001)
    in_crm(update(Case).where(Case.id == derived_id("case", ticket.ticket_id)).values(deleted=True))
    assert only(pair) == "#1001 its Case was deleted"


@pytest.mark.parametrize(
    ("column", "value", "line"),
    [
        ("name", "Printer", '#1001 subject: ticket has "Printer <on> fire", Case has "Printer"'),
        ("status", "closed", '#1001 status: ticket has "new", Case has "closed"'),
        ("priority", "high", '#1001 priority: ticket has "normal", Case has "high"'),
        ("product_id", None, f'#1001 product: ticket has "{demo("product", "portal")}", Case has nothing'),
        ("account_id", None, f'#1001 account: ticket has "{demo("account", "acme")}", Case has nothing'),
        ("contact_id", None, f'#1001 contact: ticket has "{demo("contact", "carol")}", Case has nothing'),
        ("assigned_user_id", None, f'#1001 assignee: ticket has "{demo("user", "sam")}", Case has nothing'),
        ("ticket_number", "7", '#1001 ticket number: ticket has "1001", Case has "7"'),
    ],
)
def test_a_changed_field_is_found(pair, in_crm, column, value, line):
    ticket = pair.file(1001)
    pair.file(1002)
    in_crm(update(Case).where(Case.id == derived_id("case", ticket.ticket_id)).values({column: value}))
    assert only(pair) == line


def test_altered_words_are_found_and_shown_where_they_part(pair, in_crm):
    ticket = pair.file(1001, description="word " * 100 + "and the end")
    text = pair.crm.get_case(case_id_of(ticket.ticket_id)).fields["description"]
    changed = update(Case).where(Case.id == derived_id("case", ticket.ticket_id))
    in_crm(changed.values(description=text.replace("and the end", "AND the end")))
    line = only(pair)
    assert line.startswith('#1001 description: ticket has "…')
    assert "and the end" in line
    assert "AND the end" in line


def test_an_altered_block_is_found(pair, in_crm):
    ticket = pair.file(1001)
    text = pair.crm.get_case(case_id_of(ticket.ticket_id)).fields["description"]
    changed = update(Case).where(Case.id == derived_id("case", ticket.ticket_id))
    in_crm(changed.values(description=text.replace("2,048 bytes", "4,096 bytes")))
    assert only(pair).startswith("#1001 managed block: ticket has ")


def test_a_missing_note_is_found(pair, in_crm):
    ticket = pair.file(1001)
    second = pair.source.said[ticket.ticket_id][1]
    in_crm(delete(Note).where(Note.id == derived_id("note", second.note_id)))
    assert only(pair) == '#1001 Note of reply 2: ticket has "a reply", Case has nothing'


def test_a_doubled_note_is_found(pair):
    ticket = pair.file(1001)
    first = pair.crm.notes_of(case_id_of(ticket.ticket_id))[0]
    twin = {"id": str(new_id()), "case_id": first.case_id, "title": first.title, "body": first.body, "position": 1}
    pair.crm._client.call("POST", "notes", body={**twin, "author": "Carol", "side": "customer"})
    assert f"one too many: {first.title!r} ({twin['id']})" in only(pair)


def test_notes_by_an_earlier_mapping_file_are_equal_if_they_say_the_same(pair, in_crm, monkeypatch):
    ticket = pair.file(1001)
    third = pair.source.said[ticket.ticket_id][2]
    now = pair.crm.mapping()
    later = replace(
        now.templates,
        note_title=parse_template("{author} wrote: {first_words}", NOTE_PLACEHOLDERS),
        note_body=parse_template("From {author}\n\n{body}\n\n{attachments}", NOTE_PLACEHOLDERS),
    )
    monkeypatch.setattr(pair.crm, "mapping", lambda: replace(now, templates=later))
    assert pair.verify() == ([], Counts(tickets=1, cases=1, notes=3))
    note = update(Note).where(Note.id == derived_id("note", third.reply_id))
    in_crm(note.values(body="Customer: Carol Jansen, 2026-11-22 09:03 UTC\n\nDanke"))
    assert only(pair).startswith("#1001 text of Note 3: ticket has ")


def test_an_altered_note_is_found(pair, in_crm):
    ticket = pair.file(1001)
    third = pair.source.said[ticket.ticket_id][2]
    in_crm(update(Note).where(Note.id == derived_id("note", third.reply_id)).values(body="Danke"))
    assert only(pair).startswith("#1001 text of Note 3: ticket has ")


def test_notes_out_of_order_are_found(pair, in_crm):
    ticket = pair.file(1001)
    first = pair.source.said[ticket.ticket_id][0]
    in_crm(update(Note).where(Note.id == derived_id("note", first.reply_id)).values(position=8))
    assert only(pair) == '#1001 order of the Notes: ticket has "[1, 2, 3]", Case has "[2, 3, 1]"'


def test_a_second_case_of_a_ticket_is_found(pair, in_crm):
    ticket = pair.file(1001)
    pair.crm._client.call("POST", "cases", body={"name": "Printer <on> fire", "ticket_number": "1001"})
    assert "names ticket #1001 and is not linked to it" in only(pair)
    assert ticket.number == 1001


def test_a_case_that_has_nothing_to_do_with_tickets_is_left_alone(pair):
    pair.file(1001)
    pair.crm._client.call("POST", "cases", body={"name": "A lead"})
    assert pair.verify()[0] == []


@pytest.mark.parametrize("name", ["shot-1001", "log-1001"])
def test_a_dead_link_is_found(pair, links, portal, name):
    pair.file(1001)
    portal.gone.add(name)
    line = only(pair, links=links)
    assert line.endswith(f"does not open: the answer 404 from {portal.address}/files/{name}")


def test_an_internal_notes_attachment_is_opened_as_well(pair, links, portal):
    ticket = pair.file(1001)
    secret = AttachmentLink(id=new_id(), name="dump.bin", size=1, url=f"{portal.address}/files/dump")
    note = replace(new_internal_note(ticket, 4), attachments=(secret,))
    pair.source.said[ticket.ticket_id].append(note)
    pair.engine.receive(note)
    pair.engine.settle()
    pair.deliver()
    portal.gone.add("dump")
    assert "link of 'dump.bin'" in only(pair, links=links)


def test_a_removed_ticket_needs_its_note(pair, in_crm):
    ticket = pair.file(1001)
    removed = pair.change(ticket, deleted_at=utc_now(), deleted_by="Sam Peters")
    pair.engine.receive(removed)
    pair.engine.settle()
    pair.deliver()
    assert pair.verify()[0] == []
    in_crm(delete(Note).where(Note.id == note_uuid(f"removal:{ticket.ticket_id}")))
    assert only(pair) == '#1001 removal Note: ticket has "been removed by Sam Peters", Case has nothing'


def note_uuid(key):
    assert note_id_of(key) == str(derived_id("note", key))
    return derived_id("note", key)


def test_a_ticket_removed_before_it_reached_the_crm_needs_no_case(pair):
    ticket = new_ticket(deleted_at=utc_now(), deleted_by="Sam Peters")
    pair.source.kept[ticket.ticket_id] = ticket
    pair.engine.receive(ticket)
    pair.engine.settle()
    pair.deliver()
    assert pair.verify() == ([], Counts(tickets=1))


def test_a_requester_found_by_address_is_compared_too(pair, in_crm):
    ticket = pair.file(1001)
    guest = pair.change(ticket, contact=Person(name="Carol", email="CAROL@acme.example"))
    pair.engine.receive(guest)
    pair.engine.settle()
    pair.deliver()
    assert pair.verify()[0] == []
    in_crm(update(Case).where(Case.id == derived_id("case", ticket.ticket_id)).values(contact_id=None))
    assert only(pair).startswith("#1001 contact: ")


def test_a_change_the_sync_service_has_not_got_waits(pair):
    ticket = pair.file(1001)
    pair.change(ticket)
    assert only(pair) == "waits: #1001 version 2 has not reached the sync service, which has 1"


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        (update(Lane).values(state="due"), "waits: #1001 is still being worked on"),
        (
            update(Lane).values(state="parked", cause="the CRM refuses: 422: no"),
            "waits: #1001 is parked: the CRM refuses: 422: no",
        ),
        (update(Link).values(pending_push={"status": ["open"]}), "waits: #1001 has a pending push"),
        (update(Link).values(pending_create={"status": "open"}), "waits: #1001 has a pending create"),
        (update(Link).values(pending_pull={"sent_at": "2026"}), "waits: #1001 has a pending pull"),
        (update(outbox.table).values(sent_at=None), "events in the sync service's outbox"),
        (
            insert(ReplyReplica).values(reply_id=new_id(), ticket_id=new_id(), position=1, type="x", body={}),
            "waits: 1 replies whose ticket has not come",
        ),
    ],
)
def test_what_waits_in_the_sync_service_is_found(pair, statement, line):
    pair.file(1001)
    with pair.engine.database.write() as session:
        assert session.execute(statement).rowcount > 0
    assert line in only(pair)


def test_the_portals_outbox_is_found_waiting(pair):
    pair.file(1001)
    pair.source.unsent_events = 3
    assert only(pair) == "waits: 3 events in the portal's outbox"


def test_an_unreadable_event_is_found_waiting(pair):
    pair.file(1001)
    with pair.engine.database.write() as session:
        keep_unreadable(session)
    assert only(pair) == "waits: 1 events nobody could read (see the console)"


def keep_unreadable(session: Session):
    inbox.keep_unreadable(session, a_message(), "unknown event type", now=utc_now())


def a_message():
    return Message(
        id=new_id(),
        type="casebridge.unknown.v9",
        destination="portal-events",
        subject="s",
        source="portal",
        time=utc_now(),
        body="{}",
    )


def test_messages_in_the_broker_are_found_waiting(pair):
    pair.file(1001)
    publisher = pair.broker.publisher()
    publisher.publish([a_message()])
    publisher.close()
    assert only(pair) == "waits: 1 events in the broker's queues"


def test_a_broker_that_cannot_be_asked_is_not_all_well(pair, tmp_path):
    pair.file(1001)
    (tmp_path / "folder.db").mkdir()
    pair.broker = Broker(f"embedded:///{tmp_path}/folder.db")
    assert only(pair).startswith("waits: nobody knows what: the broker at embedded:///")


class TestCommand:
    """The command as people and programs call it."""

    @pytest.fixture
    def run(self, pair, crm, monkeypatch, tmp_path):
        """Runs it over the pair; returns its exit status, what it printed and what it complained of."""

        def run_(*arguments, url=None, key=KEY):
            monkeypatch.setenv("CASEBRIDGE_HOME", str(tmp_path))
            monkeypatch.setenv("SYNC_DATABASE_URL", str(pair.engine.database.url))
            monkeypatch.setenv("CRM_URL", url or str(crm._client._http.base_url).removesuffix("/api/v1/"))
            monkeypatch.setenv("CRM_API_KEY", key)
            monkeypatch.setattr(verify, "open_source", lambda: _Opened(pair.source))
            monkeypatch.setattr(Database, "check", lambda _: None)  # made without migrations
            with capture_logs():
                result = CliRunner().invoke(verify.verify_command, list(arguments))
            return result.exit_code, result.stdout, result.stderr

        return run_

    def test_no_difference_is_status_0_and_says_what_was_compared(self, pair, run):
        pair.file(1001)
        status, printed, _ = run()
        assert printed == ("Compared 1 ticket, 1 Case, 3 Notes; opened 3 links.\nNo difference, and nothing waits.\n")
        assert status == 0

    def test_a_difference_is_status_1(self, pair, run):
        ticket = pair.file(1001)
        pair.source.kept[ticket.ticket_id] = replace(ticket, subject="Another")
        status, printed, _ = run("--no-links")
        assert status == 1
        assert printed.splitlines() == [
            '#1001 subject: ticket has "Another", Case has "Printer <on> fire"',
            "Compared 1 ticket, 1 Case, 3 Notes; links were not opened.",
            "1 difference; 0 still waiting.",
        ]

    def test_json_is_one_object_a_line(self, pair, run):
        ticket = pair.file(1001)
        pair.source.kept[ticket.ticket_id] = replace(ticket, subject="Another")
        pair.source.unsent_events = 1
        status, printed, _ = run("--json", "--no-links")
        difference, waiting, summary = map(json.loads, printed.splitlines())
        assert status == 1
        assert difference["difference"]["field"] == "subject"
        assert waiting == {"waiting": "1 events in the portal's outbox"}
        assert summary["summary"]["differences"] == 1
        assert summary["summary"]["all_equal"] is False

    def test_a_crm_that_is_down_is_status_2_and_says_so(self, pair, run):
        pair.file(1001)
        status, _, complaint = run("--no-links", url="http://127.0.0.1:9")
        assert status == 2
        assert "could not compare" in complaint
        assert "no answer from the CRM" in complaint

    def test_a_refused_key_is_status_2(self, pair, run):
        pair.file(1001)
        status, _, complaint = run("--no-links", key="a-key-that-nobody-knows")
        assert status == 2
        assert "check CRM_API_KEY" in complaint


class _Opened:
    def __init__(self, source):
        self._source = source

    def __enter__(self):
        return self._source

    def __exit__(self, *exc):
        return None
