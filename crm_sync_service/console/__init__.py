"""The sync console: what an administrator sees of the synchronisation, and the buttons that repair it."""
