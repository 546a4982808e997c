"""How Casebridge is installed and run: the local stack and the files for production."""
