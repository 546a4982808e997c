"""Wrong settings and a SuiteCRM in trouble: one sentence that says what to do, and no secret in it."""

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from werkzeug.wrappers import Response

from crm_sync_service.connectors.base import (
    InvalidError,
    RateLimitedError,
    UnauthorisedError,
    UnreachableError,
)
from crm_sync_service.connectors.config import ConfigError, ConnectorConfig
from crm_sync_service.connectors.http import Answer
from crm_sync_service.connectors.suitecrm import open_connector
from crm_sync_service.connectors.suitecrm.hints import signature
from crm_sync_service.connectors.suitecrm.tokens import Tokens
from shared.ids import new_id
from tests.crm_sync_service.suitecrm.refusals import DENIED, RefusalError
from tests.crm_sync_service.suitecrm.simulator import (
    CLIENT,
    PASSWORD,
    PASSWORD_CLIENT,
    SECRET,
    Simulator,
    cut_off,
    web_page,
)
from tests.crm_sync_service.suitecrm.world import open_world

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOOK_SECRET = "the-secret-of-the-hook"


@pytest.fixture
def simulator():
    with Simulator().served() as simulator:
        yield simulator


@pytest.fixture
def opened():
    """Opens connectors that are closed after the test."""
    made = []

    def open_(url, **values):
        config = {"client_id": CLIENT, "client_secret": SECRET, "webhook_secret": HOOK_SECRET} | values
        made.append(open_connector(ConnectorConfig(url=url, **config)))
        return made[-1]

    yield open_
    for connector in made:
        connector.close()


def with_password(**values):
    return {"client_id": PASSWORD_CLIENT, "username": "syncbot", "password": PASSWORD} | values


def test_a_user_name_means_the_password_grant(simulator, opened):
    opened(simulator.url, **with_password()).info()
    asked = next(asked.body for asked in simulator.asked if asked.path.endswith("access_token"))
    assert (asked["grant_type"], asked["username"]) == ("password", "syncbot")


def test_refresh_tokens_are_left_alone(simulator, opened):
    """Using one revokes the token that other calls carry."""
    simulator.tokens.life = 1
    crm = opened(simulator.url, **with_password())
    for _ in range(3):
        crm._client.tokens._token = None
        crm.info()
    grants = [asked.body["grant_type"] for asked in simulator.asked if asked.path.endswith("access_token")]
    assert grants == ["password"] * 3


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"client_secret": "wrong"}, "CRM_CLIENT_SECRET"),
        ({"client_id": "99999999-1111-4111-8111-111111111111"}, "CRM_CLIENT_ID"),
        (with_password(password="wrong-password"), "CRM_PASSWORD"),
        (with_password(username="nobody"), "CRM_PASSWORD"),
        (with_password(client_id=CLIENT), "made for this grant"),
    ],
)
def test_wrong_credentials_are_named(simulator, opened, values, words):
    with pytest.raises(UnauthorisedError, match=words) as refused:
        opened(simulator.url, **values).info()
    assert not {SECRET, PASSWORD, "wrong-password"} & set(str(refused.value).replace(":", " ").split())


def test_an_inactive_user_is_named(simulator, opened):
    simulator.tokens.inactive.add("syncbot")
    with pytest.raises(UnauthorisedError, match="active"):
        opened(simulator.url, **with_password()).info()


@pytest.mark.parametrize("path", ["/Api", "/legacy/Api", "/public/legacy/Api", "/Api/index.php"])
def test_the_api_is_found_where_it_is(simulator, opened, path):
    simulator.api_path = path
    crm = opened(simulator.url)
    assert path.strip("/") in crm.info().version
    page = crm._page_of("x")
    assert ("#/cases/record/x" in page) == ("legacy" in path)


def test_a_wrong_address_is_named(simulator, opened):
    with pytest.raises(UnreachableError, match="check CRM_API_URL"):
        opened(f"{simulator.url}/elsewhere").info()


@pytest.mark.parametrize(
    "copied", ["", "/", "/index.php?module=Home", "/Api", "/Api/V8", "/Api/access_token", "/#/login"]
)
def test_addresses_of_pages_will_do(simulator, opened, copied):
    assert opened(f"{simulator.url}{copied}").info().instance.startswith(f"{simulator.url} ")


def test_another_database_behind_the_same_address_is_another_crm(simulator, opened):
    before = opened(simulator.url).info().instance
    assert opened(simulator.url).info().instance == before
    simulator.tables.rows["Users"]["1"]["date_entered"] = "2020-02-02 02:02:02"
    assert opened(simulator.url).info().instance != before


def test_a_firewall_before_suitecrm_is_named(simulator, opened):
    simulator.faults.append(("GET", lambda *_: Response("<h1>Forbidden</h1>", 403, content_type="text/html")))
    with pytest.raises(UnauthorisedError, match="firewall"):
        opened(simulator.url).info()


def test_an_address_where_nobody_listens_is_tried_once(opened):
    with pytest.raises(UnreachableError, match="check CRM_API_URL"):
        opened("http://127.0.0.1:9").info()


@pytest.mark.parametrize(
    ("fault", "words"),
    [(web_page, "web page instead of JSON"), (cut_off, "cut off or broken")],
)
def test_an_answer_that_is_none_is_named(simulator, opened, fault, words):
    simulator.faults.append(("GET", fault))
    with pytest.raises(UnreachableError, match=words):
        opened(simulator.url).info()


