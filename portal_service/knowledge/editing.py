"""Writing articles: every edit is a version, and readers see the one that was published last."""

import re
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from portal_service.files.storage import StoredFile
from portal_service.knowledge.index import index
from portal_service.knowledge.models import Article, ArticleEvent, ArticleFile, ArticleVersion
from portal_service.knowledge.queries import KINDS
from portal_service.knowledge.readers import VISIBILITIES
from portal_service.knowledge.sources import inherit_source, leaks
from portal_service.messages import message
from portal_service.tickets.errors import UNKNOWN, Invalid, Refused
from portal_service.tickets.text import REQUIRED, SUBJECT_TOO_LONG, body_error, clean_body, clean_line
from shared.ids import new_id
from shared.settings import LANGUAGES

MAX_SUMMARY = 500
_MAX_SLUG = 100

SUMMARY_TOO_LONG = message("This is too long: please use at most 500 characters.")
CHANGED_MEANWHILE = message(
    "Somebody else has changed this article meanwhile. Open it again in a second tab, compare, and bring both together."
)
TRANSLATED_ALREADY = message("This article exists in that language already.")
LEAKS = message("This still has something of the customer: %(what)s. Please take it out.")


@dataclass(frozen=True, kw_only=True)
class Content:
    """What is written; `body` is Markdown."""

    kind: str
    title: str
    summary: str
    body: str
    visibility: str


def begin(
    session: Session, content: Content, *, language: str, by: str, now: datetime, slug: str | None = None
) -> Article:
    """A new article as a draft; with `slug` as the translation of an article. Raises Invalid."""
    content = _checked(content)
    if language not in LANGUAGES:
        raise Invalid({"language": UNKNOWN})
    if slug is not None and session.scalar(_id_of(slug, language)):
        raise Invalid({"language": TRANSLATED_ALREADY})
    article = Article(
        id=new_id(),
        slug=slug or _free_slug(session, content.title),
        language=language,
        published_at=now,
        state="draft",
        version=1,
        latest=1,
        **asdict(content),
    )
    session.add(article)
    session.flush()
    _keep(session, article, content, remark="", by=by, now=now)
    inherit_source(session, article)
    return article


def edit(
    session: Session, article: Article, content: Content, *, seen: int, by: str, now: datetime, remark: str = ""
) -> None:
    """Add a version. `seen` is the version the editor started from. Raises Invalid, and Refused if it is outdated.

    Readers of a published article go on seeing what was published.
    """
    content = _checked(content)
    if seen != article.latest:
        raise Refused(CHANGED_MEANWHILE)
    if content == content_of(newest(session, article)):
        return
    article.latest += 1
    _keep(session, article, content, remark=remark, by=by, now=now)
    if article.state != "published":
        _show(article, content)


def restore(session: Session, article: Article, number: int, *, by: str, now: datetime) -> None:
    """Make an earlier version the newest again, as a version of its own. Raises KeyError for an unknown one."""
    earlier = session.get(ArticleVersion, (article.id, number)) if number <= article.latest else None
    if earlier is None:
        raise KeyError(number)
    edit(session, article, content_of(earlier), seen=article.latest, by=by, now=now, remark=f"= {number}")


def publish(session: Session, article: Article, *, by: str, now: datetime, at: datetime | None = None) -> None:
    """Show the newest version to its readers, now or from `at` on. Raises Invalid while it tells of a customer."""
    content = content_of(newest(session, article))
    found = leaks(session, article, f"{content.title}\n{content.summary}\n{content.body}")
    if found:
        raise Invalid({"": LEAKS, "leaks": ", ".join(found)})
    later = at is not None and at > now
    if at is not None or article.state != "published" or article.published_at > now:
        article.published_at = max(at or now, now)
    article.state = "published"
    article.version = article.latest
    _show(article, content)
    _record(session, article, "scheduled" if later else "published", by=by, now=now)
    index(session, article)


def withdraw(session: Session, article: Article, *, by: str, now: datetime) -> None:
    """Hide an article from all readers."""
    article.state = "withdrawn"
    _show(article, content_of(newest(session, article)))
    _record(session, article, "withdrawn", by=by, now=now)
    index(session, article)


def add_files(session: Session, article: Article, files: Sequence[StoredFile], *, now: datetime) -> None:
    last = session.scalar(select(func.max(ArticleFile.position)).where(ArticleFile.article_id == article.id)) or 0
    session.add_all(
        ArticleFile(
            article_id=article.id,
            name=file.name,
            content_type=file.content_type,
            size=file.size,
            sha256=file.sha256,
            position=last + number,
            created_at=now,
        )
        for number, file in enumerate(files, start=1)
    )
    session.flush()


def newest(session: Session, article: Article) -> ArticleVersion:
    return session.get_one(ArticleVersion, (article.id, article.latest))


def content_of(source: ArticleVersion | Article) -> Content:
    return Content(
        kind=source.kind,
        title=source.title,
        summary=source.summary,
        body=source.body,
        visibility=source.visibility,
    )


def slug_of(title: str) -> str:
    """What stands in the address of an article with this title."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_MAX_SLUG].strip("-") or "article"


def _checked(content: Content) -> Content:
    """The content as it will be stored. Raises Invalid."""
    content = replace(
        content,
        title=clean_line(content.title),
        summary=clean_line(content.summary),
        body=clean_body(content.body).strip(),
    )
    errors = {
        "title": REQUIRED if not content.title else SUBJECT_TOO_LONG if len(content.title) > 255 else "",
        "summary": SUMMARY_TOO_LONG if len(content.summary) > MAX_SUMMARY else "",
        "body": (body_error(content.body) or "") if content.body else REQUIRED,
        "kind": "" if content.kind in KINDS else UNKNOWN,
        "visibility": "" if content.visibility in VISIBILITIES else UNKNOWN,
    }
    found = {field: error for field, error in errors.items() if error}
    if found:
        raise Invalid(found)
    return content


def _keep(session: Session, article: Article, content: Content, *, remark: str, by: str, now: datetime) -> None:
    session.add(
        ArticleVersion(
            article_id=article.id,
            number=article.latest,
            author_name=by,
            remark=clean_line(remark)[:255],
            created_at=now,
            **asdict(content),
        )
    )
    session.flush()


def _show(article: Article, content: Content) -> None:
    for name, value in asdict(content).items():
        setattr(article, name, value)
    article.version = article.latest


def _record(session: Session, article: Article, action: str, *, by: str, now: datetime) -> None:
    session.add(ArticleEvent(article_id=article.id, action=action, version=article.latest, actor_name=by, at=now))
    session.flush()


def _free_slug(session: Session, title: str) -> str:
    wanted = slug_of(title)
    taken = set(session.scalars(select(Article.slug).where(Article.slug.startswith(wanted, autoescape=True))))
    number = 2
    free = wanted
    while free in taken:
        free, number = f"{wanted}-{number}", number + 1
    return free


def _id_of(slug: str, language: str) -> Select[uuid.UUID]:
    return select(Article.id).where(Article.slug == slug, Article.language == language)
