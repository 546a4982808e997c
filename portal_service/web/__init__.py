"""What all pages of the portal share: who visits, languages, labels, forms."""
