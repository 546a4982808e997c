"""Ticket numbers begin at 1001: long enough to be recognised as one, short enough to say on the phone."""

from typing import Any

from sqlalchemy import Connection, text

FIRST_NUMBER = 1001


def start_numbers(_table: object, connection: Connection, **_: Any) -> None:
    """Make the next ticket of the new, empty table number 1001 (a listener of the table's `after_create`)."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ALTER SEQUENCE tickets_number_seq RESTART WITH {FIRST_NUMBER}"))
    else:
        connection.execute(
            text("INSERT INTO sqlite_sequence (name, seq) VALUES ('tickets', :seq)"), {"seq": FIRST_NUMBER - 1}
        )
