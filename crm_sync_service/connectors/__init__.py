"""One module per CRM behind one protocol (`base`)."""
