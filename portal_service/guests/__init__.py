"""People without a log-in: they file a ticket, and a key opens that one ticket for them (S05 - S10)."""
