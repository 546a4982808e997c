"""Which column of an export holds what: by the names other help desks give them, or as the administrator says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal_service.imports.errors import CannotImport
from portal_service.imports.rows import plain_name

# In order of preference, as `plain_name` gives them: Freshdesk's `Title` is the person's, next to a `Subject`.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "id": (
        "ticketid", "id", "ticketnumber", "ticketno", "ticket", "number", "displayid", "key", "issuekey", "caseid",
        "casenumber", "requestid", "conversationnumber",
    ),
    "subject": ("subject", "rawsubject", "ticketsubject", "title", "summary", "topic"),
    "description": (
        "descriptiontext", "plaindescription", "description", "descriptionhtml", "body", "message", "content", "text",
        "comment", "firstmessage", "initialmessage", "question",
    ),
    "requester_email": (
        "requesteremail", "contactemail", "customeremail", "fromemail", "useremail", "senderemail", "clientemail",
        "emailaddress", "email", "requester", "from",
    ),
    "requester_name": (
        "requestername", "requester", "fullname", "contactname", "customername", "fromname", "username", "sendername",
        "clientname", "contact", "customer", "user", "name", "from",
    ),
    "status": ("status", "ticketstatus", "currentstatus", "statusname", "state"),
    "priority": ("priority", "ticketpriority", "priorityname", "urgency", "severity"),
    "type": ("type", "tickettype", "requesttype", "issuetype", "helptopic", "department"),
    "product": ("product", "productname", "ticketproduct"),
    "category": ("category", "ticketcategory", "categoryname"),
    "account": (
        "organization", "organisation", "organizationname", "organisationname", "company", "companyname", "account",
        "accountname",
    ),
    "assignee": (
        "assigneeemail", "agentemail", "assignedtoemail", "owneremail", "responderemail", "assignee", "assigneename",
        "agent", "agentname", "agentassigned", "assignedto", "owner", "respondername",
    ),
    "created_at": (
        "createdat", "createdtime", "created", "datecreated", "createddate", "creationdate", "createdon", "openedat",
        "opened", "submittedat", "requestedat", "date",
    ),
    "updated_at": (
        "updatedat", "lastupdatetime", "lastupdated", "updatedtime", "updated", "dateupdated", "modifiedat",
        "lastmodified", "updatedon", "lastactivity",
    ),
    "finished_at": (
        "closedat", "closedtime", "dateclosed", "closed", "solvedat", "resolvedat", "resolvedtime", "solved",
        "resolved",
    ),
    "tags": ("tags", "tag", "labels"),
    "url": ("url", "link", "ticketurl", "weblink"),
    "comments": ("comments", "conversations", "conversation", "replies", "thread", "threads", "notes"),
}  # fmt: skip
FIELDS = tuple(SYNONYMS)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The column of each field that has one, and the columns nothing reads."""

    by_field: Mapping[str, str]
    unused: tuple[str, ...]

    def value(self, values: Mapping[str, Any], field: str) -> Any:
        """What a row says about a field; None where there is no such column."""
        column = self.by_field.get(field)
        return values.get(column) if column is not None else None


def match_columns(names: Sequence[str], chosen: Mapping[str, str]) -> Columns:
    """Find each field's column: as `chosen`, else by its synonyms. Raises CannotImport."""
    by_name = {plain_name(name): name for name in reversed(names) if plain_name(name)}
    found = {field: column for field, words in SYNONYMS.items() if (column := _first(words, by_name))}
    for field, name in chosen.items():
        if plain_name(name) not in by_name:
            raise CannotImport(f"there is no column {name!r} for {field}: the file has {', '.join(names)}")
        found[field] = by_name[plain_name(name)]
    used = set(found.values())
    return Columns(by_field=found, unused=tuple(name for name in names if name and name not in used))


def _first(words: Sequence[str], by_name: Mapping[str, str]) -> str | None:
    return next((by_name[word] for word in words if word in by_name), None)
