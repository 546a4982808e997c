"""What every connector's HTTP makes of bad addresses, bad certificates, bad answers and slow servers."""

import contextlib
import re
import socket
import ssl
import threading

import pytest
import trustme

from crm_sync_service.connectors import http
from crm_sync_service.connectors.base import RateLimitedError, UnauthorisedError, UnreachableError
from crm_sync_service.connectors.config import ConfigError, ConnectorConfig
from crm_sync_service.connectors.http import JsonClient

KEY = "a-key-nobody-may-see"
JSON = "Content-Type: application/json\r\n"
CLOSE = "Connection: close\r\n"
PAGE = "Content-Type: text/html\r\n"


class Server:
    """Answers every connection with the same bytes, sent in pieces, and keeps what it was sent."""

    def __init__(self, context=None):
        self.answer = [b""]
        self.requests = []
        self.between = threading.Event()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def says(self, status, body="", headers=JSON, *, length=None):
        size = len(body.encode()) if length is None else length
        self.answer = [f"HTTP/1.1 {status} X\r\n{headers}{CLOSE}Content-Length: {size}\r\n\r\n{body}".encode()]

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    self._serve(connection)

    def _serve(self, plain):
        connection = self._context.wrap_socket(plain, server_side=True) if self._context else plain
        with connection:
            self.requests.append(_request(connection))
            for piece in self.answer:
                connection.sendall(piece)
                self.between.wait(0.02)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def _request(connection):
    """Head and body of one request."""
    raw = connection.recv(65_536)
    head, _, body = raw.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        body += connection.recv(65_536)
    return f"{head.decode(errors='replace')}\r\n\r\n{body.decode(errors='replace')}"


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def clients():
    with contextlib.ExitStack() as stack:

        def client(url, **config):
            made = JsonClient(
                ConnectorConfig(url=url, api_key=KEY, **config), headers={"Authorization": f"Bearer {KEY}"}
            )
            stack.callback(made.close)
            return made

        yield client


@pytest.fixture
def crm(server, clients):
    return clients(f"http://127.0.0.1:{server.port}")


def refused(crm, error=UnreachableError, **call):
    with pytest.raises(error) as caught:
        crm.call("GET", "things", **call)
    assert KEY not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://crm.example.com", "plain HTTP to another machine"),
        ("http://10.0.0.5:8080", "CRM_ALLOW_HTTP=1"),
        ("http://[2001:db8::1]", "plain HTTP to another machine"),
        ("http://127.0.0.1.example.com", "plain HTTP to another machine"),
        ("https://me:pw@crm.example.com", "must not contain a user name or password"),
    ],
)
def test_an_address_that_would_give_the_key_away_is_refused(clients, url, words):
    with pytest.raises(ConfigError, match=words):
        clients(url)


def test_plain_http_is_spoken_on_loopback_and_where_it_is_asked_for(clients):
    clients("http://127.0.0.1:1")
    clients("http://localhost:1")
    clients("http://[::1]:1")
    clients("http://crm:8002")
    clients("http://10.0.0.5", allow_http=True)


@pytest.mark.parametrize(
    ("status", "body", "headers", "words"),
    [
        (200, "<html><title>Log in</title>", PAGE, "a web page instead of JSON: check that CRM_API_URL"),
        (200, "", JSON, "no JSON object"),
        (200, '{"rows": [1, 2', JSON, "cut off or broken"),
        (200, '["a"]', JSON, "no JSON object"),
        (404, "<!DOCTYPE html><h1>Not Found</h1>", PAGE, "no API .* only a web page: check CRM_API_URL"),
        (
            302,
            "",
            JSON + "Location: https://elsewhere.example/login\r\n",
            "redirects to https://elsewhere.example/login",
        ),
        (500, "oops", PAGE, "answered 500: oops"),
        (503, "Under maintenance", PAGE, "answered 503: Under maintenance .*nothing is lost"),
    ],
)
def test_an_answer_that_is_no_answer_is_one_sentence(server, crm, status, body, headers, words):
    server.says(status, body, headers)
    with pytest.raises(UnreachableError, match=words):
        assert crm.call("GET", "things").body


def test_an_answer_cut_off_on_the_way_is_named(server, crm):
    server.says(200, '{"a": 1', length=500)
    assert "was cut off" in refused(crm)


def test_a_connection_closed_without_a_word_is_named(server, crm):
    assert "was cut off" in refused(crm)


