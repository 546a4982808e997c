"""Accounts, contacts, support staff, log-in and what each may do."""
