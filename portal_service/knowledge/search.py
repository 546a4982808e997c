"""Searching articles by word, stem, beginning and typing error (S19, S21, S78). What may not be read is not found."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from rapidfuzz.distance import OSA
from sqlalchemy import (
    CTE,
    Integer,
    String,
    and_,
    case,
    column,
    distinct,
    func,
    literal,
    select,
    union_all,
    values,
)
from sqlalchemy.orm import Session

from portal_service.knowledge.models import Article, Misspelling, Posting, SearchWord
from portal_service.knowledge.readers import FALLBACK, readable
from portal_service.knowledge.words import misspellings, telling_words, terms
from portal_service.people.models import User

_MOST_WORDS = 8
_MOST_WORDS_OF_A_DRAFT = 16
_SHORTEST_BEGINNING = 3
_MOST_GUESSES = 8
"""Words taken for one that is unknown or not finished."""
_SURE, _BEGUN, _GUESSED = 100, 55, 40
"""How much a hit counts for the word itself, a word that begins so, and a word that looks like it."""
_OWN_LANGUAGE, _OTHER_LANGUAGE = 5, 4
_WORTH_A_LOOK = 3
"""How many times better than it the best article may fit for an article still to be suggested."""
_CANDIDATES = 4
"""Articles looked at for each one wanted: the languages of an article are different rows."""


@dataclass(frozen=True)
class Asked:
    """A word of the question and what it may stand for: terms of the index with their worth in percent."""

    word: str
    terms: Mapping[str, int]


@dataclass(frozen=True)
class Found:
    """An article and the terms to mark in it."""

    article: Article
    terms: frozenset[str]
    complete: bool
    """Every word of the question is in it."""


def search(
    session: Session,
    reader: User | None,
    text: str,
    *,
    language: str,
    now: datetime,
    kind: str | None = None,
    limit: int,
) -> list[Found]:
    """The best articles in which every word of `text` occurs; if there is none, those with most of the words."""
    asked = _understood(session, telling_words(text)[-_MOST_WORDS:])
    rows = _ranked(session, reader, asked, language=language, now=now, kind=kind, limit=limit)
    complete = [row for row in rows if row.matched == len(asked)]
    return _loaded(session, complete or rows, asked, language=language, limit=limit)


def suggest(
    session: Session, reader: User | None, draft: str, *, language: str, now: datetime, limit: int
) -> list[Found]:
    """Articles that may answer a request which somebody is writing: its last words count, and not all have to occur."""
    asked = _understood(session, telling_words(draft)[-_MOST_WORDS_OF_A_DRAFT:])
    rows = _ranked(session, reader, asked, language=language, now=now, limit=limit, by_score=True)
    enough = 1 if len(asked) <= 2 else 2
    near = [row for row in rows if row.matched >= enough and row.score * _WORTH_A_LOOK >= rows[0].score]
    return _loaded(session, near, asked, language=language, limit=limit)


@dataclass(frozen=True)
class _Row:
    id: object
    slug: str
    language: str
    matched: int
    score: int


def _understood(session: Session, words: Sequence[str]) -> list[Asked]:
    """What each word may stand for. A word nobody uses is taken for those that look like it."""
    if not words:
        return []
    begun, alike = _guesses(session, words)
    counts = _frequencies(session, chain(words, begun, *alike.values()))
    asked = []
    for word in words:
        sure = {term: _SURE for term in terms(word) if term in counts}
        if not sure:
            sure = {term: _GUESSED for near in _nearest(word, alike.get(word, ())) for term in terms(near)}
        if word == words[-1]:
            sure = {term: _BEGUN for other in begun for term in terms(other)} | sure
        rare = {term: worth * counts[term] for term, worth in sure.items() if term in counts}
        asked.append(Asked(word, rare))
    return asked


def _guesses(session: Session, words: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Words that begin like the last one, and by word those that share a typing error with it."""
    by_spelling: dict[str, list[str]] = {}
    for word in words:
        for spelling in misspellings(word):
            by_spelling.setdefault(spelling, []).append(word)
    last = words[-1]
    alike = select(Misspelling.spelling, Misspelling.word).where(Misspelling.spelling.in_(by_spelling))
    begun = (
        select(literal("").label("spelling"), SearchWord.word)
        .where(SearchWord.word > last, SearchWord.word < last + "\U0010ffff", literal(len(last)) >= _SHORTEST_BEGINNING)
        .order_by(SearchWord.word)
        .limit(_MOST_GUESSES)
        .subquery()
    )
    found: dict[str, list[str]] = {}
    beginnings = []
    for spelling, word in session.execute(union_all(alike, select(begun))):
        if not spelling:
            beginnings.append(word)
        for wanted in by_spelling.get(spelling, ()):
            found.setdefault(wanted, []).append(word)
    return beginnings, found


