"""The REST API: everything the pages do, for programs. It stands on the same actions and access rules as the pages."""
