"""What keys are called on the pages. Sentences for people come from here and from the templates only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flask_babel import format_datetime, get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal_service.crm.freshness import Freshness
from portal_service.tickets.models import Category, HistoryEntry, RequestType

STATUS: Mapping[str, str] = {
    "new": _l("New"),
    "open": _l("Open"),
    "pending": _l("Pending"),
    "solved": _l("Solved"),
    "closed": _l("Closed"),
}
# The customer's words for the same five (S61).
CUSTOMER_STATUS: Mapping[str, str] = {**STATUS, "pending": _l("Awaiting your reply")}
STATUS_MEANS: Mapping[str, str] = {
    "new": _l("We received it. Nobody has looked at it yet."),
    "open": _l("We are working on it."),
    "pending": _l("We asked you something and go on as soon as you answer."),
    "solved": _l("We believe it is solved. Reply if it is not."),
    "closed": _l("It is finished. A reply opens it again."),
}
STAFF_STATUS_MEANS: Mapping[str, str] = {
    "new": _l("Not yet reviewed by anybody."),
    "open": _l("Support has to act."),
    "pending": _l("Waits for the customer's answer."),
    "solved": _l("Answered; the customer may still object."),
    "closed": _l("Final. A reply of the customer opens it again."),
}
PRIORITY: Mapping[str, str] = {
    "low": _l("Low"),
    "normal": _l("Normal"),
    "high": _l("High"),
    "urgent": _l("Urgent"),
}
ORIGIN: Mapping[str, str] = {
    "portal": _l("Customer portal"),
    "email": _l("E-mail"),
    "chat": _l("Chat"),
    "phone": _l("Phone"),
    "staff": _l("Filed by support"),
    "import": _l("Imported"),
}
KIND: Mapping[str, str] = {
    "documentation": _l("Guides and answers"),
    "announcement": _l("News"),
    "release_notes": _l("Release notes"),
    "system_requirements": _l("System requirements"),
}
ARTICLE_VISIBILITY: Mapping[str, str] = {
    "public": _l("Everybody"),
    "users": _l("Everybody who is logged in"),
    "staff": _l("Staff only"),
}
ARTICLE_STATE: Mapping[str, str] = {
    "draft": _l("Draft"),
    "scheduled": _l("Scheduled"),
    "published": _l("Published"),
    "withdrawn": _l("Withdrawn"),
}
FINDING: Mapping[str, str] = {
    "name": _l("Name"),
    "company": _l("Company"),
    "email": _l("E-mail address"),
    "phone": _l("Phone number"),
    "username": _l("User name"),
    "ticket": _l("Ticket number"),
    "url": _l("Address of a page or computer"),
    "key": _l("Key or password"),
    "ip": _l("Address of a computer"),
    "other": _l("Named by you or by the form"),
}
FIELD: Mapping[str, str] = {
    "status": _l("Status"),
    "priority": _l("Priority"),
    "assignee": _l("Assigned to"),
    "assignee_id": _l("Assigned to"),
    "account": _l("Account"),
    "account_id": _l("Account"),
    "product": _l("Product"),
    "product_id": _l("Product"),
    "category": _l("Category"),
    "category_id": _l("Category"),
    "contact": _l("Contact"),
    "subject": _l("Subject"),
    "description": _l("Description"),
    "parent_number": _l("Parent"),
    "rating": _l("Rating"),
    "split": _l("Ticket of its own made of a reply"),
}
ACTION: Mapping[str, str] = {
    "created": _l("Submitted the request"),
    "assigned": _l("Assigned it"),
    "reviewed": _l("Opened it for the first time"),
    "replied": _l("Replied"),
    "noted": _l("Added an internal note"),
    "transferred": _l("Transferred it"),
    "called": _l("Phoned the requester"),
    "asked": _l("Asked the customer"),
    "closed": _l("Closed it"),
    "solved": _l("Marked it as solved"),
    "reopened": _l("Opened it again"),
    "deleted": _l("Deleted it"),
    "restored": _l("Restored it"),
    "redacted": _l("Took its words out for good"),
    "refused": _l("Was refused a change"),
    "changed": _l("Changed"),
}
SCORE: Mapping[str, str] = {
    "5": _l("Very good"),
    "4": _l("Good"),
    "3": _l("All right"),
    "2": _l("Bad"),
    "1": _l("Very bad"),
}
# Why an agent was not considered for a ticket (O9).
LEFT_OUT: Mapping[str, str] = {
    "inactive": _l("no longer works here"),
    "no_permission": _l("has no permission for this kind of ticket"),
    "away": _l("is away"),
    "unknown": _l("is not known"),
}
NATURE_LABEL = "Nature of the request"
_MOMENTS = ("Needed by", "Preferred call time")
NATURE: Mapping[str, str] = {
    "Incident": _l("Something that worked is broken"),
    "Service request": _l("I need something new or changed"),
}
LOGIN_METHOD: Mapping[str, str] = {
    "password": _l("with the password"),
    "two_factor": _l("with the password and a second step"),
    "passkey": _l("with a passkey"),
    "sso": _l("through the company log-in"),
}
TOKEN_SCOPE: Mapping[str, str] = {
    "read": _l("Read"),
    "write": _l("File, answer and change"),
    "staff": _l("Act as support staff"),
}
ACCESS_LEVEL: Mapping[str, str] = {
    "file": _l("File requests and see own ones"),
    "read_all": _l("Read all tickets of the account"),
}
PEOPLE_ACTION: Mapping[str, str] = {
    "staff_added": _l("Added to the staff"),
    "staff_invited": _l("Mailed a link to choose a password"),
    "staff_deactivated": _l("Deactivated"),
    "staff_activated": _l("Let in again"),
    "permission_given": _l("Allowed tickets"),
    "permission_taken": _l("Took tickets back"),
    "available": _l("Set to available"),
    "away": _l("Set to away"),
    "admin_given": _l("Made an administrator"),
    "admin_taken": _l("Took back the rights of an administrator"),
    "logged_out": _l("Logged out everywhere"),
    "second_step_removed": _l("Removed the second step"),
    "access_granted": _l("Gave access to an account"),
    "access_withdrawn": _l("Withdrew access to an account"),
    "type_added": _l("Added a request type"),
    "type_changed": _l("Changed a request type"),
    "type_moved": _l("Moved a request type"),
    "type_withdrawn": _l("Withdrew a request type"),
    "type_offered": _l("Offered a request type again"),
    "category_added": _l("Added a category"),
    "category_changed": _l("Changed a category"),
    "category_moved": _l("Moved a category"),
    "category_withdrawn": _l("Withdrew a category"),
    "category_offered": _l("Offered a category again"),
}
# Recommended information (S25): stored under the English label, shown under the reader's.
DETAIL: Mapping[str, str] = {
    "Nature of the request": _l("Nature of the request"),
    "Needed by": _l("Needed by"),
    "Preferred call time": _l("Preferred call time"),
    "Phone number": _l("Phone number"),
    "Company": _l("Company"),
    "Browser": _l("Browser"),
    "Person or group concerned": _l("Person or group concerned"),
    "Customer number": _l("Customer number"),
    "Document": _l("Document"),
    "Error text": _l("Error text"),
    "Module or part": _l("Module or part"),
}


def name_of(item: RequestType | Category) -> str:
    """The name of a request type or a category in the reader's language."""
    return item.name_nl if _reads_dutch() and item.name_nl else item.name_en


