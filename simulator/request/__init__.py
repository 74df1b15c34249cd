"""One request on its way through: its route, its reply and their headers."""
