"""The mail catcher receives over real SMTP, keeps what it caught, and shows it without running it."""

import errno
import smtplib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Self

import httpx
import pytest

from deploy.local.mails.server import run_mails
from deploy.local.mails.store import MailStore
from shared.settings import CommonSettings

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


class Catcher:
    """A running mail catcher."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.smtp_port, self.page_port = free_port(), free_port()
        self.stop = threading.Event()
        settings = CommonSettings(
            home=home, broker_url="", secret_key="k" * 40, portal_url="", console_url="", crm_url=""
        )
        self._thread = threading.Thread(
            target=run_mails,
            kwargs={
                "settings": settings,
                "host": "127.0.0.1",
                "smtp_port": self.smtp_port,
                "page_port": self.page_port,
                "stop": self.stop,
            },
        )

    def __enter__(self) -> Self:
        self._thread.start()
        for port in (self.smtp_port, self.page_port):
            wait_for(port)
        self.web = httpx.Client(base_url=f"http://127.0.0.1:{self.page_port}", trust_env=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.web.close()
        self.stop.set()
        self._thread.join(10)

    def send(self, mail: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port) as smtp:
            smtp.send_message(mail)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            threading.Event().wait(0.05)
        else:
            return
    raise AssertionError(f"nothing listens on {port}")


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[Catcher]:
    with Catcher(tmp_path) as catcher:
        yield catcher


def a_mail(subject: str = "[#1001] Wij hebben uw verzoek 李") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Support <support@casebridge.example>"
    mail["To"] = "Carol Jansen <carol@acme.example>"
    mail["Subject"] = subject
    mail.set_content("Hello Carol, see http://127.0.0.1:8000/tickets/1001 <b>now</b>")
    mail.add_alternative("<p>Hello <b>Carol</b></p><script>alert(1)</script>", subtype="html")
    mail.add_attachment(b"%PDF-1.4 x", maintype="application", subtype="pdf", filename="Überblick.pdf")
    return mail


def test_a_mail_is_caught_listed_and_read(catcher: Catcher) -> None:
    catcher.send(a_mail())
    (mail,) = catcher.web.get("/api/mails").json()["mails"]
    assert mail["subject"] == "[#1001] Wij hebben uw verzoek 李"
    assert mail["to"] == "Carol Jansen <carol@acme.example>"
    assert mail["attachments"] == [{"name": "Überblick.pdf", "type": "application/pdf"}]
    assert "Wij hebben uw verzoek 李" in catcher.web.get("/").text
    page = catcher.web.get(f"/mails/{mail['name']}?view=text").text
    assert 'href="http://127.0.0.1:8000/tickets/1001"' in page
    assert "&lt;b&gt;now&lt;/b&gt;" in page


def test_a_formatted_mail_may_run_and_load_nothing(catcher: Catcher) -> None:
    catcher.send(a_mail())
    name = catcher.web.get("/api/newest").json()["newest"]
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in catcher.web.get(f"/mails/{name}").text
    policy = catcher.web.get(f"/mails/{name}/html").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy


def test_an_attachment_comes_as_it_was_sent(catcher: Catcher) -> None:
    catcher.send(a_mail())
    name = catcher.web.get("/api/newest").json()["newest"]
    answer = catcher.web.get(f"/mails/{name}/attachments/0")
    assert answer.content == b"%PDF-1.4 x"
    assert answer.headers["Content-Disposition"].startswith("attachment;")


def test_search_finds_all_words_in_any_case(catcher: Catcher) -> None:
    catcher.send(a_mail("[#1001] Printer"))
    catcher.send(a_mail("[#1002] Scanner"))
    found = catcher.web.get("/api/mails", params={"q": "CAROL scanner"}).json()["mails"]
    assert [mail["subject"] for mail in found] == ["[#1002] Scanner"]
    assert "No mail contains" in catcher.web.get("/", params={"q": "unicorn"}).text


def test_unknown_mails_are_not_found_and_names_lead_nowhere_else(catcher: Catcher) -> None:
    assert catcher.web.get("/mails/20261122T093000000000-deadbeef").status_code == 404
    assert catcher.web.get("/mails/..%2f..%2fsecret.key").status_code == 404


def test_mails_survive_a_restart(tmp_path: Path) -> None:
    with Catcher(tmp_path) as first:
        first.send(a_mail())
    with Catcher(tmp_path) as second:
        assert len(second.web.get("/api/mails").json()["mails"]) == 1


def test_deleting_all_needs_the_pages_own_token(catcher: Catcher) -> None:
    catcher.send(a_mail())
    assert catcher.web.post("/clear").status_code == 400
    token = catcher.web.get("/").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    assert catcher.web.post("/clear", data={"csrf_token": token}, follow_redirects=True).status_code == 200
    assert catcher.web.get("/api/mails").json() == {"mails": []}


def test_a_full_disk_makes_the_sender_try_again_later(catcher: Catcher, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(MailStore, "add", full)
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        catcher.send(a_mail())
    assert refusal.value.smtp_code == 452


def test_mails_of_odd_making_are_shown_not_stumbled_over(tmp_path: Path) -> None:
    store = MailStore(tmp_path)
    odd = [
        b"",
        b"Subject: =?no-such-charset?Q?x?=\r\n\r\nbody",
        b"Content-Type: text/plain; charset=klingon\r\n\r\n\xff\xfe",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
        b"From: \xff\xff\r\nTo: ,,,\r\n\r\nhello",
    ]
    names = [store.add(content, recipients=["x@y.example"], now=NOW) for content in odd]
    assert len(list(store.find(""))) == len(names)
