"""Articles of the knowledge base, their versions, and what readers say about them."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal_service.base import Base
from shared.ids import new_id


class Article(Base):
    """One article in one language; the languages of an article share its slug.

    Kind, title, summary, body and visibility are those of version `version`, which readers see once the article is
    published; a newer version waits as `latest` until it is published, too.
    """

    __tablename__ = "articles"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(String(120))
    language: Mapped[str] = mapped_column(String(8))
    kind: Mapped[str] = mapped_column(String(30))
    """documentation, release_notes, announcement or system_requirements (S80)."""
    title: Mapped[str] = mapped_column(String(255))
    summary: Mapped[str] = mapped_column(Text, default="")
    body: Mapped[str] = mapped_column(Text)
    """Markdown."""
    visibility: Mapped[str] = mapped_column(String(20), default="public")
    """public, users (logged in) or staff (S79)."""
    published_at: Mapped[datetime]
    """When readers see it; in the future: scheduled. Of a draft: when it was begun."""
    state: Mapped[str] = mapped_column(String(20), default="draft", server_default="published")
    """draft, published or withdrawn."""
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    latest: Mapped[int] = mapped_column(default=1, server_default="1")
    indexed_as: Mapped[int] = mapped_column(default=0, server_default="0")
    """The form of the search index it is in; 0: in none."""

    versions: Mapped[list["ArticleVersion"]] = relationship(
        order_by="ArticleVersion.number.desc()", viewonly=True, back_populates="article"
    )
    files: Mapped[list["ArticleFile"]] = relationship(order_by="ArticleFile.position", viewonly=True)

    __table_args__ = (
        UniqueConstraint("slug", "language"),
        Index("ix_articles_newest", "published_at"),
        # All that a search asks of an article, so that it need not read the texts.
        Index("ix_articles_search", "id", "state", "visibility", "published_at", "kind", "language", "slug"),
    )


class ArticleVersion(Base):
    """What an article was after one edit; only ever added."""

    __tablename__ = "article_versions"

    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("articles.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    """1, 2, 3 ... per article."""
    kind: Mapped[str] = mapped_column(String(30))
    title: Mapped[str] = mapped_column(String(255))
    summary: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    visibility: Mapped[str] = mapped_column(String(20))
    author_name: Mapped[str] = mapped_column(String(255))
    remark: Mapped[str] = mapped_column(String(255), default="")
    """Why it was changed."""
    created_at: Mapped[datetime]

    article: Mapped[Article] = relationship(viewonly=True, back_populates="versions")


class ArticleEvent(Base):
    """Who published, scheduled or withdrew an article, and when; only ever added."""

    __tablename__ = "article_events"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("articles.id"), index=True)
    action: Mapped[str] = mapped_column(String(20))
    """published, scheduled or withdrawn."""
    version: Mapped[int]
    actor_name: Mapped[str] = mapped_column(String(255))
    at: Mapped[datetime]


class Publisher(Base):
    """An agent who may publish; admins may anyway."""

    __tablename__ = "article_publishers"

    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"), primary_key=True)


class ArticleFile(Base):
    """A file that belongs to an article; who may read the article may have it."""

    __tablename__ = "article_files"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("articles.id"), index=True)
    name: Mapped[str] = mapped_column(String(300))
    content_type: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    position: Mapped[int]
    created_at: Mapped[datetime]


class ArticleComment(Base):
    """What somebody who is logged in said about an article (S84)."""

    __tablename__ = "article_comments"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("articles.id"), index=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    author_name: Mapped[str] = mapped_column(String(255))
    """As everybody may read it: of a customer the first name and a letter."""
    by_staff: Mapped[bool]
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[str | None] = mapped_column(String(255))


class ArticleVote(Base):
    """Whether an article helped one reader."""

    __tablename__ = "article_votes"

    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("articles.id"), primary_key=True)
    voter: Mapped[str] = mapped_column(String(64), primary_key=True)
    """A user or, of somebody without a log-in, a browser."""
    helpful: Mapped[bool]
    at: Mapped[datetime]


class Deflection(Base):
    """A request that was not needed, because an article answered it first (S21)."""

    __tablename__ = "article_deflections"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("articles.id"), index=True)
    draft: Mapped[str] = mapped_column(String(64), unique=True)
    """The token of the form that was abandoned: each counts once."""
    at: Mapped[datetime] = mapped_column(index=True)


class Posting(Base):
    """A word of a published article, as the search knows it: the inverted index."""

    __tablename__ = "search_postings"

    term: Mapped[str] = mapped_column(String(48), primary_key=True)
    """The language and the stem: `en:password`."""
    article_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("articles.id"), primary_key=True, index=True)
    weight: Mapped[int]
    """How much the article is about it."""

    __table_args__ = (
        # In PostgreSQL's table the rows of a term lie everywhere; here they stand together.
        Index("ix_search_postings_weights", "term", "article_id", "weight"),
        {"sqlite_with_rowid": False},
    )


class SearchWord(Base):
    """A word that occurs in articles, as written, for those who have typed only its beginning."""

    __tablename__ = "search_words"

    # In the order of its letters' codes, so that all words with one beginning stand together.
    word: Mapped[str] = mapped_column(String(40).with_variant(String(40, "C"), "postgresql"), primary_key=True)

    __table_args__ = ({"sqlite_with_rowid": False},)


class Misspelling(Base):
    """A word with a letter left out. Two words that share one are a typing error apart."""

    __tablename__ = "search_misspellings"

    spelling: Mapped[str] = mapped_column(String(40), primary_key=True)
    word: Mapped[str] = mapped_column(String(40), primary_key=True)

    __table_args__ = ({"sqlite_with_rowid": False},)
