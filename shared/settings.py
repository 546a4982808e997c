"""Settings from the environment, checked when a process starts. A wrong one stops it; nothing falls back."""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from environs import Env, EnvError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

LANGUAGES = ("en", "nl")


class SettingsError(Exception):
    """A setting that cannot work; the text says which one and what would be right."""


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What every process needs to know."""

    home: Path
    """Folder for everything the embedded default stores."""
    broker_url: str
    """`embedded:///file` or `amqp://` / `amqps://`."""
    secret_key: str
    portal_url: str
    """Public base URL of the portal, without a slash at its end; likewise the two below."""
    console_url: str
    crm_url: str
    broker_prefix: str = "casebridge"
    """Begins the name of every queue, so that two installations may share a broker."""
    trusted_hosts: tuple[str, ...] = ()
    """Host names the web processes answer to beside those of the public URLs and loopback."""
    proxies: int = 0
    """How many reverse proxies stand before the web processes; only their X-Forwarded headers are believed."""


def read_env() -> Env:
    return Env()


def read_common(env: Env) -> CommonSettings:
    """The settings all processes share. Raises SettingsError."""
    home = Path(env.str("CASEBRIDGE_HOME", "var")).resolve()
    home.mkdir(parents=True, exist_ok=True)
    return CommonSettings(
        home=home,
        broker_url=broker_url(env.str("BROKER_URL", f"embedded:///{home}/broker.db")),
        secret_key=secret_key(env, home),
        portal_url=http_url("PORTAL_URL", env.str("PORTAL_URL", _local(env, "PORTAL_PORT", 8000))),
        console_url=http_url("CONSOLE_URL", env.str("CONSOLE_URL", _local(env, "CONSOLE_PORT", 8001))),
        crm_url=http_url("CRM_URL", env.str("CRM_URL", _local(env, "CRM_PORT", 8002))),
        broker_prefix=_broker_prefix(env),
        trusted_hosts=tuple(env.str("TRUSTED_HOSTS", "").replace(",", " ").split()),
        proxies=whole_number(env, "PROXIES", default=0, least=0, most=5),
    )


def _broker_prefix(env: Env) -> str:
    prefix: str = env.str("BROKER_PREFIX", "casebridge")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", prefix):
        raise SettingsError(f"BROKER_PREFIX={prefix!r} cannot begin a queue's name: give letters, digits, _ . or -")
    return prefix


def _local(env: Env, port_setting: str, default: int) -> str:
    return f"http://127.0.0.1:{port(env, port_setting, default)}"


def port(env: Env, name: str, default: int) -> int:
    """A TCP port from 1 to 65535. Raises SettingsError."""
    try:
        number = env.int(name, default)
    except EnvError:
        raise SettingsError(f"{name}={os.environ.get(name)!r} is not a number: give a port from 1 to 65535") from None
    if not 1 <= number <= 65535:
        raise SettingsError(f"{name}={number} is out of range: give a port from 1 to 65535")
    return number


def whole_number(env: Env, name: str, *, default: int, least: int, most: int) -> int:
    """A whole number in a range, both ends included. Raises SettingsError."""
    try:
        number = env.int(name, default)
    except EnvError:
        number = least - 1
    if not least <= number <= most:
        raise SettingsError(f"{name}={os.environ.get(name)!r} cannot be: give a whole number from {least} to {most}")
    return number


def http_url(name: str, url: str) -> str:
    """An http(s) base URL without a slash at its end. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{name}={url!r} is not a web address: give one like https://support.example.com")
    return url.rstrip("/")


def broker_url(url: str) -> str:
    """The broker's address, of a kind this product speaks. Raises SettingsError."""
    scheme = url.partition(":")[0]
    if scheme not in {"embedded", "amqp", "amqps"}:
        raise SettingsError(
            f"BROKER_URL starts with {scheme!r}: give amqp://user:password@host:5672/vhost, amqps://..., "
            "or leave it out for the embedded broker"
        )
    return url


def database_url(env: Env, service: str, home: Path) -> str:
    """`<SERVICE>_DATABASE_URL`, else `DATABASE_URL`, else a SQLite file of the service. Raises SettingsError.

    On PostgreSQL each service keeps to a schema of its own name, so one database may serve all of them.
    """
    name = f"{service.upper()}_DATABASE_URL"
    url = env.str(name, "") or env.str("DATABASE_URL", "") or f"sqlite:///{home / service}.db"
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError(f"{name} is no database address: give postgresql://user@host/database") from None
    if parsed.get_backend_name() not in {"postgresql", "sqlite"}:
        raise SettingsError(f"{name} names {parsed.get_backend_name()!r}: only postgresql and sqlite are supported")
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def secret(env: Env, name: str, default: str | None = None) -> str | None:
    """A secret from `NAME`, or from the file that `NAME_FILE` names. Raises SettingsError."""
    file = env.str(f"{name}_FILE", "")
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{name}_FILE={file!r} cannot be read: {error.strerror}") from error
    return env.str(name, "") or default


def secret_key(env: Env, home: Path) -> str:
    """The key that signs cookies and links: SECRET_KEY, or one made once for this folder. Raises SettingsError."""
    given = secret(env, "SECRET_KEY")
    if given is not None:
        if len(given) < 32:
            raise SettingsError("SECRET_KEY is too short: give at least 32 random characters")
        return given
    return made_once(home / "secret.key")


def made_once(path: Path) -> str:
    """A random secret kept in a file only its owner can read; processes that start together agree on one."""
    candidate = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        candidate.touch(mode=0o600)
        candidate.write_text(secrets.token_urlsafe(48), encoding="ascii")
        try:
            os.link(candidate, path)
        except FileExistsError:
            pass
        finally:
            candidate.unlink()
    return path.read_text(encoding="ascii")
