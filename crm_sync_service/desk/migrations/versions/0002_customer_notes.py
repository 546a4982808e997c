"""Notes that are to be sent to the customer."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("notes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("for_customer", sa.Boolean(), server_default=sa.false(), nullable=False))
