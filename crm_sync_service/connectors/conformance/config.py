"""The file that says which CRM to check: TOML with its kind, address, credentials and mapping."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm_sync_service.connectors.config import CREDENTIALS, ConfigError, ConnectorConfig

EXAMPLE = """kind = "suitecrm"                      # or espocrm, salesforce, desk, ...
url = "https://crm.example.com"
# mapping = "my-mapping.toml"          # without it the one that is shipped for the kind
# ca_file = "my-ca.pem"                # for a certificate of your own
# allow_http = true                    # for plain HTTP within a private network
# account = "..."                      # id of an account that trial Cases may be filed under
[credentials]                          # each as a value, or as NAME_env, or as NAME_file
client_id = "..."
client_secret_env = "CRM_SECRET"
"""
_PLAIN = {"kind": str, "url": str, "mapping": str, "ca_file": str, "allow_http": bool, "account": str}


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """What a file of this kind says."""

    kind: str
    config: ConnectorConfig
    mapping: Path | None
    account: str | None
    """The id of an account that may be used."""


def read_check_config(path: Path) -> CheckConfig:
    """Raises ConfigError. What the file does not say of credentials may stand in CRM_API_KEY and so on."""
    given = _read(path)
    where = path.resolve().parent
    if "url" not in given or "kind" not in given:
        raise ConfigError(f"{path} must give kind and url, like:\n{EXAMPLE}")
    url = str(given["url"]).rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{path}: url={url!r} is not a web address: give one like https://crm.example.com")
    credentials = _credentials(path, {**given, **given.get("credentials", {})})
    return CheckConfig(
        kind=given["kind"],
        config=ConnectorConfig(
            url=url,
            ca_file=where / given["ca_file"] if "ca_file" in given else None,
            allow_http=given.get("allow_http", False),
            **credentials,
        ),
        mapping=where / given["mapping"] if "mapping" in given else None,
        account=given.get("account"),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    for name, kind in _PLAIN.items():
        if name in given and not isinstance(given[name], kind):
            raise ConfigError(f"{path}: {name} must be a {'text' if kind is str else 'true or false'}")
    if not isinstance(given.get("credentials", {}), dict):
        raise ConfigError(f"{path}: credentials must be a table, like:\n{EXAMPLE}")
    names = {f"{name}{end}" for name in CREDENTIALS for end in ("", "_env", "_file")}
    for name in {*given, *given.get("credentials", {})} - names - _PLAIN.keys() - {"credentials"}:
        raise ConfigError(f"{path}: {name} is unknown; such a file looks like:\n{EXAMPLE}")
    return given


def _credentials(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Each from the file, an environment variable or a file of its own."""
    found: dict[str, Any] = {}
    for name, setting in CREDENTIALS.items():
        if f"{name}_env" in given:
            variable = str(given[f"{name}_env"])
            if variable not in os.environ:
                raise ConfigError(f"{path}: {name}_env names {variable}, which is not set")
            found[name] = os.environ[variable]
        elif f"{name}_file" in given:
            try:
                found[name] = (path.resolve().parent / str(given[f"{name}_file"])).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{path}: {name}_file cannot be read: {error.strerror}") from error
        elif name in given:
            found[name] = str(given[name])
        else:
            found[name] = os.environ.get(setting) or _from_file(path, f"{setting}_FILE")
    return found


def _from_file(path: Path, setting: str) -> str | None:
    file = os.environ.get(setting)
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path}: {setting}={file!r} cannot be read: {error.strerror}") from error
