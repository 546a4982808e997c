"""Tickets: life cycle, actions, history, pages."""
