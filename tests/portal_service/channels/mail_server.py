"""A real SMTP server for tests: it remembers what it took, and refuses, stalls or hangs up when told to."""

import email
import email.policy
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from portal_service.channels.mailer import Mailer
from tests.stack import free_ports

USER, PASSWORD = "portal", "p@ss/word:1"


@dataclass
class MailServer:
    answer: str = "250 OK"
    refusals: dict[str, str] = field(default_factory=dict)
    """Answers to RCPT TO by address."""
    sender_answer: str = ""
    hang_up_after_data: int = 0
    """So many times the connection ends after the mail was taken and before the answer."""
    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    """Who logged in."""
    encrypted: list[bool] = field(default_factory=list)
    """For each mail taken, whether it came over TLS."""

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self.sender_answer:
            return self.sender_answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.taken.append(message)
            self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        if self.hang_up_after_data:
            self.hang_up_after_data -= 1
            server.transport.abort()
        return self.answer

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        known = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        if known:
            self.users.append(data.login.decode())
        return AuthResult(success=known, handled=False)

    @property
    def mailer(self) -> Mailer:
        return Mailer(f"smtp://127.0.0.1:{self.port}", "Support <support@support.test>")

    @property
    def recipients(self) -> list[str]:
        return sorted(address.addr_spec for mail in self.taken for address in mail["To"].addresses)

    def to(self, recipient: str) -> EmailMessage:
        """The last mail to this address."""
        return [mail for mail in self.taken if mail["To"].addresses[0].addr_spec == recipient][-1]


@contextmanager
def running(
    *, implicit_tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, auth: bool = False
) -> Iterator[MailServer]:
    """Give a server that asks for TLS and a log-in where told so."""
    server = MailServer(port=free_ports(1)[0])
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=server.port,
        ssl_context=implicit_tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        auth_required=auth,
        # Over implicit TLS aiosmtpd does not know by itself that the line is encrypted.
        auth_require_tls=auth and implicit_tls is None,
        authenticator=server.authenticate if auth else None,
        enable_SMTPUTF8=True,
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
