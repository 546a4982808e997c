"""Tickets whose words were taken out for good."""

import sqlalchemy as sa
from alembic import op

from shared.database import UtcDateTime

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    with op.batch_alter_table("tickets") as tickets:
        tickets.add_column(sa.Column("redacted_at", UtcDateTime(timezone=True), nullable=True))
