"""The portal's settings, from the environment, checked when a process starts."""

import ssl
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import urlsplit

from environs import Env, EnvError

from portal_service import site
from portal_service.clocks.settings import BY_DEFAULT, ClockSettings, read_clocks
from portal_service.office import NO_PHONE, Office, read_office
from shared.emails import is_email
from shared.health import HealthAddress
from shared.settings import (
    CommonSettings,
    SettingsError,
    database_url,
    port,
    read_common,
    read_env,
    secret,
    whole_number,
)
from shared.smtp import is_smtp_url, shows_password
from shared.web_server import bind_address

_MB = 1024 * 1024
_FILES_TOGETHER = 4
"""A form may bring this many files of the greatest size."""


@dataclass(frozen=True, kw_only=True)
class SsoSettings:
    """The company's log-in service (OpenID Connect)."""

    issuer: str
    client_id: str
    client_secret: str
    name: str
    """What the button calls it."""
    sign_up: bool = False
    """Whoever it vouches for gets a log-in: at once if the directory has exactly one contact, else after approval."""


@dataclass(frozen=True, kw_only=True)
class PortalSettings:
    """What the portal's pages and its worker need to know."""

    common: CommonSettings
    database_url: str
    smtp_url: str
    """smtp://, smtps:// or smtp+starttls://, with user:password@ where the server asks for it."""
    mail_from: str
    """The From of every mail, an address with or without a name."""
    max_file_bytes: int
    health: HealthAddress
    """Where the worker answers about itself."""
    two_factor_for_staff: bool = False
    """Agents see nothing until they have set up a second step."""
    sso: SsoSettings | None = None
    office: Office = NO_PHONE
    api_calls_per_minute: int = 300
    """How often one token may call the API."""
    guests_may_file: bool = True
    """Whether requests can be filed without a log-in; those filed before stay open to their keys."""
    smtp_ca_file: Path | None = None
    """The authority behind the mail server's certificate, where it is one of the company's own."""
    clocks: ClockSettings = BY_DEFAULT

    @property
    def max_upload_bytes(self) -> int:
        """What all files of one form may have together."""
        return _FILES_TOGETHER * self.max_file_bytes

    @property
    def files_root(self) -> Path:
        """The folder of the attachments."""
        return self.common.home / "files"


def read_settings() -> PortalSettings:
    """The settings of this process, whose addresses are from now on those of its links. Raises SettingsError."""
    env = read_env()
    common = read_common(env)
    settings = PortalSettings(
        common=common,
        database_url=database_url(env, "portal", common.home),
        smtp_url=smtp_url(env),
        mail_from=mail_from(env, common),
        max_file_bytes=whole_number(env, "MAX_FILE_MB", default=25, least=1, most=2_000) * _MB,
        health=HealthAddress(
            host=bind_address(env),
            port=port(env, "PORTAL_WORKER_HEALTH_PORT", 8010),
            setting="PORTAL_WORKER_HEALTH_PORT",
        ),
        two_factor_for_staff=yes_or_no(env, "TWO_FACTOR_FOR_STAFF"),
        sso=read_sso(env),
        office=read_office(env),
        api_calls_per_minute=whole_number(env, "API_CALLS_PER_MINUTE", default=300, least=1, most=1_000_000),
        guests_may_file=yes_or_no(env, "GUEST_REQUESTS", default=True),
        smtp_ca_file=smtp_ca_file(env),
        clocks=read_clocks(env),
    )
    site.use(common)
    return settings


def read_sso(env: Env) -> SsoSettings | None:
    """The company's log-in service, if OIDC_ISSUER names one. Raises SettingsError."""
    issuer = env.str("OIDC_ISSUER", "")
    if not issuer:
        return None
    parts = urlsplit(issuer)
    local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1"}
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise SettingsError(f"OIDC_ISSUER={issuer!r} is no https address: give the issuer as the provider names it")
    client_id, client_secret = env.str("OIDC_CLIENT_ID", ""), secret(env, "OIDC_CLIENT_SECRET")
    if not client_id or not client_secret:
        raise SettingsError("OIDC_ISSUER is set: give OIDC_CLIENT_ID and OIDC_CLIENT_SECRET (or its _FILE), too")
    return SsoSettings(
        issuer=issuer,
        client_id=client_id,
        client_secret=client_secret,
        name=env.str("OIDC_NAME", "") or parts.hostname,
        sign_up=yes_or_no(env, "OIDC_SIGN_UP"),
    )


def yes_or_no(env: Env, name: str, *, default: bool = False) -> bool:
    """A switch, and how it stands when nobody has set it. Raises SettingsError."""
    try:
        return bool(env.bool(name, default))
    except EnvError:
        raise SettingsError(f"{name} is neither yes nor no: give yes or no, or leave it out") from None


def smtp_url(env: Env) -> str:
    """The address of the mail server. Raises SettingsError, which never shows the password."""
    url = secret(env, "SMTP_URL") or "smtp://127.0.0.1:1025"
    if not is_smtp_url(url):
        raise SettingsError(
            "SMTP_URL is no address of a mail server: give smtp://host:25, smtps://user:password@host or "
            "smtp+starttls://user:password@host:587"
        )
    if shows_password(url) and not yes_or_no(env, "SMTP_ALLOW_PLAIN"):
        raise SettingsError(
            "SMTP_URL would send the password unencrypted: give smtps:// or smtp+starttls://, or SMTP_ALLOW_PLAIN=yes "
            "if nobody can listen on the way"
        )
    return url


def smtp_ca_file(env: Env) -> Path | None:
    """The file of the authority behind the mail server's certificate. Raises SettingsError."""
    given = env.str("SMTP_CA_FILE", "")
    if not given:
        return None
    try:
        ssl.create_default_context().load_verify_locations(given)
    except OSError as error:
        reason = error.strerror or "it holds no certificate"
        raise SettingsError(f"SMTP_CA_FILE={given!r} cannot be used: {reason}. Give a file in PEM format") from None
    return Path(given)


def mail_from(env: Env, common: CommonSettings) -> str:
    """The sender of the portal's mails: MAIL_FROM, else support@ the portal's host. Raises SettingsError."""
    given = env.str("MAIL_FROM", "") or f"Support <support@{urlsplit(common.portal_url).hostname}>"
    address = parseaddr(given)[1]
    local = address.endswith(("@localhost", "@127.0.0.1"))
    if "\n" in given or not (is_email(address) or local):
        raise SettingsError(f"MAIL_FROM={given!r} is no e-mail address: give one like Support <support@example.com>")
    return given
