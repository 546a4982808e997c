"""What the API can do: one `Operation` a call, declared beside its view, read by routing, serving and documentation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from marshmallow import Schema

Payload = dict[str, Any] | None


class Who(Enum):
    """Who may make a call; everybody else is told that there is nothing."""

    ANYONE = "anyone; no token is read"
    READER = "anyone; with a token more may be found"
    PERSON = "everybody with a log-in"
    HOLDER = "everybody with a log-in, and guests for their own ticket"
    CUSTOMER = "customers"
    STAFF = "support staff"
    ADMIN = "administrators"


@dataclass(frozen=True)
class Answer:
    """What a view answers when status or headers differ from the usual."""

    data: Payload
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


View = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One call. `view` gets a `Call` and the path's values, within one transaction, and returns what is answered."""

    view: View
    method: str
    rule: str
    """Below /api/v1, in the notation of Flask's routing."""
    who: Who
    tag: str
    pages: tuple[str, ...]
    """Endpoints of the pages that do the same."""
    query: type[Schema] | None
    body: type[Schema] | None
    answer: type[Schema] | None
    answers: tuple[type[Schema], ...]
    """Shapes of the answer, where it is one of several."""
    status: int
    scope: str
    """The scope a token needs."""
    conditional: bool
    """Takes If-Match and answers with an ETag."""
    repeatable: bool
    """Takes an Idempotency-Key."""
    refusals: tuple[int, ...]
    """Statuses of refusals besides those that follow from the rest."""
    upload: bool
    download: bool

    @property
    def name(self) -> str:
        return str(self.view.__name__)

    @property
    def changes(self) -> bool:
        return self.method != "GET"

    @property
    def shapes(self) -> tuple[type[Schema], ...]:
        return self.answers or ((self.answer,) if self.answer else ())


OPERATIONS: list[Operation] = []


def operation(
    method: str,
    rule: str,
    *,
    who: Who,
    tag: str,
    pages: tuple[str, ...] = (),
    query: type[Schema] | None = None,
    body: type[Schema] | None = None,
    answer: type[Schema] | None = None,
    answers: tuple[type[Schema], ...] = (),
    status: int | None = None,
    scope: str | None = None,
    conditional: bool = False,
    repeatable: bool | None = None,
    refusals: tuple[int, ...] = (),
    upload: bool = False,
    download: bool = False,
) -> Callable[[View], View]:
    """Declare the decorated view as a call. Its docstring is the documentation: a summary, then what else to know."""

    def declare(view: View) -> View:
        changes = method != "GET"
        has_token = who is not Who.ANYONE
        OPERATIONS.append(
            Operation(
                view=view,
                method=method,
                rule=rule,
                who=who,
                tag=tag,
                pages=pages,
                query=query,
                body=body,
                answer=answer,
                answers=answers,
                status=status or (200 if answer or answers or download else 204),
                scope=scope or ("write" if changes else "read"),
                conditional=conditional,
                repeatable=(changes and has_token) if repeatable is None else repeatable,
                refusals=refusals,
                upload=upload,
                download=download,
            )
        )
        return view

    return declare
