"""Keys that open one ticket without a log-in."""

import sqlalchemy as sa
from alembic import op

from shared.database import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "guest_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("mailed", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_guest_keys_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guest_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_guest_keys_key_hash")),
    )
    with op.batch_alter_table("guest_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_guest_keys_ticket_id"), ["ticket_id"], unique=False)

    op.create_table(
        "guest_tickets",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("confirmed_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_guest_tickets_ticket_id")),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_guest_tickets")),
    )
