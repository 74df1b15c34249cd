"""An auditor's command: is a mirror's audit trail intact, and what does it say? It shares no code with the app."""
