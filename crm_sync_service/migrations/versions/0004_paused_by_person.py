"""Who paused the sync."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("crm_states", schema=None) as batch_op:
        batch_op.add_column(sa.Column("stopped_by", sa.String(length=255), nullable=True))
