"""What we are told: the app settings and the mirrors document, all faults at once."""
