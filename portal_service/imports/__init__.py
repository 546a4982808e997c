"""Tickets from another help desk's export become tickets here: each exactly once, no bad row in silence."""
