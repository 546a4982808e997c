"""Runs the mail catcher: an SMTP server and the page, in one process."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from werkzeug.serving import make_server

from deploy.local.mails.app import create_app
from deploy.local.mails.store import MailStore
from shared.process import check_port
from shared.settings import CommonSettings

_LARGEST_BYTES = 64 * 1024 * 1024

log = structlog.get_logger(__name__)


def store_of(home: Path) -> MailStore:
    return MailStore(home / "mails")


def run_mails(settings: CommonSettings, *, host: str, smtp_port: int, page_port: int, stop: threading.Event) -> None:
    """Catch and show mails until `stop` is set. Raises PortTakenError."""
    check_port(host, smtp_port, setting="MAILS_SMTP_PORT")
    check_port(host, page_port, setting="MAILS_PORT")
    store = store_of(settings.home)
    app = create_app(settings, store, smtp_address=f"{host}:{smtp_port}", page_url=f"http://{host}:{page_port}")
    page = make_server(host, page_port, app, threaded=True)
    smtp = Controller(
        _Catcher(store), hostname=host, port=smtp_port, data_size_limit=_LARGEST_BYTES, enable_SMTPUTF8=True
    )
    smtp.start()
    threading.Thread(target=page.serve_forever, name="page", daemon=True).start()
    stop.wait()
    smtp.stop()
    page.shutdown()
    page.server_close()


class _Catcher:
    def __init__(self, store: MailStore) -> None:
        self._store = store

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 (name given by aiosmtpd)
        content = envelope.content
        assert isinstance(content, bytes)
        try:
            name = self._store.add(content, recipients=envelope.rcpt_tos, now=datetime.now(UTC))
        except OSError as error:
            log.exception("mail_not_stored")
            return f"452 4.3.1 not stored, send it again later: {error.strerror}"
        log.info("mail_caught", mail=name, bytes=len(content))
        return "250 2.0.0 caught"
