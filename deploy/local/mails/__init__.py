"""A mail server that delivers nothing and shows everything, so that nobody's inbox is filled by trying things."""
