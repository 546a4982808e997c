"""The five lists."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from crm_sync_service.desk import queries, records
from crm_sync_service.desk.context import desk
from crm_sync_service.desk.models import Account, Case, Contact, Product, Record, User
from crm_sync_service.desk.pages.visit import pages
from crm_sync_service.desk.queries import Listing, ListQuery

_WORDS_MOST = 200
_PAGE_MOST = 10_000
CHOICES_MOST = 300
"""Beyond so many records a name is typed instead of chosen."""


@dataclass(frozen=True, kw_only=True)
class ListKind:
    """What a list shows and how it starts."""

    model: type[Record]
    title: str
    hint: str
    columns: Mapping[str, str]
    """Headings by what they sort by."""
    filters: tuple[str, ...] = ()
    sort: str = "name"
    descending: bool = False


KINDS = {
    "cases": ListKind(
        model=Case,
        title="Cases",
        hint="Number, subject, text, account, contact",
        columns={
            "number": "Number",
            "name": "Subject",
            "status": "Status",
            "priority": "Priority",
            "account": "Account",
            "contact": "Contact",
            "product": "Product",
            "assigned": "Assigned to",
            "modified": "Modified",
        },
        filters=("status", "priority", "assigned_user_id", "product_id", "account_id", "contact_id"),
        sort="modified",
        descending=True,
    ),
    "accounts": ListKind(
        model=Account, title="Accounts", hint="Name", columns={"name": "Name", "modified": "Modified"}
    ),
    "contacts": ListKind(
        model=Contact,
        title="Contacts",
        hint="Name, e-mail address, account",
        columns={"name": "Name", "account": "Account", "modified": "Modified"},
        filters=("account_id",),
    ),
    "products": ListKind(
        model=Product, title="Products", hint="Name", columns={"name": "Name", "modified": "Modified"}
    ),
    "users": ListKind(
        model=User,
        title="Users",
        hint="Name, e-mail address",
        columns={"name": "Name", "email": "E-mail", "modified": "Modified"},
    ),
}


@pages.get("/")
def start() -> ResponseReturnValue:
    return redirect(url_for("pages.show_list", kind="cases"))


@pages.get("/<any(cases, accounts, contacts, products, users):kind>")
def show_list(kind: str) -> ResponseReturnValue:
    spec = KINDS[kind]
    with desk().database.read() as session:
        listing = queries.list_records(session, spec.model, _query(spec))
        choices = {name: rows for name in spec.filters if (rows := _choices(session, name))}
        return render_template(f"list_{kind}.html", kind=kind, spec=spec, listing=listing, choices=choices)


@pages.get("/products/<uuid:record_id>")
def product(record_id: Any) -> ResponseReturnValue:
    return redirect(url_for("pages.show_list", kind="cases", product_id=record_id))


@pages.get("/users/<uuid:record_id>")
def assignee(record_id: Any) -> ResponseReturnValue:
    return redirect(url_for("pages.show_list", kind="cases", assigned_user_id=record_id))


def _query(spec: ListKind) -> ListQuery:
    """What the address asks for; what it asks for and does not exist is as if it were not asked."""
    asked = {name: value.replace("\0", "") for name, value in request.args.items()}
    sort = asked.get("sort", "")
    known = sort in spec.columns
    page = asked.get("page", "1")
    return ListQuery(
        words=asked.get("q", "")[:_WORDS_MOST],
        filters={name: asked[name] for name in spec.filters if asked.get(name)},
        sort=sort if known else spec.sort,
        descending=asked.get("order") == "descending" if known else spec.descending,
        page=min(int(page), _PAGE_MOST) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
    )


def _choices(session: Session, field: str) -> list[Record]:
    """For a filter; none where they would be too many to choose from, which is what the search is for."""
    if field not in records.REFERENCES or field == "contact_id":
        return []
    found = queries.choices(session, records.REFERENCES[field], most=CHOICES_MOST + 1)
    return found if len(found) <= CHOICES_MOST else []


@pages.app_template_global()
def list_url(kind: str, query: ListQuery, **changes: Any) -> str:
    """The address of a list with some things asked differently."""
    order = "descending" if query.descending else "ascending"
    asked = {"q": query.words, **query.filters, "sort": query.sort, "order": order, "page": query.page, **changes}
    said = {name: value for name, value in asked.items() if value not in {"", None, 1}}
    return url_for("pages.show_list", kind=kind, **said)


@pages.app_template_global()
def sort_url(kind: str, listing: Listing, column: str) -> str:
    """The address that sorts by a column; the other way round if it is sorted by it already."""
    query = listing.query
    turned = query.sort == column and not query.descending
    return list_url(kind, query, sort=column, order="descending" if turned else "ascending", page=1)
