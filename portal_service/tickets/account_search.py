"""Choosing an account where there are too many for one list: words find those that fit, with or without a script."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.people.models import Account
from portal_service.tickets.choices import MOST_ACCOUNTS, Choices
from portal_service.web.forms import Entered

FIELDS = frozenset({"account_words", "account_found", "find_account"})
"""What such a form has besides `account_id`: the words, those that were searched for last, and the button."""


@dataclass(frozen=True, kw_only=True)
class AccountChoice:
    """What a form offers."""

    options: Choices
    many: bool = False
    """There are more accounts than the options."""
    words: str = ""
    found: int = 0
    """How many fit the words; MOST_ACCOUNTS + 1 stands for more than the options show."""

    @property
    def too_many(self) -> bool:
        return self.found > MOST_ACCOUNTS


def searches(form: Entered) -> bool:
    """Whether a form asks for accounts to choose from, and is not to be sent yet: also with the enter key."""
    return bool(form["find_account"]) or form["account_words"].strip() != form["account_found"].strip()


def account_choice(
    session: Session, form: Entered, *, few: Choices | None = None, present: Account | None = None
) -> AccountChoice:
    """The accounts of a form, which offers `few` if these are not too many; a single find is chosen at once.

    `present`: the one a ticket has, which stays on offer.
    """
    few = first_accounts(session) if few is None else few
    if len(few) <= MOST_ACCOUNTS:
        return AccountChoice(options=few)
    words = form["account_words"].strip()[:200]
    found = _matches(session, words) if words else []
    if len(found) == 1 and searches(form):
        form.values["account_id"] = str(found[0].id)
    chosen = session.get(Account, form.id("account_id")) if form.id("account_id") else None
    options = {one.id: one.name for one in (present, chosen, *found[:MOST_ACCOUNTS]) if one is not None}
    return AccountChoice(options=list(options.items()), many=True, words=words, found=len(found))


def first_accounts(session: Session) -> Choices:
    """The accounts in use, or so many of them that everybody sees they are too many."""
    query = select(Account.id, Account.name).where(Account.active).order_by(Account.name).limit(MOST_ACCOUNTS + 1)
    return [(row.id, row.name) for row in session.execute(query)]


def filter_options(session: Session, few: Choices, chosen: str | uuid.UUID | None) -> Choices:
    """What a list can be narrowed to: all accounts, or of too many only the one it is narrowed to."""
    if len(few) <= MOST_ACCOUNTS:
        return few
    account_id = Entered({"account_id": str(chosen or "")}).id("account_id")
    found = session.get(Account, account_id) if account_id else None
    return [(found.id, found.name)] if found else []


def _matches(session: Session, words: str) -> Sequence[Account]:
    query = select(Account).where(Account.active)
    for word in words.split():
        query = query.where(Account.name.icontains(word, autoescape=True))
    return session.scalars(query.order_by(Account.name).limit(MOST_ACCOUNTS + 1)).all()
