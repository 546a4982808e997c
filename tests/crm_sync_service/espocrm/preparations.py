"""What happened to the recorded EspoCRM between two exchanges without being one: settings, resets, other users."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any

from tests.crm_sync_service.espocrm.simulator import KEY, EspoSimulator

ADMIN, HMAC_USER, RESTRICTED = "6b0248ff6f8df8003", "6b0249a1e1f442a05", "6b0249a226699b161"
_BOB, _ADA, _GRACE = "6b0249a26785f1d07", "6b024a51da8b5aa5e", "6b024a51e351c4144"
_HMAC = ("hmac-key", "hmac-secret")
_WRONG = re.compile(
    r"(01-auth|14-maintenance).*(wrong|lockout-(bad-key|basic)|basic-bad|bearer-malformed|user-with-plain-key).*"
)
_RIGHT_ANYWAY = re.compile(r"01-auth-apikey-plus-.*")
_RESTRICTED = re.compile(r"10-(restricted|forbidden)-.*|05-globalstream-restricted")


def start(simulator: EspoSimulator) -> None:
    """A delivered EspoCRM."""
    state = simulator.state
    state.custom["Case"].clear()
    state.custom["Note"].clear()
    state.unique.clear()
    state.duplicate_checked.clear()
    state.keep("User", ADMIN, userName="admin", lastName="Admin", type="admin", createdById="system")
    simulator.users |= {"admin": ADMIN, "bob": _BOB, "restricted-key": RESTRICTED}
    simulator.hmac_users[_HMAC[0]] = (_HMAC[1], HMAC_USER)
    own = {"create": "yes", "read": "own", "edit": "own", "delete": "no"}
    simulator.rights[f"of {RESTRICTED}"] = {
        "Case": own,
        "Account": {"read": "no"},
        "Contact": {"read": "no", "create": "no"},
        "User": {"read": "own"},
    }


def credentials(one: Any) -> dict[str, str]:
    """The headers with credentials in the place of the blanked ones."""
    headers = dict(one.headers)
    wrong = _WRONG.match(one.name) is not None and not _RIGHT_ANYWAY.match(one.name)
    if "X-Api-Key" in headers:
        headers["X-Api-Key"] = "wrong" if wrong else "restricted-key" if _RESTRICTED.match(one.name) else KEY
    if "Authorization" in headers:
        headers["Authorization"] = (
            "wrong" if wrong else "bob" if one.name.endswith(("-as-bob", "16-mass-update")) else "admin"
        )
    if "X-Hmac-Authorization" in headers:
        headers["X-Hmac-Authorization"] = _signature(one)
    return headers


def _signature(one: Any) -> str:
    path, _, query = one.path.removeprefix("/api/v1").partition("?")
    signed = f"{one.method} {path}" + (f"?{query}" if "with-query-signed" in one.name else "")
    key, secret = _HMAC
    made = hmac.new(
        (f"not {secret}" if "wrong-secret" in one.name else secret).encode(), signed.encode(), hashlib.sha256
    )
    digest = made.digest() if "raw-legacy" in one.name else made.hexdigest().encode()
    return base64.b64encode(key.encode() + b":" + digest).decode()


def _locked(simulator: EspoSimulator) -> None:
    simulator._failures[:] = [simulator._seconds()] * 11


def _unlocked(simulator: EspoSimulator) -> None:
    simulator._failures.clear()


def _custom_fields(simulator: EspoSimulator) -> None:
    simulator.state.custom["Case"] |= {"portalTicketId": 64, "product": 100}
    simulator.state.custom["Note"] |= {"portalReplyId": 64}
    for entity in ("Case", "Note"):
        for row in simulator.state.tables[entity].values():
            row |= {**dict.fromkeys(simulator.state.custom[entity]), **row}
    simulator.state.unique |= {("Case", "portalTicketId"), ("Note", "portalReplyId")}


def _duplicate_check(simulator: EspoSimulator) -> None:
    simulator.state.duplicate_checked.add(("Case", "portalTicketId"))


def _maintenance(simulator: EspoSimulator) -> None:
    simulator.maintenance = True


def _no_database(simulator: EspoSimulator) -> None:
    simulator.database_is_down = True


def _as(active: bool) -> Callable[[EspoSimulator], None]:
    def prepare(simulator: EspoSimulator) -> None:
        simulator.state.tables["User"][simulator.users[KEY]]["isActive"] = active

    return prepare


def _note_webhooks(there: bool) -> Callable[[EspoSimulator], None]:
    def prepare(simulator: EspoSimulator) -> None:
        simulator.state.custom["Note"].pop("webhooks", None)
        if there:
            simulator.state.custom["Note"]["webhooks"] = 1

    return prepare


def _kept(case_id: str, **values: Any) -> Callable[[EspoSimulator], None]:
    """A Case of which no exchange tells how it was made."""

    def prepare(simulator: EspoSimulator) -> None:
        if case_id not in simulator.state.tables["Case"]:
            simulator.state.keep("Case", case_id, **values)

    return prepare


def _values(case_id: str, **values: Any) -> Callable[[EspoSimulator], None]:
    def prepare(simulator: EspoSimulator) -> None:
        row = simulator.state.tables["Case"][case_id]
        if row["versionNumber"] < values["versionNumber"]:
            row.update(values)

    return prepare


def _emptied(simulator: EspoSimulator) -> None:
    """All Cases were removed, and their numbers began anew."""
    if not simulator.state.tables["Case"].keys() & {_HUNG_UP, _V}:
        simulator.state.tables["Case"].clear()
        simulator.state._counters["Case"] = 1


def _twins(simulator: EspoSimulator) -> None:
    """An account and a contact that are to be merged with others."""
    if "6b024e8100781f0f0" not in simulator.state.tables["Account"]:
        simulator.state.keep("Account", "6b024e8100781f0f0", name="Acme Duplicate")
        ada = {"firstName": "Ada", "lastName": "Dup", "emailAddress": "adadup@acme.example"}
        simulator.state.keep("Contact", "6b024e81076c4afc0", **ada)


_HUNG_UP, _MASS, _V, _HUMAN = "6b024e7d6582faadc", "6b024e7e784a5b876", "6b024f8f12e5d9aac", "6b024ce079c562a35"
_CHANGED = {"status": "Pending", "priority": "High", "type": "Question", "description": "zz", "product": "P2"}
_CHANGED |= {"accountId": "6b024a51aea4bda67", "assignedUserId": "6b0249a286caaff4a", "versionNumber": 7}
_CHANGED["streamUpdatedAt"] = "2026-11-22 02:01:05"
_THEN = dict.fromkeys(("createdAt", "modifiedAt", "streamUpdatedAt"), "2026-11-22 02:07:57")
FIRST = frozenset({"05-case-patch-assigned"})
"""Of their second, as the numbers of the Notes tell."""
NOT_SENT = frozenset({"02-case-create-description-20MB"})
"""Recorded with their beginning only, which would succeed."""
PREPARATIONS: list[tuple[str, Callable[[EspoSimulator], None]]] = [
    (r"01-auth-lockout-(bad-key|good-key|basic|good-key-after-basic)", _locked),
    (r"01-auth-lockout-good-key-60s-later", _unlocked),
    (r"07-unique-.*", _custom_fields),
    (r"07-dupcheck-.*", _duplicate_check),
    (r"14-maintenance-mode.*", _maintenance),
    (r"14-db-unavailable-.*", _no_database),
    (r"14-apiuser-inactive", _as(active=False)),
    (r"(?!14-apiuser-inactive).*", _as(active=True)),
    (r"07-unique-update-clash", _kept("6b024b7e968b3cf5d", name="another")),
    (r"14-human-.*|14-poll-not-own.*|14-modified.*", _kept(_HUMAN, name="human edited")),
    (r"14-header-link-updated", _values(_HUMAN, **_CHANGED)),
    (r"16-client-hangup-.*", _emptied),
    (r"16-client-hangup-.*", _kept(_HUNG_UP, name="hung up", portalTicketId="T-HANG", **_THEN)),
    (r"16-mass-update", _kept(_MASS, name="trace")),
    (r"16-merge-.*|16-find.*", _twins),
    (r"03-.*-changing|04-patch-primary-swap.*|04-.*-drop-primary.*|01-auth-apikey-plus.*", _emptied),
    (r"03-.*-changing|04-patch-primary-swap.*|04-.*-drop-primary.*|01-auth-apikey-plus.*", _kept(_V, name="v")),
    (r"04-patch-primary-swap", _values(_V, contactId=_ADA, contactsIds=[_ADA, _GRACE], versionNumber=2)),
    (r"09-webhook-note-enabled-.*", _note_webhooks(there=True)),
    (r"09-webhook-note-disabled-again", _note_webhooks(there=False)),
]
