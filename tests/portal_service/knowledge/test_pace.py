"""How often somebody may ask: one count for all processes, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import func, select

from portal_service.knowledge.pace import CallCount, forget, within_pace
from shared.clock import utc_now
from shared.database import Database

LIMITS = {"suggest:a": 3, "suggest@here": 5}
MINUTE = utc_now().replace(second=0, microsecond=0)


def test_calls_at_the_same_moment_are_all_counted(portal_database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        allowed = list(pool.map(lambda _: within_pace(portal_database, LIMITS, now=MINUTE), range(8)))
    assert allowed.count(True) == 3
    later = MINUTE + timedelta(minutes=1)
    assert within_pace(portal_database, LIMITS, now=later), "a new minute begins"


def test_everybody_behind_one_address_counts_together(portal_database: Database) -> None:
    visitors = [{f"suggest:{number}": 3, "suggest@here": 5} for number in range(7)]
    allowed = [within_pace(portal_database, one, now=MINUTE) for one in visitors]
    assert allowed == [True] * 5 + [False] * 2


def test_what_no_longer_counts_is_forgotten(portal_database: Database) -> None:
    within_pace(portal_database, LIMITS, now=MINUTE)
    within_pace(portal_database, {"suggest:b": 3}, now=MINUTE + timedelta(hours=2))
    with portal_database.write() as session:
        forget(session, now=MINUTE + timedelta(hours=2))
        assert session.scalar(select(func.count()).select_from(CallCount)) == 1
