"""Contacts by address, and making one: the duplicate check of EspoCRM is on name or address, and not atomic."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from crm_sync_service.connectors.base import AlreadyExistsError, NewContact, NotFoundError, UnreachableError
from crm_sync_service.connectors.espocrm import query, text
from crm_sync_service.connectors.espocrm.client import DuplicateError, EspoClient
from crm_sync_service.connectors.espocrm.feeds import rows_of
from crm_sync_service.connectors.espocrm.keys import SKIP_CHECK, only
from crm_sync_service.connectors.espocrm.query import part
from crm_sync_service.connectors.espocrm.records import Row, addresses
from shared.emails import email_key

_SHOWN = ("id", "name", "emailAddress", "accountId", "createdAt")


class Contacts:
    """The contacts of one EspoCRM."""

    def __init__(self, client: EspoClient) -> None:
        self._client = client
        self._lock = threading.Lock()

    def having(self, address: str) -> list[Row]:
        """Live contacts with this address, read in full where the list does not show that it is theirs."""
        wanted = address.strip()
        if "@" not in wanted:
            return []
        rows = rows_of(self._client.get("Contact", query.listing(query.equals("emailAddress", wanted), select=_SHOWN)))
        full = [row if _has(row, wanted) else self._in_full(str(row["id"])) for row in rows]
        return [row for row in full if _has(row, wanted)]

    def create(self, new: NewContact) -> Row:
        """Raises AlreadyExistsError with the id, AmbiguousError, and what the client raises."""
        first, last = text.person_name(new.name)
        emails = [email for email in (address.strip() for address in new.emails) if email]
        body = {"firstName": first, "lastName": last, "accountId": new.account_id, "emailAddress": "".join(emails[:1])}
        values: dict[str, Any] = {name: value for name, value in body.items() if value}
        if len(emails) > 1:
            values["emailAddressData"] = [{"emailAddress": email, "primary": not i} for i, email in enumerate(emails)]
        with self._lock:
            return self._first_of_race(self._made(values, emails), emails)

    def _in_full(self, record_id: str) -> Row:
        try:
            return self._client.get(f"Contact/{part(record_id)}").body
        except NotFoundError:
            return {}

    def _made(self, body: Mapping[str, Any], emails: Sequence[str]) -> Row:
        try:
            return self._client.send("POST", "Contact", body=body).body
        except DuplicateError:
            # The address decides: a namesake is somebody else.
            self._refuse_known(emails)
            return self._client.send("POST", "Contact", body=body, headers=SKIP_CHECK).body
        except UnreachableError:
            self._refuse_known(emails)
            raise

    def _refuse_known(self, emails: Sequence[str]) -> None:
        found = sorted({str(row["id"]) for email in emails for row in self.having(email)})
        if record_id := only(found, f"contacts have the address {', '.join(emails)}"):
            raise AlreadyExistsError("there is a contact with this address already", record_id=record_id)

    def _first_of_race(self, row: Row, emails: Sequence[str]) -> Row:
        """Of contacts made at once for one address the first stays; nobody was told of ours yet."""
        rivals = self.having(emails[0]) if emails else []
        first = min(rivals, key=lambda rival: (str(rival.get("createdAt")), str(rival["id"])), default=row)
        if first["id"] == row["id"]:
            return row
        self._client.send("DELETE", f"Contact/{part(str(row['id']))}")
        raise AlreadyExistsError("somebody else has just made this contact", record_id=str(first["id"]))


def _has(row: Row, address: str) -> bool:
    return email_key(address) in {email_key(known) for known in addresses(row)}
