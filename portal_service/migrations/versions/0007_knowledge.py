"""The knowledge base: versions, files, comments, the search index, troubleshooter and downloads."""

import sqlalchemy as sa
from alembic import op

from shared.database import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "downloads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=60), nullable=False),
        sa.Column("released_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("summary_en", sa.Text(), nullable=False),
        sa.Column("summary_nl", sa.Text(), nullable=False),
        sa.Column("article_slug", sa.String(length=120), nullable=True),
        sa.Column("visibility", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("content_type", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("withdrawn_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("added_by", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_downloads")),
    )
    op.create_table(
        "search_misspellings",
        sa.Column("spelling", sa.String(length=40), nullable=False),
        sa.Column("word", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("spelling", "word", name=op.f("pk_search_misspellings")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "search_words",
        sa.Column(
            "word", sa.String(length=40).with_variant(sa.String(length=40, collation="C"), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("word", name=op.f("pk_search_words")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "trouble_questions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("text_en", sa.String(length=255), nullable=False),
        sa.Column("text_nl", sa.String(length=255), nullable=False),
        sa.Column("hint_en", sa.Text(), nullable=False),
        sa.Column("hint_nl", sa.Text(), nullable=False),
        sa.Column("begins", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trouble_questions")),
    )
    op.create_table(
        "article_deflections",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("draft", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["articles.id"], name=op.f("fk_article_deflections_article_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_article_deflections")),
        sa.UniqueConstraint("draft", name=op.f("uq_article_deflections_draft")),
    )
    with op.batch_alter_table("article_deflections", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_article_deflections_article_id"), ["article_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_article_deflections_at"), ["at"], unique=False)
    op.create_table(
        "article_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("actor_name", sa.String(length=255), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["articles.id"], name=op.f("fk_article_events_article_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_article_events")),
    )
    with op.batch_alter_table("article_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_article_events_article_id"), ["article_id"], unique=False)
    op.create_table(
        "article_files",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("content_type", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["articles.id"], name=op.f("fk_article_files_article_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_article_files")),
    )
    with op.batch_alter_table("article_files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_article_files_article_id"), ["article_id"], unique=False)
    op.create_table(
        "article_publishers",
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_article_publishers_staff_id")),
        sa.PrimaryKeyConstraint("staff_id", name=op.f("pk_article_publishers")),
    )
    op.create_table(
        "article_versions",
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("visibility", sa.String(length=20), nullable=False),
        sa.Column("author_name", sa.String(length=255), nullable=False),
        sa.Column("remark", sa.String(length=255), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["articles.id"], name=op.f("fk_article_versions_article_id")),
        sa.PrimaryKeyConstraint("article_id", "number", name=op.f("pk_article_versions")),
    )
    op.create_table(
        "article_votes",
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("voter", sa.String(length=64), nullable=False),
        sa.Column("helpful", sa.Boolean(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["articles.id"], name=op.f("fk_article_votes_article_id")),
        sa.PrimaryKeyConstraint("article_id", "voter", name=op.f("pk_article_votes")),
    )
    op.create_table(
        "search_postings",
        sa.Column("term", sa.String(length=48), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["articles.id"], name=op.f("fk_search_postings_article_id")),
        sa.PrimaryKeyConstraint("term", "article_id", name=op.f("pk_search_postings")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("search_postings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_search_postings_article_id"), ["article_id"], unique=False)
    op.create_table(
        "trouble_options",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("question_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text_en", sa.String(length=255), nullable=False),
        sa.Column("text_nl", sa.String(length=255), nullable=False),
        sa.Column("next_id", sa.Uuid(), nullable=True),
        sa.Column("article_slug", sa.String(length=120), nullable=True),
        sa.Column("type_key", sa.String(length=64), nullable=True),
        sa.Column("subject_en", sa.String(length=255), nullable=False),
        sa.Column("subject_nl", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["next_id"], ["trouble_questions.id"], name=op.f("fk_trouble_options_next_id")),
        sa.ForeignKeyConstraint(["question_id"], ["trouble_questions.id"], name=op.f("fk_trouble_options_question_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trouble_options")),
    )
    with op.batch_alter_table("trouble_options", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_trouble_options_next_id"), ["next_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_trouble_options_question_id"), ["question_id"], unique=False)
    op.create_table(
        "article_comments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("author_name", sa.String(length=255), nullable=False),
        sa.Column("by_staff", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("removed_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("removed_by", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(["article_id"], ["articles.id"], name=op.f("fk_article_comments_article_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_article_comments_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_article_comments")),
    )
    with op.batch_alter_table("article_comments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_article_comments_article_id"), ["article_id"], unique=False)
    op.create_table(
        "article_sources",
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.Column("reviewed_by", sa.String(length=255), nullable=False),
        sa.Column("reviewed_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["articles.id"], name=op.f("fk_article_sources_article_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_article_sources_ticket_id")),
        sa.PrimaryKeyConstraint("article_id", name=op.f("pk_article_sources")),
    )
    with op.batch_alter_table("article_sources", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_article_sources_ticket_id"), ["ticket_id"], unique=False)
    with op.batch_alter_table("articles", schema=None) as batch_op:
        batch_op.add_column(sa.Column("state", sa.String(length=20), server_default="published", nullable=False))
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("latest", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("indexed_as", sa.Integer(), server_default="0", nullable=False))
        batch_op.create_index(
            "ix_articles_search",
            ["id", "state", "visibility", "published_at", "kind", "language", "slug"],
            unique=False,
        )
    op.execute(
        "INSERT INTO article_versions"
        " (article_id, number, kind, title, summary, body, visibility, author_name, remark, created_at)"
        " SELECT id, 1, kind, title, summary, body, visibility, '', '', published_at FROM articles"
    )
