"""The desk: a small CRM that serves where no other is configured, with pages, a JSON API and its own database."""
