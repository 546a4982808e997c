"""Contacts: found by e-mail address, and linked to Cases by the name of the link."""

from collections.abc import Sequence

from crm_sync_service.connectors.base import DirectoryEntry, InvalidError, NotFoundError
from crm_sync_service.connectors.suitecrm.client import SuiteClient
from crm_sync_service.connectors.suitecrm.feed import rows_of
from crm_sync_service.connectors.suitecrm.records import DIRECTORY_FIELDS, Attributes, directory_entry, text_of
from crm_sync_service.connectors.suitecrm.settings import SuiteCrmSettings
from shared.emails import email_key

_MANY = {"page[size]": "200", "page[number]": "1"}


class Contacts:
    """The contacts of Cases; which of several is the ticket's own stands in an attribute of the Case."""

    def __init__(self, client: SuiteClient, settings: SuiteCrmSettings) -> None:
        self._client = client
        self._link = settings.fields.get("contact", "contacts")
        self._main = settings.main_contact_field

    def of(self, case_id: str, attributes: Attributes) -> str | None:
        """The ticket's contact, if it is linked; else any linked one, always the same."""
        linked = self._linked(case_id)
        main = str(attributes.get(self._main) or "") if self._main else ""
        return main if main in linked else min(linked, default=None)

    def link(self, case_id: str, contact_id: str) -> None:
        """Raises InvalidError. Doing it twice changes nothing."""
        try:
            self._client.link(f"module/Cases/{case_id}/relationships/{self._link}", "Contacts", contact_id)
        except NotFoundError as error:
            words = f"there is no contact with the id {contact_id}"
            raise InvalidError(words, fields={"contact": words}) from error

    def change(self, case_id: str, attributes: Attributes, contact_id: str | None) -> dict[str, str]:
        """Link another contact; returns the attributes that have to say so, nothing if it is so already."""
        now = self.of(case_id, attributes)
        if now == contact_id:
            return {}
        if contact_id is not None:
            self.link(case_id, contact_id)
        if now is not None:
            self._unlink(case_id, now)
        return {self._main: contact_id or ""} if self._main else {}

    def by_email(self, address: str) -> Sequence[DirectoryEntry]:
        """The filter also finds addresses that a contact no longer has, so what comes back is compared."""
        fields = {"fields[Contacts]": DIRECTORY_FIELDS["contact"]}
        body = self._client.get("module/Contacts", {**fields, "filter[email1][eq]": address, **_MANY})
        wanted = email_key(address)
        found = [directory_entry("contact", row) for row in rows_of(body)]
        return [entry for entry in found if wanted in map(email_key, entry.emails) or self._has(entry, wanted)]

    def _has(self, entry: DirectoryEntry, wanted: str) -> bool:
        """Whether it is another address of the contact, where SuiteCRM tells."""
        try:
            rows = rows_of(self._client.get(f"module/Contacts/{entry.crm_id}/relationships/email_addresses"))
        except (InvalidError, NotFoundError):
            return False
        return any(email_key(text_of(row["attributes"], "email_address") or "") == wanted for row in rows)

    def _linked(self, case_id: str) -> set[str]:
        rows = rows_of(self._client.get(f"module/Cases/{case_id}/relationships/{self._link}"))
        return {str(row["id"]) for row in rows}

    def _unlink(self, case_id: str, contact_id: str) -> None:
        try:
            self._client.delete(f"module/Cases/{case_id}/relationships/{self._link}/{contact_id}")
        except NotFoundError:
            return
