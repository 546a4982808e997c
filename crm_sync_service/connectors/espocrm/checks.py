"""What has to be added or allowed in an EspoCRM before everything works."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from crm_sync_service.connectors.base import CrmError, Missing, UnauthorisedError
from crm_sync_service.connectors.characters import PROBE
from crm_sync_service.connectors.espocrm.client import EspoClient, ServerFailedError
from crm_sync_service.connectors.espocrm.feeds import rows_of
from crm_sync_service.connectors.espocrm.fields import REMEDY, Fields
from crm_sync_service.connectors.espocrm.query import listing, part
from crm_sync_service.connectors.espocrm.settings import USUAL_NAMES

OLDEST_VERSION = (8, 4)
"""Older ones cannot make a key unique among the Cases that are not deleted."""
WEAK = "so two attempts at the same moment could make a second"
_TRYING = "Casebridge looks whether this"
_ROLE = "in Administration, Roles, the role of the API user"
_NEEDED: Mapping[str, Mapping[str, str]] = {
    "Case": {"create": "yes", "read": "all", "edit": "all", "stream": "all"},
    "Contact": {"create": "yes", "read": "all"},
    "Account": {"read": "all"},
    "User": {"read": "all"},
    "Note": {"create": "yes"},
}
_USEFUL = {
    "GlobalStream": "Notes are found Case by Case, which takes many calls",
    "Webhook": "changes are found at the next look instead of at once",
}


def missing(client: EspoClient, fields: Fields) -> Sequence[Missing]:
    """Everything at once, the worst first. Raises what reading raises."""
    found = [*_version(client), *_rights(client.get("App/user").body), *_fields(fields)]
    return sorted(found, key=lambda item: not item.fatal)


def keeps_wide(client: EspoClient) -> bool | None:
    """Writes a Post that belongs to nothing, looks at it, and deletes it; None if that tells nothing."""
    try:
        return PROBE in _stored(client, f"{_TRYING} {PROBE} survives")
    except ServerFailedError:
        # The database refuses it, if it takes another text.
        try:
            return None if not _stored(client, _TRYING) else False
        except CrmError:
            return None
    except CrmError:
        return None


def _stored(client: EspoClient, post: str) -> str:
    try:
        made = client.send("POST", "Note", body={"type": "Post", "post": post}).body
        return str(client.get(f"Note/{part(str(made.get('id') or ''))}").body.get("post") or "")
    finally:
        _forget_tries(client)


def _forget_tries(client: EspoClient) -> None:
    """Also those whose answer was lost; the list shows this API user's own Posts only."""
    found = client.get("Note", listing(select=("id", "post", "parentId"), order="createdAt", newest_first=True))
    for row in rows_of(found):
        if not row.get("parentId") and str(row.get("post")).startswith(_TRYING):
            client.send("DELETE", f"Note/{part(str(row['id']))}")


def _version(client: EspoClient) -> Iterator[Missing]:
    version = str(client.get("Settings").body.get("version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if len(numbers) == 2 and numbers < OLDEST_VERSION:
        needed = ".".join(map(str, OLDEST_VERSION))
        yield Missing(
            what=f"EspoCRM {version} is too old for the extension, which needs {needed}",
            remedy=f"upgrade EspoCRM to {needed} or newer",
            fatal=False,
        )


def _rights(user: Mapping[str, Any]) -> Iterator[Missing]:
    acl = user.get("acl", {})
    table = acl.get("table", {})
    for scope, needed in _NEEDED.items():
        given = table.get(scope)
        for action, level in needed.items():
            has = given.get(action, "no") if isinstance(given, dict) else "no"
            if has != level:
                yield Missing(
                    what=f"the API user may not {_words(scope, action)} (its role says {has!r})",
                    remedy=f"{_ROLE}: set {scope}, {action} to {level}",
                )
    if acl.get("assignmentPermission", "all") != "all":
        yield Missing(
            what="the API user may not assign Cases to everybody", remedy=f"{_ROLE}: set Assignment Permission to all"
        )
    for scope, words in _USEFUL.items():
        if not table.get(scope):
            yield Missing(what=f"without {scope} {words}", remedy=f"{_ROLE}: enable {scope}", fatal=False)
    case = table.get("Case")
    if not isinstance(case, dict) or case.get("delete") not in {"all", "own", "team"}:
        yield Missing(
            what="the API user may not delete Cases, so a trial cannot remove its own",
            remedy=f"{_ROLE}: set Case, delete to own, or delete the Case of the trial by hand",
            fatal=False,
        )


def _words(scope: str, action: str) -> str:
    verb = {"create": "create", "read": "read all", "edit": "edit all", "stream": "see the stream of all"}[action]
    return f"{verb} {'Notes on Cases' if scope == 'Note' else scope + 's'}"


def _fields(fields: Fields) -> Iterator[Missing]:
    yield from _key(fields, "Case", fields.ticket_id, "ticket_id", "description")
    yield from _key(fields, "Note", fields.reply_id, "reply_id", "text")
    for name, words in (("product", "the product of a ticket"), ("ticket_url", "the link to the ticket")):
        if fields.of(name) is None:
            yield Missing(what=f"there is no field for {words}, so Cases do not show it", remedy=REMEDY, fatal=False)


def _key(fields: Fields, entity: str, ask: Callable[[], str | None], usual: str, text: str) -> Iterator[Missing]:
    try:
        name = ask()
    except UnauthorisedError as error:
        yield Missing(what=str(error).split(":")[0], remedy=REMEDY)
        return
    if name is None:
        lacking = f"EspoCRM has no field {USUAL_NAMES[usual][0]} on {entity}"
        what = f"{lacking}: its key is written at the end of its {text}, {WEAK} {entity}"
        yield Missing(what=what, remedy=REMEDY, fatal=False)
    elif not fields.is_unique(entity, name):
        yield Missing(what=f"the field {name} of {entity} is not unique, {WEAK} {entity}", remedy=REMEDY, fatal=False)
