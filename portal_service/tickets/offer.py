"""The request types and categories that can be chosen, as administrators manage them (S14, S17).

Nothing is deleted: what is withdrawn is offered for no new ticket, and stays what it is for those that have it.
"""

import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.messages import message
from portal_service.people import audit
from portal_service.people.models import Staff
from portal_service.tickets import choices
from portal_service.tickets.errors import Invalid, Refused
from portal_service.tickets.models import Category, Product, RequestType
from portal_service.tickets.text import MAX_SUBJECT, REQUIRED, SUBJECT_TOO_LONG, clean_line
from shared.ids import new_id

Item = RequestType | Category
Kind = type[RequestType] | type[Category]

_MAX_KEY = 48

NAME_TAKEN = message("Another one has this name already; maybe it is withdrawn and can be offered again.")
LAST_TYPE = message("At least one type of request must stay on offer: without any, nobody could file a ticket.")
LAST_CATEGORY = message("There is no product to choose, so at least one category must stay on offer.")

_NAMES = ("name_en", "name_nl")
_HINTS = ("hint_en", "hint_nl")


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What an administrator entered; None leaves a text as it is. Categories have no hints.

    Where there are no Dutch words, Dutch readers see the English ones.
    """

    name_en: str | None = None
    name_nl: str | None = None
    hint_en: str | None = None
    hint_nl: str | None = None


def everything(session: Session, kind: Kind) -> list[Item]:
    """All of a kind in their order, those withdrawn among them."""
    return list(choices.all_request_types(session) if kind is RequestType else choices.all_categories(session))


def find(session: Session, kind: Kind, item_id: uuid.UUID) -> Item | None:
    return session.get(RequestType, item_id) if kind is RequestType else session.get(Category, item_id)


def text_names(item: Item) -> tuple[str, ...]:
    """The texts that a request type or a category has."""
    return (*_NAMES, *_HINTS) if isinstance(item, RequestType) else _NAMES


def add(session: Session, kind: Kind, texts: Texts, *, by: Staff, now: datetime) -> Item:
    """A new one, offered as the last of its kind. Raises Invalid."""
    others = _locked(session, kind)
    item: Item
    if kind is RequestType:
        keys = {one.key for one in others if isinstance(one, RequestType)}
        item = RequestType(id=new_id(), key=_new_key(texts.name_en or "", keys), name_en="", name_nl="", active=True)
    else:
        item = Category(id=new_id(), name_en="", name_nl="", active=True)
    item.position = 1 + max((one.position for one in others), default=-1)
    given = dict.fromkeys(_texts_of(item), "") | _cleaned(item, texts)
    _refuse_wrong(given, others)
    _write(item, given)
    session.add(item)
    session.flush()
    _record(session, item, "added", by=by, now=now, detail=item.key if isinstance(item, RequestType) else "")
    return item


def change(session: Session, item: Item, texts: Texts, *, by: Staff, now: datetime) -> None:
    """Give it other words; tickets that have it show them, too. Raises Invalid."""
    others = [one for one in _locked(session, type(item)) if one.id != item.id]
    before = _texts_of(item)
    given = _cleaned(item, texts)
    _refuse_wrong(given, others)
    different = {name: text for name, text in given.items() if text != before[name]}
    if not different:
        return
    _write(item, different)
    session.flush()
    told = "; ".join(f"{name}: {before[name] or '–'} → {text or '–'}" for name, text in different.items())
    _record(session, item, "changed", by=by, now=now, detail=told)


def move(session: Session, item: Item, place: int, *, by: Staff, now: datetime) -> None:
    """Put it at a place of the list, 1 being the first; beyond an end of the list is that end."""
    order = _locked(session, type(item))
    old = next(number for number, one in enumerate(order) if one.id == item.id)
    order.insert(max(place - 1, 0), order.pop(old))
    for number, one in enumerate(order):
        one.position = number
    session.flush()
    new = order.index(item)
    if new != old:
        _record(session, item, "moved", by=by, now=now, detail=f"{old + 1} → {new + 1}")


def place_of(session: Session, item: Item) -> int:
    """Its place in the list, counted from 1."""
    return 1 + [one.id for one in everything(session, type(item))].index(item.id)


def withdraw(session: Session, item: Item, *, by: Staff, now: datetime) -> None:
    """Offer it no more. Raises Refused where nobody could file a ticket any more."""
    others = [one for one in _locked(session, type(item)) if one.active and one.id != item.id]
    if not item.active:
        return
    if not others and isinstance(item, RequestType):
        raise Refused(LAST_TYPE)
    if not others and session.scalar(select(Product.id).where(Product.active).limit(1)) is None:
        raise Refused(LAST_CATEGORY)
    item.active = False
    _record(session, item, "withdrawn", by=by, now=now)


def offer_again(session: Session, item: Item, *, by: Staff, now: datetime) -> None:
    """Offer what was withdrawn, at the place where it was."""
    _locked(session, type(item))
    if not item.active:
        item.active = True
        _record(session, item, "offered", by=by, now=now)


def _locked(session: Session, kind: Kind) -> list[Item]:
    """All of a kind as they are now, while no other administrator changes one; tickets can be filed meanwhile."""
    session.execute(select(kind.id).order_by(kind.id).with_for_update(key_share=True))
    session.expire_all()
    return everything(session, kind)


def _texts_of(item: Item) -> dict[str, str]:
    return {name: getattr(item, name) or "" for name in text_names(item)}


def _cleaned(item: Item, texts: Texts) -> dict[str, str]:
    given = {name: getattr(texts, name) for name in _texts_of(item)}
    return {name: clean_line(text) for name, text in given.items() if text is not None}


def _refuse_wrong(given: Mapping[str, str], others: list[Item]) -> None:
    errors = {name: SUBJECT_TOO_LONG for name, text in given.items() if len(text) > MAX_SUBJECT}
    for name in _NAMES:
        taken = {str(getattr(one, name)).casefold() for one in others} - {""}
        if given.get(name, "").casefold() in taken:
            errors[name] = NAME_TAKEN
    if given.get("name_en") == "":
        errors["name_en"] = REQUIRED
    if errors:
        raise Invalid(errors)


def _write(item: Item, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        setattr(item, name, text)


def _new_key(name: str, taken: set[str]) -> str:
    """What names a type in addresses, made of its English name: "Level 3 – Ümläut" is level-3-umlaut."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    key = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:_MAX_KEY].strip("-") or "type"
    number, found = 1, key
    while found in taken:
        number += 1
        found = f"{key}-{number}"
    return found


def _record(session: Session, item: Item, done: str, *, by: Staff, now: datetime, detail: str = "") -> None:
    kind = "type" if isinstance(item, RequestType) else "category"
    audit.record(session, f"{kind}_{done}", by=by, about=item.name_en, now=now, detail=detail)