def _nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """Of the words that look like it those with the fewest errors."""
    distances = {other: OSA.distance(word, other) for other in candidates}
    least = min(distances.values(), default=0)
    return sorted(other for other, distance in distances.items() if distance == least)[:_MOST_GUESSES]


def _frequencies(session: Session, words: Iterable[str]) -> dict[str, int]:
    """How telling each term is, from 1 for one that is everywhere; terms of no article are left out."""
    wanted = {term for word in words for term in terms(word)}
    all_articles = select(func.count(Article.id)).scalar_subquery()
    query = select(Posting.term, func.count(), all_articles).where(Posting.term.in_(wanted)).group_by(Posting.term)
    return {term: 1 + round(10 * math.log((1 + total) / count)) for term, count, total in session.execute(query)}


def _ranked(
    session: Session,
    reader: User | None,
    asked: Sequence[Asked],
    *,
    language: str,
    now: datetime,
    limit: int,
    kind: str | None = None,
    by_score: bool = False,
) -> list[_Row]:
    worth: dict[str, int] = {}
    place: dict[str, int] = {}
    for number, one in enumerate(asked):
        for term, value in one.terms.items():
            worth[term] = max(value, worth.get(term, 0))
            place.setdefault(term, number)
    if not worth:
        return []
    wanted = _terms([(term, worth[term], place[term]) for term in worth])
    hits = (
        select(
            Posting.article_id,
            func.sum(Posting.weight * wanted.c.worth).label("score"),
            func.count(distinct(wanted.c.place)).label("matched"),
        )
        .join(wanted, wanted.c.term == Posting.term)
        .group_by(Posting.article_id)
        .subquery()
    )
    score = hits.c.score * case((Article.language == language, _OWN_LANGUAGE), else_=_OTHER_LANGUAGE)
    order = (score.desc(), hits.c.matched.desc()) if by_score else (hits.c.matched.desc(), score.desc())
    query = (
        select(Article.id, Article.slug, Article.language, hits.c.matched, score)
        .join(hits, hits.c.article_id == Article.id)
        .where(readable(reader, now=now))
        .order_by(*order, Article.slug, Article.language)
        .limit(limit * _CANDIDATES)
    )
    if kind is not None:
        query = query.where(Article.kind == kind)
    return [_Row(*row) for row in session.execute(query)]


def _terms(rows: Sequence[tuple[str, int, int]]) -> CTE:
    """Each term with its worth and the place of its word in the question, to be looked up one after the other."""
    columns = column("term", String), column("worth", Integer), column("place", Integer)
    return values(*columns, name="wanted").data(rows).cte("wanted")


def _loaded(
    session: Session, rows: Sequence[_Row], asked: Sequence[Asked], *, language: str, limit: int
) -> list[Found]:
    """Each article once, in the reader's language if that one was found, too."""
    best: dict[str, _Row] = {}
    for row in rows:
        held = best.get(row.slug)
        if held is None or _rank(row, language) < _rank(held, language):
            best[row.slug] = row
    chosen = list(best.values())[:limit]
    articles = {
        article.id: article
        for article in session.scalars(select(Article).where(and_(Article.id.in_([row.id for row in chosen]))))
    }
    marked = frozenset(term for one in asked for term in one.terms)
    return [
        Found(articles[row.id], marked, complete=row.matched == len(asked))  # type: ignore[index] # an id is an id
        for row in chosen
    ]


def _rank(row: _Row, language: str) -> int:
    return [language, FALLBACK, row.language].index(row.language)
