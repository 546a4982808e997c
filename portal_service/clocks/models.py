"""What the clocks have done, so that none of it is done twice."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from portal_service.base import Base


class ClockStrike(Base):
    """A clock of a ticket struck; its key makes it once per ticket, clock and start of the waiting."""

    __tablename__ = "clock_strikes"

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    clock: Mapped[str] = mapped_column(String(20), primary_key=True)
    """review or reminder."""
    since: Mapped[datetime] = mapped_column(primary_key=True)
    """The moment the clock counts from: when the ticket came, or since when it waits for the customer."""
    struck_at: Mapped[datetime]
