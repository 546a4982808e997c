"""What account managers see: pages made on the server, which work without JavaScript."""
