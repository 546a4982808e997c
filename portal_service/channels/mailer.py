"""The mail server, and a mail as it goes over the wire."""

import smtplib
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from portal_service.channels.matrix import BY_MACHINE
from portal_service.channels.models import OutgoingMail
from portal_service.tickets.text import clean_line
from shared import smtp
from shared.emails import is_email

_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])
"""Marks that turn the direction of what follows: in a name they could make it look like another."""


@dataclass(frozen=True)
class Mailer:
    """A mail server: `smtp://`, `smtps://` or `smtp+starttls://`, with user and password in the address if needed."""

    url: str
    sender: str
    ca_file: Path | None = None

    def connect(self) -> smtplib.SMTP:
        """Raises OSError or smtplib.SMTPException."""
        return smtp.connect(self.url, ca_file=self.ca_file)

    def compose(self, mail: OutgoingMail) -> EmailMessage:
        """The mail as it goes over the wire. Raises ValueError for a recipient that is no address."""
        if not is_email(mail.recipient):
            raise ValueError("the recipient is no e-mail address")
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = Address(display_name=_name(mail.recipient_name), addr_spec=_on_the_wire(mail.recipient))
        message["Subject"] = _plain(mail.subject)
        message["Date"] = format_datetime(mail.created_at)
        message["Message-ID"] = mail.message_id
        if mail.in_reply_to:
            message["In-Reply-To"] = mail.in_reply_to
            message["References"] = mail.in_reply_to
        # Tells other systems not to answer by machine (RFC 3834). Not "All": that would forbid bounces, too.
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "DR, RN, NRN, OOF, AutoReply"
        if mail.kind in BY_MACHINE:
            message["Precedence"] = "bulk"
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message


def _name(name: str) -> str:
    return _plain(name.translate(_TURNING))


def _plain(words: str) -> str:
    """One line of words; what looks like an encoded word of a header would be read as what it stands for."""
    return clean_line(words).replace("=?", "= ?")


def _on_the_wire(address: str) -> str:
    """The address with its domain in ASCII, which every mail server takes."""
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        return address
