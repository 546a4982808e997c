"""A connection to a mail server by its address."""

import smtplib
import ssl
from pathlib import Path
from urllib.parse import unquote, urlsplit

SCHEMES = ("smtp", "smtps", "smtp+starttls")
TIMEOUT_SECONDS = 20


def is_smtp_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def shows_password(url: str) -> bool:
    """Whether a password would go to another machine without encryption."""
    parts = urlsplit(url)
    return parts.scheme == "smtp" and bool(parts.username) and parts.hostname not in {"localhost", "127.0.0.1", "::1"}


def connect(url: str, *, ca_file: Path | None = None) -> smtplib.SMTP:
    """`smtp://`, `smtps://` or `smtp+starttls://`, with user and password if needed.

    The server's certificate is verified, by the authority in `ca_file` besides those the system trusts. Without
    encryption nothing is sent where it was asked for. Raises OSError, of which SMTPException is one.
    """
    parts = urlsplit(url)
    host, tls = parts.hostname or "localhost", ssl.create_default_context()
    if ca_file is not None:
        tls.load_verify_locations(ca_file)
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_SECONDS, context=tls)
    else:
        default = 587 if parts.scheme == "smtp+starttls" else 25
        server = smtplib.SMTP(host, parts.port or default, timeout=TIMEOUT_SECONDS)
    try:
        if parts.scheme == "smtp+starttls":
            server.starttls(context=tls)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server
