"""A simulated SuiteCRM with our connector, a few records and a clock, as scenarios and tests use them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from crm_sync_service.connectors.base import CaseRecord, NewCase, NewNote
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.connectors.suitecrm import open_connector
from crm_sync_service.connectors.suitecrm.connector import SuiteCrmConnector
from shared.ids import new_id
from tests.crm_sync_service.suitecrm.simulator import CLIENT, SECRET, Simulator

ACME, GLOBEX = "bbbbbbbb-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
CAROL, DAVE = "cccccccc-0000-4000-8000-000000000001", "cccccccc-0000-4000-8000-000000000002"
ALICE = "aaaaaaaa-0000-4000-8000-000000000001"
TORTURE = (
    "a <b> c List<String> x; mail <bob@x.example> said <none> if (a<b && c>d) <3 < < <",
    "<script>alert(1)</script> <!-- gone --> </p> <https://files.example/a.png> unclosed <b bold",
    "&lt;b&gt; &amp;lt; &copy; &nbsp; &#39; \"q\" 'q' https://x.example/?a=1&copy=2&lt=3 A & B &",
    "emoji 🔥 👩‍👩‍👧 火事 ü \u00a0 \u202eRTL z\u200bw <\u200bx &\u200by; C:\\temp\\new 100%; DROP",
)
START = datetime(2026, 11, 22, 12, 0, 7, tzinfo=UTC)


@dataclass
class World:
    """A simulated SuiteCRM, our connector, and a clock that both go by."""

    simulator: Simulator
    crm: SuiteCrmConnector
    seconds: float = 0.0

    def case(self, **fields: str | None) -> CaseRecord:
        case_id = str(new_id())
        values = {"subject": "Printer", "description": "It burns", "status": "Open_New", "priority": "P2"}
        return self.crm.create_case(NewCase(id=case_id, key=case_id, fields=values | fields))

    def note(self, case_id: str, **values: str) -> NewNote:
        note_id = str(new_id())
        texts = {"title": "Customer Carol: hello", "body": "hello"} | values
        return NewNote(
            id=note_id,
            key=note_id,
            case_id=case_id,
            author="Carol",
            side="customer",
            position=1,
            created_at=START,
            **texts,
        )

    def patches(self) -> int:
        return len(self.simulator.writes("PATCH"))

    def row(self, case_id: str) -> dict[str, str]:
        return self.simulator.tables.rows["Cases"][case_id]

    def all_in_feed(self) -> set[str]:
        found, page = set(), None
        while True:
            answer = self.crm.changed_cases(None, page=page)
            found |= {row.case_id for row in answer.rows}
            page = answer.next
            if page is None:
                return found


def open_world(simulator: Simulator, **options: object) -> World:
    """The simulator has to be served."""
    tables = simulator.tables
    tables.keep("Accounts", ACME, name="Acme & Söhne")
    tables.keep("Accounts", GLOBEX, name="Globex")
    tables.keep("Contacts", CAROL, first_name="Carol", last_name="Jansen", email1="carol@acme.example")
    tables.keep("Contacts", DAVE, first_name="Dave", last_name="Dürer", email1="Dave@Globex.example")
    tables.keep("Users", ALICE, first_name="Alice", last_name="Agent", email1="alice@crm.example")
    config = ConnectorConfig(url=simulator.url, client_id=CLIENT, client_secret=SECRET, options=options)
    world = World(simulator, open_connector(config))
    world.crm.close()
    world.crm = SuiteCrmConnector(config, now=lambda: START, clock=lambda: world.seconds)
    world.crm._client.tokens._clock = lambda: world.seconds
    simulator.clock = lambda: world.seconds
    tables.now = lambda: START + timedelta(seconds=world.seconds)
    return world
