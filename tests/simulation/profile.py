"""What kind of world a seed gets: the CRM's habits and how much goes wrong."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Literal

from crm_sync_service.merge import Winner

Ids = Literal["ours", "keys", "neither"]
"""Ids we choose; ids of the CRM's with keys that it keeps unique; or ids of the CRM's and a search for the key."""


Transport = Literal["memory", "embedded"]
"""A broker that is modelled, or the product's own over its SQLite file."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Chances are per occasion, 0 to 1."""

    ids: Ids
    """Who chooses the ids of new records, and what keeps a second one out."""
    winner: Winner
    """Who wins a conflict in a field that travels both ways."""
    conditional: bool
    """The CRM can refuse an update made for an older version."""
    touched_by_nothing: bool
    """A PATCH that changes no value still counts as a change of the Case."""
    grain: int
    """Whole seconds of the CRM's stamps; 0: microseconds."""
    skew: timedelta
    """The CRM's clock against ours."""
    late: float
    """A change in the CRM commits up to LATEST after it took its stamp."""
    lost_request: float
    lost_answer: float
    limited: float
    """The CRM asks for a pause."""
    crash: float
    """A process dies at one of its steps."""
    unconfirmed: float
    """The broker loses a message, or its confirmation."""
    duplicate: float
    unordered: bool
    slow_commit: float
    """A transaction of the portal commits after later ones."""
    meanwhile: float
    """Something else happens during a step of a lane."""
    overtaken: float
    """An account manager saves the Case just before our update of it."""
    stalled: float
    """A worker is held up for longer than its lease."""
    downtime: float
    """Nothing runs for minutes."""
    removals: float
    refusals: float
    """The portal names a record that the CRM does not know."""
    transport: Transport
    orders: bool
    """Administrators give orders, and account managers make Cases by hand that ours are merged into."""


KEPT_BEFORE = frozenset(
    {16, 20, 24, 34, 60, 61, 68, 98, 118, 122, 161, 301, 451, 486, 540, 633, 1765, 5589, 6285, 6343, 6708}
)
"""Seeds kept from before there were orders and the embedded broker: they go on telling what they were kept for."""
_EMBEDDED = 0.05
_ORDERED = 0.3

LATEST = timedelta(seconds=75)
"""How late a change may become visible: an overlap of 120 s, read every 30 s, finds it (change_feed.py)."""

_IDS: tuple[Ids, ...] = ("ours", "ours", "keys", "neither")
_WINNERS: tuple[Winner, ...] = ("crm", "crm", "crm", "newest", "portal")
_ASKING = 0.15
_NEVER_OR = (0.0, 0.0, 1.0, 3.0)


def draw(rng: Random, *, seed: int) -> Profile:
    """What `seed` alone decides came later than the seeds that are kept; it disturbs none of their other draws."""
    kind = Random(f"kind of CRM {seed}")
    asking = Random(f"policy {seed}").random() < _ASKING
    old = seed in KEPT_BEFORE
    embedded = not old and Random(f"transport {seed}").random() < _EMBEDDED
    ordered = not old and Random(f"orders {seed}").random() < _ORDERED

    def chance(usual: float) -> float:
        return usual * rng.choice(_NEVER_OR)

    return Profile(
        ids=kind.choice(_IDS),
        winner="ask" if (chosen := kind.choice(_WINNERS)) and asking else chosen,
        conditional=rng.random() < 0.6,
        touched_by_nothing=rng.random() < 0.3,
        grain=rng.choice((0, 0, 1, 10)),
        skew=timedelta(seconds=rng.choice((0, 0, -40, 40, -600, 600))),
        late=chance(0.15),
        lost_request=chance(0.03),
        lost_answer=chance(0.05),
        limited=chance(0.005),
        crash=rng.choice((0.0, 0.01, 0.03, 0.1)),
        unconfirmed=chance(0.05),
        duplicate=chance(0.1),
        unordered=rng.random() < 0.5,
        slow_commit=chance(0.1),
        meanwhile=chance(0.1),
        overtaken=rng.choice((0.0, 0.1, 0.4)),
        stalled=chance(0.02),
        downtime=chance(0.02),
        removals=chance(0.01),
        refusals=chance(0.01),
        transport="embedded" if embedded else "memory",
        orders=ordered,
    )
