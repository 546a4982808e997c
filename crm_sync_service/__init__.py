"""The CRM sync service: one Case per ticket, and what account managers change carried back."""
