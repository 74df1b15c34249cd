"""One request on its way through ARM: its route, its visit, its reply and the common headers."""
