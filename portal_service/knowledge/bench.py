"""`casebridge bench-knowledge`: how long searching and suggesting take among many articles."""

import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import text
from sqlalchemy.orm import Session

from portal_service.base import Base, open_database
from portal_service.knowledge.index import index
from portal_service.knowledge.models import Article
from portal_service.knowledge.search import search, suggest
from portal_service.knowledge.web import shown
from shared.database import Database, opened
from shared.ids import new_id

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_WORDS = 20_000
_LENGTH = 150
_AT_ONCE = 500
_CONSONANTS, _VOWELS = "bdfghklmnprstvw", "aeiou"


@click.command("bench-knowledge")
@click.option("--articles", default=20_000, show_default=True)
@click.option("--questions", default=300, show_default=True, help="Of each kind.")
@click.option("--database-url", help="PostgreSQL to measure on, in a schema made for it; else SQLite in a new folder.")
def bench_knowledge(*, articles: int, questions: int, database_url: str | None) -> None:
    """Milliseconds of a search and of suggestions among many articles."""
    rng = random.Random(1)  # noqa: S311 (the same articles every time)
    syllables = [one + other for one in _CONSONANTS for other in _VOWELS]
    vocabulary = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(_WORDS)]
    with _database(database_url) as database:
        started = time.monotonic()
        _fill(database, vocabulary, articles, rng)
        click.echo(f"{articles} articles indexed in {time.monotonic() - started:.0f} s")
        for name, ask in (("search", _search), ("suggest", _suggest)):
            with database.read() as session:
                times = [_milliseconds(session, ask, _question(vocabulary, rng)) for _ in range(questions)]
            points = statistics.quantiles(times, n=100)
            click.echo(f"{name:8} p50 {points[49]:6.1f} ms   p95 {points[94]:6.1f} ms   worst {max(times):6.1f} ms")


@contextmanager
def _database(url: str | None) -> Iterator[Database]:
    if url is None:
        with (
            tempfile.TemporaryDirectory(prefix="casebridge-bench-") as folder,
            opened(open_database(f"sqlite:///{folder}/portal.db")) as database,
        ):
            Base.metadata.create_all(database.engine)
            yield database
        return
    driver = url.replace("postgresql://", "postgresql+psycopg://", 1)
    database = Database(driver, schema=f"bench_{secrets.token_hex(4)}", migrations=Path())
    with database.engine.begin() as connection:
        connection.execute(text(f'CREATE SCHEMA "{database.schema}"'))
        Base.metadata.create_all(connection)
    try:
        yield database
    finally:
        with database.engine.begin() as connection:
            connection.execute(text(f'DROP SCHEMA "{database.schema}" CASCADE'))
        database.dispose()


def _fill(database: Database, vocabulary: Sequence[str], count: int, rng: random.Random) -> None:
    for start in range(0, count, _AT_ONCE):
        with database.write() as session:
            articles = [
                Article(
                    id=new_id(),
                    slug=f"article-{number}",
                    language="nl" if number % 2 else "en",
                    kind="documentation",
                    title=" ".join(_drawn(vocabulary, rng, 6)),
                    summary=" ".join(_drawn(vocabulary, rng, 12)),
                    body=" ".join(_drawn(vocabulary, rng, _LENGTH)),
                    state="published",
                    published_at=_NOW,
                )
                for number in range(start, min(start + _AT_ONCE, count))
            ]
            session.add_all(articles)
            index(session, *articles)
    if database.is_postgresql:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))  # what autovacuum does sooner or later


def _drawn(vocabulary: Sequence[str], rng: random.Random, count: int) -> list[str]:
    """Words as texts have them: a few everywhere, most of them rare."""
    return [vocabulary[int(len(vocabulary) * rng.random() ** 4)] for _ in range(count)]


def _question(vocabulary: Sequence[str], rng: random.Random) -> str:
    """Some words, one of them misspelt, one not finished."""
    words = _drawn(vocabulary, rng, rng.randint(2, 10))
    words[0] = words[0][:2] + words[0][3:]
    words[-1] = words[-1][:4]
    return " ".join(words)


def _search(session: Session, words: str) -> None:
    shown(search(session, None, words, language="en", now=_NOW, limit=20))


def _suggest(session: Session, words: str) -> None:
    shown(suggest(session, None, words, language="en", now=_NOW, limit=4))


def _milliseconds(session: Session, ask: Callable[[Session, str], None], words: str) -> float:
    session.expunge_all()
    started = time.perf_counter()
    ask(session, words)
    return (time.perf_counter() - started) * 1000
