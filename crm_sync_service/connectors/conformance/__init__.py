"""The connector contract, tried out on a live CRM: `casebridge connector check`."""
