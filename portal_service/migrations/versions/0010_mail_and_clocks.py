"""Which mail it is and to whom by name, addresses without a mailbox, and what the clocks have done."""

import sqlalchemy as sa
from alembic import op

from shared.database import UtcDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "clock_strikes",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("clock", sa.String(length=20), nullable=False),
        sa.Column("since", UtcDateTime(timezone=True), nullable=False),
        sa.Column("struck_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_clock_strikes_ticket_id")),
        sa.PrimaryKeyConstraint("ticket_id", "clock", "since", name=op.f("pk_clock_strikes")),
    )
    op.create_table(
        "suppressed_addresses",
        sa.Column("key", sa.String(length=320), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_suppressed_addresses")),
    )
    with op.batch_alter_table("outgoing_mails", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(length=40), server_default="", nullable=False))
        batch_op.add_column(sa.Column("recipient_name", sa.String(length=255), server_default="", nullable=False))
        batch_op.create_index("ix_outgoing_mails_failed_at", ["failed_at"], unique=False)
