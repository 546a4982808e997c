"""Webhook hints: whoever listens is told what has just changed; whoever does not holds up nobody."""

import base64
import hashlib
import hmac
import json
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.crm_sync_service.desk.client import KEY, Api, served


class Listener(BaseHTTPRequestHandler):
    """Keeps what it was told; answers only while it is `awake`."""

    def do_POST(self):
        while not self.server.awake:
            time.sleep(0.01)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((dict(self.headers.items()), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def listener():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    server.heard, server.awake = [], True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.awake = True
    server.shutdown()
    server.server_close()


@contextmanager
def api_that_hints(settings, url):
    with served(replace(settings, webhook_url=url)) as app:
        yield Api(app.test_client())


def wait_for(condition, *, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def heard_ids(listener):
    return {record_id for _, body in listener.heard for record_id in json.loads(body)["ids"]}


def test_every_write_is_hinted_at_and_signed(settings, listener):
    with api_that_hints(settings, f"http://127.0.0.1:{listener.server_port}/hooks") as api:
        case = api.case()
        note = api.note(case["id"])
        wait_for(lambda: heard_ids(listener) >= {case["id"], note["id"]})
    headers, body = listener.heard[0]
    headers = {name.lower(): value for name, value in headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}"
    expected = base64.b64encode(hmac.new(KEY.encode(), signed.encode(), hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


def test_who_listens_is_not_told_of_its_own_writes(settings, listener):
    with api_that_hints(settings, f"http://127.0.0.1:{listener.server_port}") as api:
        mine = api("POST", "/cases", json={"name": "Mine"}, headers={"X-No-Hint": "1"}).json
        other = api.case()
        wait_for(lambda: other["id"] in heard_ids(listener))
    assert mine["id"] not in heard_ids(listener)


def test_a_change_that_changes_nothing_or_fails_is_no_news(settings, listener):
    with api_that_hints(settings, f"http://127.0.0.1:{listener.server_port}") as api:
        case = api.case()
        wait_for(lambda: listener.heard)
        api.patch(f"/cases/{case['id']}", {"status": "new"})
        api.patch(f"/cases/{case['id']}", {"status": "nonsense"})
        last = api.case()
        wait_for(lambda: last["id"] in heard_ids(listener))
    assert [record_id for _, body in listener.heard for record_id in json.loads(body)["ids"]].count(case["id"]) == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://nowhere.invalid"])
def test_a_listener_that_is_not_there_holds_up_nobody(settings, address):
    with api_that_hints(settings, address) as api:
        started = time.monotonic()
        for _ in range(20):
            api.case()
        assert time.monotonic() - started < 15


def test_a_listener_that_sleeps_holds_up_nobody_and_hears_later(settings, listener):
    listener.awake = False
    with api_that_hints(settings, f"http://127.0.0.1:{listener.server_port}") as api:
        cases = [api.case() for _ in range(5)]
        listener.awake = True
        wait_for(lambda: cases[-1]["id"] in heard_ids(listener))
