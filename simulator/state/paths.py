"""The data path: which NIC the traffic to an address reaches. ARM may show another (docs/facts/azure.md section 9)."""

from __future__ import annotations

import bisect
import itertools


class Paths:
    """The changes of the data path, by address."""

    def __init__(self) -> None:
        self._changes: dict[str, list[tuple[float, int, str, bool]]] = {}
        self._order = itertools.count()

    def leads(self, address: str, nic: str, at: float) -> None:
        """From `at` on, traffic to the address reaches this NIC."""
        self._add(address, at, nic, leads=True)

    def leaves(self, address: str, nic: str, at: float) -> None:
        """From `at` on, traffic to the address no longer reaches this NIC."""
        self._add(address, at, nic, leads=False)

    def carrier(self, address: str, at: float) -> str:
        """The NIC that traffic to the address reaches at that time, or ''."""
        carrier = ""
        for since, _, nic, leads in self._changes.get(address, ()):
            if since > at:
                break
            if leads:
                carrier = nic
            elif carrier == nic:
                carrier = ""
        return carrier

    def _add(self, address: str, at: float, nic: str, *, leads: bool) -> None:
        bisect.insort(self._changes.setdefault(address, []), (at, next(self._order), nic, leads))
