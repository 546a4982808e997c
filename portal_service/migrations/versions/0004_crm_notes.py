"""Replies that came from a Note of the CRM."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("entries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("crm_note_id", sa.String(length=64), nullable=True))
        batch_op.create_unique_constraint(batch_op.f("uq_entries_crm_note_id"), ["crm_note_id"])
