"""Knowledge base articles."""