def test_maintenance_is_waited_for(simulator, opened):
    simulator.maintenance = True
    with pytest.raises(UnreachableError, match="under maintenance"):
        opened(simulator.url).info()


@pytest.mark.parametrize("before", [True, False], ids=["asking for a token", "asking for records"])
def test_a_database_that_is_down_is_waited_for(simulator, opened, before):
    crm = opened(simulator.url)
    if not before:
        crm.info()
    simulator.database_down = True
    with pytest.raises(UnreachableError, match="database"):
        crm.info()


def test_a_pause_is_obeyed(simulator, opened):
    def too_many(_request, answer):
        answer.status_code = 429
        answer.headers["Retry-After"] = "7"
        return answer

    simulator.faults.append(("GET", too_many))
    with pytest.raises(RateLimitedError) as paused:
        opened(simulator.url).info()
    assert paused.value.retry_after == timedelta(seconds=7)


def test_missing_rights_are_named(simulator, opened):
    simulator.denied.update({"Cases": {"edit"}, "Notes": {"list"}})
    found = {item.what for item in opened(simulator.url).missing() if item.fatal}
    assert found == {"the right to edit Cases", "the right to list and view Notes"}


def test_a_right_that_is_missing_on_writing_stops_everything(simulator, opened):
    simulator.faults.append(("GET", lambda *_: RefusalError(DENIED, late=True).answer()))
    with pytest.raises(UnauthorisedError, match="give the API's user a role"):
        opened(simulator.url).info()


def test_what_cannot_be_seen_is_said_until_somebody_looked(simulator, opened):
    assert [item.fatal for item in opened(simulator.url).missing()] == [False]
    assert list(opened(simulator.url, options={"mails_checked": True}).missing()) == []


def test_fields_are_described_with_our_options(simulator, opened):
    described = opened(simulator.url).case_fields()
    assert described["name"].length == 255
    assert described["portal_ticket_id_c"].length == 64
    assert "Open_Pending Input" in described["status"].options
    assert described["contacts"].type == "link"


@pytest.mark.parametrize(("flag", "reaches"), [("portal_flag", True), ("", False)])
def test_a_note_reaches_a_customer_only_where_that_is_allowed(simulator, opened, flag, reaches):
    case = simulator.tables.keep("Cases", str(new_id()))["id"]
    simulator.tables.write_note(case, "For her", portal_flag="1")
    crm = opened(simulator.url, options={"customer_flag_field": flag})
    assert (crm.capabilities.customer_notes, [note.for_customer for note in crm.notes_of(case)]) == (reaches, [reaches])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nonsense": 1}, "nonsense: unknown here"),
        ({"page_size": 0}, "page_size must be a whole number"),
        ({"statuses": ["Open_New"]}, "lines of the form"),
        ({"ticket_id_field": 3}, "must be a text"),
    ],
)
def test_mistakes_in_the_mapping_are_named(opened, options, words):
    with pytest.raises(ConfigError, match=words):
        opened("http://127.0.0.1:9", options=options)


@pytest.mark.parametrize("values", [{"client_id": None}, {"client_secret": None}, {"username": "x"}])
def test_missing_credentials_are_named_at_once(opened, values):
    with pytest.raises(ConfigError, match="CRM_"):
        opened("http://127.0.0.1:9", **values)


def hinted(simulator, body, *, secret=HOOK_SECRET, at=NOW, spelling=str.title):
    world = open_world(simulator)
    world.crm._config = ConnectorConfig(url="x", webhook_secret=HOOK_SECRET)
    world.crm._now = lambda: NOW
    timestamp = str(int(at.timestamp()))
    signed = {"x-casebridge-signature": signature(secret, timestamp, body), "x-casebridge-timestamp": timestamp}
    try:
        return world.crm.hinted("all", body, {spelling(name): value for name, value in signed.items()})
    finally:
        world.crm.close()


@pytest.mark.parametrize("spelling", [str.title, str.lower, str.upper])
def test_a_hint_names_its_case(simulator, spelling):
    assert list(hinted(simulator, json.dumps({"case_id": "c1"}).encode(), spelling=spelling)) == ["c1"]


@pytest.mark.parametrize("changes", [{"secret": "another"}, {"at": NOW - timedelta(minutes=6)}])
def test_a_hint_of_somebody_else_or_of_long_ago_is_refused(simulator, changes):
    with pytest.raises(UnauthorisedError):
        hinted(simulator, b'{"case_id": "c1"}', **changes)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"case_id": 1}', b'{"id": "x"}', b"\xff"])
def test_a_hint_without_sense_is_refused(simulator, body):
    with pytest.raises(InvalidError):
        hinted(simulator, body)


@dataclass
class SlowHttp:
    """Gives a token when all have begun to ask for one."""

    all_ask: threading.Event = field(default_factory=threading.Event)
    asked: int = 0

    def call(self, *_args, **_values):
        self.asked += 1
        assert self.all_ask.wait(10)
        body = {"access_token": f"t{self.asked}", "expires_in": 3600}
        return Answer(status=200, data=body, text="", headers={})

    def hide(self, _secret):
        pass


def test_many_threads_get_one_token():
    http = SlowHttp()
    config = ConnectorConfig(url="http://127.0.0.1:9", client_id=CLIENT, client_secret=SECRET)
    tokens = Tokens(http, config, api_path="Api", clock=lambda: 0.0)
    begun, got = count(1), []

    def ask():
        if next(begun) == 8:
            http.all_ask.set()
        got.append(tokens.current().value)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (got, http.asked) == (["t1"] * 8, 1)
