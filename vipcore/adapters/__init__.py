"""The adapters: the only importers of azure.* and aiohttp. Each fills one port; `wiring` builds them once per process."""
