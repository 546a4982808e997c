"""One call: who makes it, within which transaction, and what he can reach."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import g, request
from sqlalchemy.orm import Session

from portal_service.api import problems
from portal_service.api.operations import Operation, Who
from portal_service.guests import filing, keys
from portal_service.guests.models import GuestKey
from portal_service.people import policy, tokens
from portal_service.people.models import Contact, Staff, User
from portal_service.people.tokens_models import ApiToken
from portal_service.tickets import fields, queries
from portal_service.tickets.actor import Actor
from portal_service.tickets.models import Ticket
from portal_service.web.visits import Visit, this_portal
from shared.clock import utc_now


@dataclass
class Call:
    """A call within its transaction."""

    session: Session
    now: datetime
    token: ApiToken | None
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def user(self) -> User | None:
        return self.token.user if self.token else None

    @property
    def visit(self) -> Visit:
        """The caller as the functions of the pages know visitors."""
        return Visit(self.session, self.user, self.now)

    @property
    def signed_in(self) -> User:
        return self.visit.signed_in

    @property
    def contact(self) -> Contact:
        return self.visit.contact

    @property
    def staff(self) -> Staff:
        return self.visit.staff

    @property
    def is_staff(self) -> bool:
        return self.user is not None and self.user.staff_id is not None

    def agents_need_scope(self) -> None:
        """For calls that mean something else for agents. Raises ApiProblem."""
        if self.is_staff and self.token is not None and tokens.STAFF not in self.token.scopes:
            raise problems.no_scope(tokens.STAFF)

    def ticket(self, number: int, action: str = "view") -> Ticket:
        """A ticket the caller may do this with; anything else does not exist for him."""
        found = self._found(number, action)
        if found is None:
            raise problems.not_found()
        return found

    def sees(self, number: int) -> Ticket | None:
        """A ticket if the caller may read it."""
        return self._found(number, "view")

    @property
    def guest_key(self) -> GuestKey | None:
        """The key of a guest's ticket, of calls that guests make."""
        return self.token.guest_key if self.token else None

    def matched(self, number: int, action: str) -> Ticket:
        """The same for changes: kept from changing by others, and of the version that If-Match names."""
        found = self.ticket(number, action)
        fields.lock(self.session, found)
        wanted = request.if_match
        versions = {tag.partition("-")[0] for tag in wanted.as_set()}
        if wanted.as_set(include_weak=True) and str(found.version) not in versions:
            raise problems.ApiProblem(412, "changed", problems.CHANGED, headers={"ETag": etag(found)})
        return found

    def actor(self, ticket: Ticket | None = None) -> Actor:
        """The caller as the actions know who acts; a guest is the requester of his ticket."""
        if self.user is not None:
            return self.visit.actor
        assert ticket is not None
        assert ticket.contact is not None
        return filing.guest_actor(ticket.contact)

    def _found(self, number: int, action: str) -> Ticket | None:
        if self.user is None:
            return self._guest_ticket(number, action)
        if self.is_staff:
            found = queries.ticket_for_staff(self.session, number)
        else:
            found = queries.ticket_for_contact(self.session, self.contact, number)
        return found if found is not None and policy.can(self.user, action, found) else None

    def _guest_ticket(self, number: int, action: str) -> Ticket | None:
        key_id = self.token.guest_key_id if self.token else None
        found = keys.opened(self.session, number, [key_id]) if key_id else None
        if found is None or found[1].contact is None or not policy.guest_can(found[0], action, found[1]):
            return None
        return found[1]


def etag(ticket: Ticket) -> str:
    return f'"{ticket.version}"'


@contextmanager
def transaction(operation: Operation) -> Iterator[Call]:
    """The transaction of a call, with whoever makes it; reading calls change nothing. Raises ApiProblem.

    An upload is stored outside of any transaction that keeps others from writing; its view remembers it in one of its
    own.
    """
    database = this_portal().database
    writes = operation.changes and not operation.upload
    with database.write() if writes else database.read() as session:
        call = identified(session, operation)
        g.visit = call.visit
        try:
            yield call
        finally:
            g.pop("visit", None)


def identified(session: Session, operation: Operation) -> Call:
    """Who calls, if he may make this call. Raises ApiProblem."""
    now = utc_now()
    call = Call(session, now, _token(session, operation, now))
    _admit(call, operation)
    return call


def _token(session: Session, operation: Operation, now: datetime) -> ApiToken | None:
    """The token of the request. Cookies are never looked at: another site cannot make a browser send a token."""
    if operation.who is Who.ANYONE:
        return None
    kind, _, plain = request.headers.get("Authorization", "").partition(" ")
    if not kind and operation.who is Who.READER:
        return None
    found = tokens.find(session, plain.strip(), now=now) if kind.lower() == "bearer" else None
    if found is None:
        raise problems.no_token()
    return found


def _admit(call: Call, operation: Operation) -> None:
    """Turn away whoever this call is not for. Raises ApiProblem."""
    if call.token is None:
        return
    if operation.scope not in call.token.scopes:
        raise problems.no_scope(operation.scope)
    if not _belongs(call, operation.who):
        raise problems.not_found()
    if operation.who in {Who.HOLDER, Who.STAFF, Who.ADMIN}:
        call.agents_need_scope()


def _belongs(call: Call, who: Who) -> bool:
    user = call.user
    if who in {Who.READER, Who.HOLDER}:
        return True
    if user is None:
        return False
    if who is Who.CUSTOMER:
        return user.contact_id is not None
    if who is Who.STAFF:
        return user.staff_id is not None
    return policy.may_manage_access(user) if who is Who.ADMIN else True
