"""`casebridge bench sync`: how fast the sync is, beside what it cannot be faster than."""
