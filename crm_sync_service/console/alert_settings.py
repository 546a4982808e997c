"""Where alerts go: ALERT_MAIL and ALERT_URL."""

from dataclasses import dataclass
from email.utils import getaddresses
from urllib.parse import urlsplit

from environs import Env

from shared.emails import is_email
from shared.settings import CommonSettings, SettingsError, http_url, read_env, secret
from shared.smtp import is_smtp_url


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """Nobody is told if neither a mail address nor a URL is given."""

    mail: tuple[str, ...] = ()
    url: str | None = None
    smtp_url: str = "smtp://127.0.0.1:1025"
    sender: str = "casebridge@localhost"

    @property
    def wanted(self) -> bool:
        return bool(self.mail or self.url)


def read_alert_settings(common: CommonSettings) -> AlertSettings:
    """Raises SettingsError, which never shows a password."""
    env = read_env()
    url = secret(env, "ALERT_URL")
    smtp_url = secret(env, "SMTP_URL") or AlertSettings.smtp_url
    if not is_smtp_url(smtp_url):
        raise SettingsError("SMTP_URL is no address of a mail server: give one like smtp://host:25")
    return AlertSettings(
        mail=_addresses(env),
        url=http_url("ALERT_URL", url) if url else None,
        smtp_url=smtp_url,
        sender=env.str("MAIL_FROM", "") or f"Casebridge <casebridge@{urlsplit(common.console_url).hostname}>",
    )


def _addresses(env: Env) -> tuple[str, ...]:
    given = env.str("ALERT_MAIL", "")
    found = tuple(address for _, address in getaddresses([given]) if address)
    if given.strip() and not (found and all(is_email(address) for address in found)):
        raise SettingsError(f"ALERT_MAIL={given!r} is no e-mail address: give one or several, separated by commas")
    return found
