"""What both services use: events, broker, outbox, inbox, database, settings and web basics."""
