"""Drafts of requests, uploads that wait for their ticket, and when somebody wants to be phoned."""

import sqlalchemy as sa
from alembic import op

from shared.database import UtcDateTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "staged_files",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("content_type", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staged_files")),
    )
    op.create_index("ix_staged_files_owner", "staged_files", ["owner"])
    op.create_index("ix_staged_files_expires_at", "staged_files", ["expires_at"])
    op.create_table(
        "drafts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("type_key", sa.String(length=64), nullable=False),
        sa.Column("contact_key", sa.String(length=36), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("saved_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_drafts_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drafts")),
        sa.UniqueConstraint("user_id", "type_key", "contact_key", name=op.f("uq_drafts_user_id_type_key_contact_key")),
    )
    op.create_index("ix_drafts_expires_at", "drafts", ["expires_at"])
    with op.batch_alter_table("tickets") as tickets:
        tickets.add_column(sa.Column("call_at", UtcDateTime(timezone=True), nullable=True))
        tickets.add_column(sa.Column("called_at", UtcDateTime(timezone=True), nullable=True))
        tickets.create_index("ix_tickets_call_at", ["call_at"])
