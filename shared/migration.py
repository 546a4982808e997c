"""What every service's alembic `env.py` does: run migrations on the connection that `Database.upgrade` opened."""

from alembic import context
from sqlalchemy import MetaData


def run_migrations(metadata: MetaData) -> None:
    """All in the caller's transaction: an upgrade happens as a whole or not at all."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
        transaction_per_migration=False,
    )
    context.run_migrations()
