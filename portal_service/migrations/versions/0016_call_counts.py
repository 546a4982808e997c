"""How often visitors ask for suggestions, counted for all processes together."""

import sqlalchemy as sa
from alembic import op

from shared.database import UtcDateTime

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "call_counts",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("window_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_call_counts")),
    )
    op.create_index("ix_call_counts_window_at", "call_counts", ["window_at"])
