"""Administrators manage the staff: who was sent off, and a log of what they did."""

import sqlalchemy as sa
from alembic import op

from shared.database import UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "people_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("about", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people_changes")),
    )
    with op.batch_alter_table("people_changes") as batch_op:
        batch_op.create_index(batch_op.f("ix_people_changes_at"), ["at"], unique=False)
    with op.batch_alter_table("staff") as batch_op:
        batch_op.add_column(sa.Column("deactivated_at", UtcDateTime(timezone=True), nullable=True))
