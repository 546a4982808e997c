"""The search index: an article's words, kept in step by whatever changes what readers see of it."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal_service.base import Base
from portal_service.knowledge.models import Article, Misspelling, Posting, SearchWord
from portal_service.knowledge.words import counted_terms, misspellings, words_in

T = TypeVar("T")

FORM = 1
"""Raise it when words, stems or weights change: `index_stale` then makes the index anew."""
_WEIGHTS = {"title": 12, "summary": 4, "body": 1}
_MOST_OF_ONE_TEXT = 3
_ROWS_AT_ONCE = 500


def index(session: Session, *articles: Article) -> None:
    """Make the index say what readers see of these articles now: nothing of those that are not published."""
    session.flush()
    for some in _parts([article.id for article in articles]):
        session.execute(delete(Posting).where(Posting.article_id.in_(some)))
    shown = [article for article in articles if article.state == "published"]
    rows = [
        {"term": term, "article_id": article.id, "weight": weight}
        for article in shown
        for term, weight in weights(article).items()
    ]
    _add(session, Posting, rows)
    _learn(session, " ".join(f"{article.title} {article.summary} {article.body}" for article in shown))
    for article in articles:
        article.indexed_as = FORM
    session.flush()


def index_stale(session: Session, *, limit: int = 200) -> int:
    """Index articles that the index knows in an older form or not at all; returns how many, 0 when none is left."""
    stale = session.scalars(select(Article).where(Article.indexed_as != FORM).limit(limit)).all()
    index(session, *stale)
    return len(stale)


def weights(article: Article) -> Mapping[str, int]:
    """How much an article is about each of its words; the title counts most, a repetition a little."""
    found: Counter[str] = Counter()
    for part, weight in _WEIGHTS.items():
        for term, count in counted_terms(getattr(article, part), article.language).items():
            found[term] += weight * min(_MOST_OF_ONE_TEXT, 1 + int(math.log2(count)))
    return found


def _learn(session: Session, text: str) -> None:
    """Remember the words as they are written, for beginnings and typing errors."""
    words = {word.text for word in words_in(text)}
    for some in _parts(sorted(words)):
        words.difference_update(session.scalars(select(SearchWord.word).where(SearchWord.word.in_(some))))
    new = sorted(words)
    _add(session, SearchWord, [{"word": word} for word in new])
    _add(session, Misspelling, [{"spelling": one, "word": word} for word in new for one in sorted(misspellings(word))])


def _add(session: Session, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows; those that somebody else added at the same time are there already."""
    if rows:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        table = Base.metadata.tables[model.__tablename__]
        session.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def _parts(rows: Sequence[T]) -> Iterable[Sequence[T]]:
    return (rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE))
