"""When a ticket was last opened, the one it follows from, its rating, and quick lists by last activity."""

import sqlalchemy as sa
from alembic import op

from shared.database import UtcDateTime

revision = "0011"
down_revision = "0010"

_DONE = ("solved", "closed")


def upgrade() -> None:
    op.create_table(
        "ratings",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("rated_by", sa.String(length=255), nullable=False),
        sa.Column("rated_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_ratings_ticket_id")),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_ratings")),
    )
    with op.batch_alter_table("tickets") as tickets:
        tickets.add_column(sa.Column("opened_at", UtcDateTime(timezone=True), nullable=True))
        tickets.add_column(
            sa.Column("parent_number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        tickets.create_index("ix_tickets_parent_number", ["parent_number"])
        tickets.create_index("ix_tickets_last_activity", ["last_activity_at", "number"])
    _fill_opened_at()


def _fill_opened_at() -> None:
    """The last reopening that the history knows of, else when it was filed."""
    tickets = sa.table("tickets", sa.column("id"), sa.column("created_at"), sa.column("opened_at"))
    names = ("ticket_id", "at", "field", "before", "after")
    history = sa.table("history", *(sa.column(name) for name in names))
    reopened = (
        sa.select(sa.func.max(history.c.at))
        .where(history.c.ticket_id == tickets.c.id, history.c.field == "status")
        .where(history.c.before.in_(_DONE), history.c.after.not_in(_DONE))
        .scalar_subquery()
    )
    op.execute(tickets.update().values(opened_at=sa.func.coalesce(reopened, tickets.c.created_at)))
