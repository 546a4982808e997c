"""A search reads what it needs of a term from one place."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_index("ix_search_postings_weights", "search_postings", ["term", "article_id", "weight"])
