"""The conversation of an old ticket, as the lists of Zendesk, Freshdesk and their like hold it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal_service.imports.errors import BadRow
from portal_service.imports.long_texts import fitted
from portal_service.imports.mapping import Rules
from portal_service.imports.moments import parse_moment
from portal_service.imports.oldticket import OldComment
from portal_service.imports.readable import readable
from portal_service.imports.rows import flatten, plain_name
from portal_service.imports.values import as_bool, as_text, list_from, split_address
from portal_service.tickets.text import clean_line

_BODY = ("plainbody", "bodytext", "text", "body", "htmlbody", "comment", "message", "content", "description")
_DATE = ("createdat", "created", "createdtime", "date", "time", "timestamp", "postedat")
_EMAIL = ("authoremail", "fromemail", "useremail", "email", "from")
_NAME = ("authorname", "author", "fromname", "username", "user", "poster", "name", "from")
_ROLE = ("authorrole", "role", "authortype", "usertype")
_CUSTOMER_ROLES = {"enduser", "customer", "requester", "user", "client", "contact"}
_STAFF_ROLES = {"agent", "admin", "staff", "owner", "operator"}
_MAX_NAME = 255


@dataclass(frozen=True, kw_only=True)
class Conversation:
    comments: tuple[OldComment, ...]
    untold: int
    """How many did not say whether customers may see them."""


def read_conversation(value: Any, *, rules: Rules, since: datetime, description: str) -> Conversation:
    """The comments in order of time; a first one that only repeats the description is left out.

    `since` is the date of a comment that has none. Raises BadRow.
    """
    comments: list[OldComment] = []
    untold = 0
    for number, item in enumerate(list_from(value), start=1):
        record = item if isinstance(item, Mapping) else {"body": item}
        told = {plain_name(name): content for name, content in flatten(record).items()}
        body = readable(as_text(_first(told, _BODY)))
        if not body.strip() or (number == 1 and body.split() == description.split()):
            continue
        comment = _comment(told, body, number=number, rules=rules, since=since)
        untold += _visibility(told) is None
        since = comment.created_at
        comments.append(comment)
    return Conversation(comments=tuple(sorted(comments, key=lambda comment: comment.created_at)), untold=untold)


def _comment(told: Mapping[str, Any], body: str, *, number: int, rules: Rules, since: datetime) -> OldComment:
    date = as_text(_first(told, _DATE)).strip()
    name, address = split_address(clean_line(as_text(_first(told, _EMAIL))))
    public = _visibility(told)
    return OldComment(
        body=fitted(body, file=f"comment-{number}.txt"),
        public=rules.defaults.get("comments") == "public" if public is None else public,
        from_customer=_from_customer(told),
        author_name=(clean_line(as_text(_first(told, _NAME))) or name)[:_MAX_NAME],
        author_email=address,
        created_at=_moment(date, number, rules) if date else since,
    )


def _moment(date: str, number: int, rules: Rules) -> datetime:
    try:
        return parse_moment(date, zone=rules.zone, date_format=rules.date_format)
    except BadRow as error:
        raise BadRow(f"comment {number}: {error.reason}", kind=f"a comment with {error.kind}") from None


def _visibility(told: Mapping[str, Any]) -> bool | None:
    """Whether customers may see it; None if the comment does not say."""
    for name in ("public", "ispublic"):
        if told.get(name) is not None:
            return as_bool(told[name])
    for name in ("private", "isprivate", "internal", "isinternal"):
        if told.get(name) is not None:
            return not as_bool(told[name])
    return None


def _from_customer(told: Mapping[str, Any]) -> bool | None:
    role = plain_name(as_text(_first(told, _ROLE)))
    if role in _CUSTOMER_ROLES | _STAFF_ROLES:
        return role in _CUSTOMER_ROLES
    return True if told.get("incoming") is not None and as_bool(told["incoming"]) else None


def _first(told: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((told[name] for name in names if told.get(name) not in (None, "")), None)
