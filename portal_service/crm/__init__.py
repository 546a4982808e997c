"""What the CRM says about tickets: changes, receipts, directory, freshness."""
