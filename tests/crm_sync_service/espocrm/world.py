"""A simulated EspoCRM with a few records, and a connector to it; scenarios are told in these terms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from crm_sync_service.connectors.base import CaseRecord, NewCase, NewContact, NewNote
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.connectors.espocrm import EspoCrmConnector
from shared.ids import new_id
from tests.crm_sync_service.espocrm.simulator import KEY, EspoSimulator
from tests.crm_sync_service.espocrm.state import QUIRKS

ACME, GLOBEX, ADA, GRACE, BOB = "acme", "globex", "ada", "grace", "bob"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class World:
    """Its clock stands still unless moved: EspoCRM's stamps are whole seconds."""

    def __init__(self, *, quirks: frozenset[str] = QUIRKS) -> None:
        self.clock = NOON
        self.seconds = 1000.0
        self.crmside = EspoSimulator(now=lambda: self.clock, seconds=lambda: self.seconds, quirks=quirks)
        self.state = self.crmside.state
        self.state.keep("Account", ACME, name="Acme GmbH")
        self.state.keep("Account", GLOBEX, name="Globex Ltd")
        person = {"firstName": "Ada", "lastName": "Lovelace", "emailAddress": "ada@acme.example"}
        self.state.keep("Contact", ADA, accountId=ACME, **person)
        person = {"firstName": "Grace", "lastName": "Hopper", "emailAddress": "grace@acme.example"}
        self.state.keep("Contact", GRACE, accountId=ACME, **person)
        self.crmside.person(BOB, first="Bob", last="Backend", type="regular", emailAddress="bob@crm.example")
        self._opened: list[EspoCrmConnector] = []
        self.crm = self.open()

    def open(self, **changes: Any) -> EspoCrmConnector:
        config = ConnectorConfig(**{"url": self.crmside.url, "api_key": KEY, **changes})
        crm = EspoCrmConnector(config)
        crm._client._clock = crm._webhooks._clock = lambda: self.seconds
        self._opened.append(crm)
        return crm

    def close(self) -> None:
        for crm in self._opened:
            crm.close()
        self.crmside.close()

    def new(self, **fields: str | None) -> NewCase:
        values = {"subject": "Printer", "description": "It burns", "account": ACME, "contact": ADA, "product": "Router"}
        values |= {"status": "New", "priority": "Normal", "ticket_number": "1001", "ticket_url": "http://portal/1001"}
        return NewCase(id=str(new_id()), key=str(new_id()), fields={**values, **fields})

    def case(self, **fields: str | None) -> CaseRecord:
        return self.crm.create_case(self.new(**fields))

    def row(self, case: CaseRecord) -> dict[str, Any]:
        """The Case as stored."""
        return self.state.tables["Case"][case.id]

    def count(self, entity: str) -> int:
        return len(self.state.live(entity))

    def posts(self) -> list[dict[str, Any]]:
        return [row for row in self.state.live("Note") if row["type"] == "Post"]

    def sent(self, method: str, path: str = "") -> list[Any]:
        """Requests so far, by method and beginning of the path."""
        return [one for one in self.crmside.requests if one.method == method and one.path.startswith(path)]


def note(case: CaseRecord, **changes: Any) -> NewNote:
    values = {"id": str(new_id()), "key": str(new_id()), "case_id": case.id, "title": "Customer Carol: hello"}
    values |= {"body": "hello", "author": "Carol", "side": "customer", "position": 1, "created_at": NOON}
    return NewNote(**{**values, **changes})


def contact(name: str, *emails: str, account_id: str | None = ACME) -> NewContact:
    return NewContact(id=str(new_id()), name=name, emails=emails, account_id=account_id)


def everything(read: Callable[..., Any], *args: Any) -> list[Any]:
    """All rows of a feed."""
    rows: list[Any] = []
    page = None
    while True:
        answer = read(*args, page=page)
        rows += answer.rows
        page = answer.next
        if page is None:
            return rows


Scenario = Callable[[World], None]


@contextmanager
def a_world(**options: Any) -> Iterator[World]:
    world = World(**options)
    try:
        yield world
    finally:
        world.close()
