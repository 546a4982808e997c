"""Attachments: storage and signed links."""
