"""The portal: customers file and follow tickets, support staff answer them."""
