"""What an installation lacks: rights, fields, a database for all characters."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from crm_sync_service.connectors.base import CrmError, FieldInfo, InvalidError, Missing, UnauthorisedError
from crm_sync_service.connectors.characters import PROBE
from crm_sync_service.connectors.suitecrm.client import SuiteClient
from crm_sync_service.connectors.suitecrm.fields import described_fields
from crm_sync_service.connectors.suitecrm.settings import SuiteCrmSettings

_NEEDED: Mapping[str, Sequence[str]] = {
    "Cases": ("list", "view", "edit"),
    "Notes": ("list", "view", "edit"),
    "Contacts": ("list", "view", "edit"),
    "Accounts": ("list", "view"),
}
_READ = ("Cases", "Notes", "Contacts", "Accounts", "Users")
_PACKAGE = (
    "install the package that `casebridge suitecrm-package` makes (Admin > Module Loader), or take the field out of "
    "the mapping file"
)
_PROBE = f"Casebridge looks whether this {PROBE} survives"
_MAILS = Missing(
    what="whether SuiteCRM mails customers by itself when a contact is linked to a Case or a Case is closed; "
    "its API does not tell",
    remedy="set $sugar_config['aop']['enable_aop'] = 0 in config_override.php, or empty its e-mail templates "
    "(Admin > AOP Settings); then say mails_checked = true under [connector] in the mapping file",
    fatal=False,
)
_CHARSET = Missing(
    what="a database that keeps emoji: Casebridge writes their names instead, such as [fire], and says so on each "
    "ticket; what people type in SuiteCRM becomes ????",
    remedy="convert the tables to utf8mb4 and set $sugar_config['dbconfigoption']['charset'] = 'utf8mb4' and "
    "['collation'] = 'utf8mb4_unicode_ci' in config_override.php",
    fatal=False,
)


def case_fields(
    client: SuiteClient, options: Mapping[str, Mapping[str, str] | None], *, link: str | None
) -> dict[str, FieldInfo]:
    """The fields of a Case; options are ours to say, as SuiteCRM tells nobody. `link` counts as a field."""
    described = described_fields(client, "Cases")
    return {
        name: FieldInfo(
            type=str(info.get("type", "text")),
            length=_length(info),
            options=options.get(name),
            required=info.get("required") is True,
        )
        for name, info in described.items()
        if info.get("type") != "link" or name == link
    }


def missing(client: SuiteClient, settings: SuiteCrmSettings) -> tuple[list[Missing], bool | None]:
    """What is missing, and whether the database keeps only three bytes a character; None if that stays unknown."""
    found = _rights(client)
    if not any(item.fatal for item in found):
        found += _fields(client, settings)
    narrow = None
    if not any(item.fatal for item in found):
        narrow = is_narrow(client)
    if narrow:
        found.append(_CHARSET)
    if not settings.mails_checked:
        found.append(_MAILS)
    return found, narrow


def is_narrow(client: SuiteClient) -> bool | None:
    """Writes a Note that belongs to nothing, looks at it, and deletes it."""
    note_id = str(uuid.uuid4())
    try:
        client.save("POST", "Notes", {"name": _PROBE}, record_id=note_id)
        shown = client.get(f"module/Notes/{note_id}", {"fields[Notes]": "name"})
    except CrmError:
        return None
    finally:
        _forget(client, note_id)
    return PROBE not in str(shown)


def _forget(client: SuiteClient, note_id: str) -> None:
    try:
        client.delete(f"module/Notes/{note_id}")
    except CrmError:
        return


def _rights(client: SuiteClient) -> list[Missing]:
    denied = [module for module in _READ if not _readable(client, module)]
    found = [_right(module, "list and view") for module in denied]
    try:
        granted = client.get("meta/modules")["data"]["attributes"]
    except (InvalidError, UnauthorisedError, KeyError, TypeError):
        return found
    for module, wanted in _NEEDED.items():
        lacking = [right for right in wanted if right not in (granted.get(module) or {}).get("access", wanted)]
        if lacking and module not in denied:
            found.append(_right(module, " and ".join(lacking)))
    return found


def _right(module: str, rights: str) -> Missing:
    return Missing(
        what=f"the right to {rights} {module}",
        remedy=f"give the API's user a role that allows {rights} for {module} (Admin > Role Management)",
    )


def _readable(client: SuiteClient, module: str) -> bool:
    try:
        client.get(f"module/{module}", {f"fields[{module}]": "date_modified", "page[size]": "1", "page[number]": "1"})
    except (UnauthorisedError, InvalidError):
        return False
    return True


def _fields(client: SuiteClient, settings: SuiteCrmSettings) -> list[Missing]:
    cases = {attribute for name, attribute in settings.fields.items() if name != "contact"}
    cases |= {settings.ticket_id_field, settings.main_contact_field}
    wanted = {"Cases": cases - {""}, "Notes": {settings.message_id_field} - {""}}
    found = []
    for module, names in wanted.items():
        there = described_fields(client, module)
        found += [
            Missing(what=f"the field {name} of {module}: it is left out", remedy=_PACKAGE, fatal=False)
            for name in sorted(names - there.keys())
        ]
    return found


def _length(info: Mapping[str, Any]) -> int | None:
    length = str(info.get("len", ""))
    return int(length) if length.isdecimal() else None
