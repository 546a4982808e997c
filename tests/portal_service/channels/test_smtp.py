"""Encryption, certificates and log-in, against real servers."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from portal_service.channels.mailer import Mailer
from portal_service.channels.models import OutgoingMail
from portal_service.channels.sending import put_off, send_due
from tests.portal_service.channels.mail_server import PASSWORD, USER, MailServer, running
from tests.portal_service.support_desk import Help

# The test server does not know that its line is encrypted when TLS begins before SMTP does.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")


@pytest.fixture
def backend() -> str:
    """One database is enough: these are about the wire."""
    return "sqlite"


LOGIN = f"{USER}:{quote(PASSWORD, safe='')}@"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def server_side(authority: trustme.CA, host: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


@pytest.fixture
def starttls(authority: trustme.CA) -> Iterator[MailServer]:
    with running(starttls=server_side(authority), auth=True) as server:
        yield server


@pytest.fixture
def implicit(authority: trustme.CA) -> Iterator[MailServer]:
    with running(implicit_tls=server_side(authority), auth=True) as server:
        yield server


def mailer(url: str, ca_file: Path | None = None) -> Mailer:
    return Mailer(url, "Support <support@support.test>", ca_file)


def errors(desk: Help) -> set[str | None]:
    with desk.database.read() as session:
        found: list[OutgoingMail] = list(put_off(session, limit=9))
        return {mail.error for mail in found}


def test_starttls_and_log_in(filed: Help, starttls: MailServer, ca_file: Path) -> None:
    url = f"smtp+starttls://{LOGIN}localhost:{starttls.port}"
    assert send_due(filed.database, mailer(url, ca_file), filed.clock.now) == 2
    assert starttls.encrypted == [True, True]
    assert starttls.users == [USER]


def test_tls_from_the_start_and_log_in(filed: Help, implicit: MailServer, ca_file: Path) -> None:
    url = f"smtps://{LOGIN}localhost:{implicit.port}"
    assert send_due(filed.database, mailer(url, ca_file), filed.clock.now) == 2
    assert implicit.encrypted == [True, True]
    assert implicit.users == [USER]


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_certificate_nobody_vouches_for_gets_neither_mail_nor_password(
    filed: Help, starttls: MailServer, implicit: MailServer, scheme: str
) -> None:
    server = implicit if scheme == "smtps" else starttls
    assert send_due(filed.database, mailer(f"{scheme}://{LOGIN}localhost:{server.port}"), filed.clock.now) == 0
    assert server.users == []
    assert server.taken == []
    assert all("CERTIFICATE_VERIFY_FAILED" in str(error) for error in errors(filed))


def test_a_certificate_of_another_host_is_refused(filed: Help, authority: trustme.CA, ca_file: Path) -> None:
    with running(starttls=server_side(authority, "other.example")) as server:
        url = f"smtp+starttls://localhost:{server.port}"
        assert send_due(filed.database, mailer(url, ca_file), filed.clock.now) == 0
        assert server.taken == []


def test_a_server_without_starttls_gets_nothing_unencrypted(filed: Help, server: MailServer) -> None:
    url = f"smtp+starttls://localhost:{server.port}"
    assert send_due(filed.database, mailer(url), filed.clock.now) == 0
    assert server.taken == []
    assert errors(filed) == {"STARTTLS extension not supported by server."}


def test_a_wrong_password_fails_no_mail(filed: Help, starttls: MailServer, ca_file: Path) -> None:
    wrong = mailer(f"smtp+starttls://{USER}:wrong@localhost:{starttls.port}", ca_file)
    assert send_due(filed.database, wrong, filed.clock.now) == 0
    assert all(str(error).startswith("535 ") for error in errors(filed))
    right = mailer(f"smtp+starttls://{LOGIN}localhost:{starttls.port}", ca_file)
    assert send_due(filed.database, right, filed.clock.forward(minutes=1)) == 2
