"""What readers say about an article: comments (S84), whether it helped, and requests it made unnecessary (S21)."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from portal_service.knowledge.models import Article, ArticleComment, ArticleVote, Deflection
from portal_service.messages import message
from portal_service.people.models import User
from portal_service.tickets.errors import Invalid
from portal_service.tickets.text import REQUIRED, clean_body
from shared.ids import new_id

MAX_COMMENT = 4_000

COMMENT_TOO_LONG = message("This is too long: please use at most 4,000 characters.")


@dataclass(frozen=True, kw_only=True)
class Echo:
    """What came back from the readers of one article."""

    helpful: int = 0
    unhelpful: int = 0
    comments: int = 0
    deflections: int = 0


def comment(session: Session, article: Article, user: User, body: str, *, now: datetime) -> None:
    """Add a comment; the same words sent twice are one. Raises Invalid."""
    body = clean_body(body).strip()
    if not body or len(body) > MAX_COMMENT:
        raise Invalid({"body": COMMENT_TOO_LONG if body else REQUIRED})
    last = session.scalar(
        _comments(article).where(ArticleComment.user_id == user.id).order_by(ArticleComment.created_at.desc()).limit(1)
    )
    if last is not None and last.body == body:
        return
    session.add(
        ArticleComment(
            article_id=article.id,
            user_id=user.id,
            author_name=public_name(user),
            by_staff=user.staff is not None,
            body=body,
            created_at=now,
        )
    )
    session.flush()


def comments(session: Session, article: Article) -> Sequence[ArticleComment]:
    """Oldest first, without those that were removed."""
    return session.scalars(_comments(article).order_by(ArticleComment.created_at, ArticleComment.id)).all()


def remove_comment(session: Session, article: Article, comment_id: uuid.UUID, *, by: str, now: datetime) -> None:
    """Take a comment off the page; it stays stored. Nothing happens for one of another article."""
    found = session.scalar(_comments(article).where(ArticleComment.id == comment_id))
    if found is not None:
        found.removed_at, found.removed_by = now, by


def vote(session: Session, article: Article, voter: str, *, helpful: bool, now: datetime) -> None:
    """Once a voter; somebody may change his mind."""
    found = session.get(ArticleVote, (article.id, voter))
    if found is None:
        session.add(ArticleVote(article_id=article.id, voter=voter, helpful=helpful, at=now))
    else:
        found.helpful, found.at = helpful, now
    session.flush()


def vote_of(session: Session, article: Article, voter: str) -> bool | None:
    return session.scalar(
        select(ArticleVote.helpful).where(ArticleVote.article_id == article.id, ArticleVote.voter == voter)
    )


def solved_without_ticket(session: Session, article: Article, draft: uuid.UUID | None, *, now: datetime) -> None:
    """Count a request that was not needed; a draft counts once."""
    key = str(draft or new_id())
    if session.scalar(select(Deflection.id).where(Deflection.draft == key)) is None:
        session.add(Deflection(article_id=article.id, draft=key, at=now))
        session.flush()


def echoes(session: Session, article_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Echo]:
    """What came back, for each of these articles."""
    votes: dict[uuid.UUID, dict[bool, int]] = {}
    query = select(ArticleVote.article_id, ArticleVote.helpful, func.count())
    query = query.where(ArticleVote.article_id.in_(article_ids))
    for article_id, helpful, count in session.execute(query.group_by(ArticleVote.article_id, ArticleVote.helpful)):
        votes.setdefault(article_id, {})[helpful] = count
    said = _count(session, ArticleComment, article_ids, ArticleComment.removed_at.is_(None))
    deflected = _count(session, Deflection, article_ids)
    return {
        one: Echo(
            helpful=votes.get(one, {}).get(True, 0),
            unhelpful=votes.get(one, {}).get(False, 0),
            comments=said.get(one, 0),
            deflections=deflected.get(one, 0),
        )
        for one in article_ids
    }


def deflections_since(session: Session, since: datetime) -> int:
    return session.scalar(select(func.count()).where(Deflection.at >= since)) or 0


def public_name(user: User) -> str:
    """How everybody may read who somebody is: agents by name, customers by first name and a letter."""
    if user.staff is not None:
        return user.staff.name
    first, *others = (user.contact.name if user.contact else user.username).split() or ["?"]
    return f"{first} {others[-1][0]}." if others else first


def _comments(article: Article) -> Select[ArticleComment]:
    return select(ArticleComment).where(ArticleComment.article_id == article.id, ArticleComment.removed_at.is_(None))


def _count(
    session: Session,
    model: type[ArticleComment | Deflection],
    ids: Collection[uuid.UUID],
    *conditions: ColumnElement[bool],
) -> dict[uuid.UUID, int]:
    query = select(model.article_id, func.count()).where(model.article_id.in_(ids), *conditions)
    return {row[0]: row[1] for row in session.execute(query.group_by(model.article_id))}
