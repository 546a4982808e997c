"""What people decide: conflicts, holds, wanted values, orders, contacts."""

import sqlalchemy as sa
from alembic import op

from shared.database import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "sent_notes",
        sa.Column("note_id", sa.String(length=64), nullable=False),
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("note_id", name=op.f("pk_sent_notes")),
    )
    with op.batch_alter_table("sent_notes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sent_notes_ticket_id"), ["ticket_id"], unique=False)

    with op.batch_alter_table("conflicts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("policy", sa.String(length=20), server_default="crm", nullable=False))
        batch_op.add_column(sa.Column("state", sa.String(length=20), server_default="decided", nullable=False))
        batch_op.add_column(sa.Column("how", sa.String(length=20), server_default="policy", nullable=True))
        batch_op.add_column(sa.Column("decided_by", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("decided_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("reversed_by", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("reversed_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("why", sa.Text(), nullable=True))
        batch_op.alter_column("winner", existing_type=sa.VARCHAR(length=20), nullable=True)
        batch_op.create_index(batch_op.f("ix_conflicts_state"), ["state"], unique=False)

    with op.batch_alter_table("contact_matches", schema=None) as batch_op:
        batch_op.add_column(sa.Column("decided_by", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("tickets", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("claimed_by", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("claimed_until", UtcDateTime(), nullable=True))
        batch_op.create_index(batch_op.f("ix_contact_matches_crm_id"), ["crm_id"], unique=False)

    with op.batch_alter_table("links", schema=None) as batch_op:
        batch_op.add_column(sa.Column("wanted", sa.JSON(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("holds", sa.JSON(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("held", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("flips", sa.JSON(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("orders", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("order_number", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("orders_done", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("generation", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("extra_notes", sa.JSON(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("notes_told", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("notes_read", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("notes_seen", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("echoes", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("echo", sa.String(length=200), nullable=True))
        batch_op.create_index(batch_op.f("ix_links_held"), ["held"], unique=False)

    with op.batch_alter_table("reply_replicas", schema=None) as batch_op:
        batch_op.add_column(sa.Column("skipped", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("pending", sa.Boolean(), server_default=sa.false(), nullable=False))
