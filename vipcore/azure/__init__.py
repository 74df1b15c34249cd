"""The adapters: the only importers of azure.* and aiohttp. Each implements one port; `wiring` builds them once per process."""