def test_nobody_listening_is_named(clients):
    assert "check CRM_API_URL, and that the CRM runs" in refused(clients("http://127.0.0.1:9"))


def test_an_answer_without_end_is_given_up(server, crm, monkeypatch):
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1000)
    server.says(200, "x" * 2000)
    assert "exceeds 1,000 bytes" in refused(crm)


@pytest.mark.parametrize("slow", ["headers", "body"])
def test_an_answer_in_drops_ends_at_the_deadline(server, crm, monkeypatch, slow):
    """Each drop comes in time, all of them together do not."""
    monkeypatch.setattr(http, "DEADLINE_SECONDS", 0.2)
    start = b"HTTP/1.1 200 X\r\n" if slow == "headers" else b"HTTP/1.1 200 X\r\nContent-Length: 5000\r\n\r\n"
    server.answer = [start, *[b"X-Drop: 1\r\n" if slow == "headers" else b"x"] * 400]
    assert "no answer from the CRM in time" in refused(crm)


def test_a_wrong_key_and_a_pause_are_errors_of_their_own(server, crm):
    server.says(401, '{"message": "who are you"}')
    assert "check CRM_API_KEY" in refused(crm, UnauthorisedError)
    server.says(429, "{}", JSON + "Retry-After: 7\r\n")
    with pytest.raises(RateLimitedError) as limited:
        crm.call("GET", "things")
    assert limited.value.retry_after.total_seconds() == 7


def test_a_secret_that_the_crm_echoes_is_struck_out(server, crm):
    server.says(500, f'{{"you sent": "{KEY}", "token": "tok-123456"}}')
    crm.hide("tok-123456")
    assert '"[redacted]", "token": "[redacted]"' in refused(crm)
    server.says(400, f"bad {KEY}")
    assert KEY not in crm.call("GET", "things").shown


def test_no_secret_is_in_the_representation_of_the_settings():
    config = ConnectorConfig(
        url="https://x", api_key=KEY, client_secret=KEY, password=KEY, secret_key=KEY, webhook_secret=KEY
    )
    assert KEY not in repr(config)


@pytest.mark.parametrize(
    ("body", "data"),
    [("", None), ("no json", None), ('{"a": 1}Database failure.', None), ('{"a": 1}', {"a": 1}), ("[1]", [1])],
)
def test_a_refusal_keeps_what_the_crm_said(server, crm, body, data):
    server.says(400, body, JSON + "X-Status-Reason: because\r\n")
    answer = crm.call("GET", "things")
    assert (answer.status, answer.data, answer.text) == (400, data, body)
    assert answer.headers["x-status-reason"] == "because"


def test_an_error_that_means_something_to_this_crm_is_handed_over(server, crm):
    server.says(500, "")
    assert crm.call("POST", "things", sorted_by_caller={500}).status == 500


def test_forms_and_empty_bodies_are_sent(server, crm):
    server.says(200, "{}")
    crm.call("POST", "token", form={"grant_type": "password", "password": "ä&b"})
    crm.call("POST", "things")
    form, empty = server.requests
    assert form.endswith("grant_type=password&password=%C3%A4%26b")
    assert "application/x-www-form-urlencoded" in form
    assert "Content-Length: 0" in empty


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def secure(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = Server(context)
    server.says(200, '{"a": 1}')
    yield server
    server.close()


def test_a_certificate_of_our_own_is_explained_and_can_be_trusted(secure, clients, authority, tmp_path):
    url = f"https://127.0.0.1:{secure.port}"
    assert "name the file of the authority that signed it in CRM_CA_FILE" in refused(clients(url))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    assert clients(url, ca_file=tmp_path / "ca.pem").call("GET", "things").body == {"a": 1}


def test_a_certificate_for_another_name_is_not_to_be_trusted(authority, clients, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("crm.example").configure_cert(context)
    server = Server(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    words = refused(clients(f"https://127.0.0.1:{server.port}", ca_file=tmp_path / "ca.pem"))
    server.close()
    assert "mismatch" in words
    assert "CRM_CA_FILE" not in words


def test_a_file_that_is_no_certificate_is_refused(clients, tmp_path):
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match="PEM format"):
        clients("https://crm.example.com", ca_file=tmp_path / "ca.pem")


def test_https_to_a_port_that_speaks_http_is_explained(server, clients):
    server.says(200, "{}")
    assert "check whether it is http or https" in refused(clients(f"https://127.0.0.1:{server.port}"))