def hint_of(request_type: RequestType) -> str:
    return request_type.hint_nl if _reads_dutch() and request_type.hint_nl else request_type.hint_en


def words(table: Mapping[str, str], key: str | None) -> str:
    """The label of `key`; an unknown key shows as it is rather than as nothing."""
    return table.get(key, key) if key else ""


@dataclass(frozen=True)
class Line:
    """One line of a ticket's history, in words."""

    text: str
    who: str
    at: datetime


def history_lines(entries: Iterable[HistoryEntry]) -> list[Line]:
    """What happened, newest first."""
    lines = [Line(_sentence(entry), _who(entry), entry.at) for entry in entries]
    return lines[::-1]


def detail_value(label: str, value: str) -> str:
    """A value of the recommended information; those the form offers are shown in the reader's language."""
    if label in _MOMENTS:
        return _named_moment(value)
    return str(words(NATURE, value)) if label == NATURE_LABEL else value


def _named_moment(value: str) -> str:
    """A day such as 2026-11-25, perhaps with a time and its zone behind it, as pages write moments."""
    day, *rest = value.split(" ")
    try:
        moment = datetime.fromisoformat(" ".join([day, *rest[:1]]))
    except ValueError:
        return value
    shown = format_datetime(moment, "d MMM y, HH:mm" if rest else "d MMM y", rebase=False)
    return " ".join([str(shown), *rest[1:]])


def freshness_text(state: Freshness) -> str:
    """How well the Case mirrors the ticket, with moments in the reader's zone."""
    args = dict(state.args)
    if state.since is not None:
        args["since"] = format_datetime(state.since, "d MMM HH:mm")
    return str(_(state.text_key, **args))


def _sentence(entry: HistoryEntry) -> str:
    field = words(FIELD, entry.field)
    if entry.field == "split":
        return f"{field}: {entry.after}"
    if entry.action == "changed" and entry.field:
        before, after = _value(entry.field, entry.before), _value(entry.field, entry.after)
        return str(_("%(field)s: %(before)s → %(after)s", field=field, before=before, after=after))
    if entry.action == "refused" and entry.field and entry.after:
        return str(_("%(field)s was not set to %(after)s", field=field, after=_value(entry.field, entry.after)))
    return str(words(ACTION, entry.action)) + (f" ({field})" if field else "")


def _who(entry: HistoryEntry) -> str:
    if entry.actor_kind != "crm":
        return entry.actor_name
    return str(_("%(name)s, in the CRM", name=entry.actor_name))


def _value(field: str, value: str | None) -> str:
    """A value of the history as people read it."""
    if not value:
        return str(_("nobody") if field == "assignee" else _("nothing"))
    return str(words({"status": STATUS, "priority": PRIORITY, "rating": SCORE}.get(field, {}), value))


def _reads_dutch() -> bool:
    locale = get_locale()
    return locale is not None and locale.language == "nl"
