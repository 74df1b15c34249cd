"""Who holds which private address and public IP. A NIC keeps the addresses that a PUT dropped until its operation ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.core.history import Held
from simulator.core.ids import vnet_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from simulator.core.model import ConfigFacts, Nic


def address_key(vnet_key: str, address: str) -> str:
    """The ledger's key of a private address: unique within its virtual network."""
    return f"{vnet_key}|{address}"


def keys_of(config: ConfigFacts) -> tuple[str, ...]:
    """The keys that an ip configuration holds: those of its address and its public IP, as far as it has them."""
    own = address_key(vnet_of(config.subnet), config.address) if config.address else ""
    return tuple(key for key in (own, config.pip) if key)


class Ledger:
    """The holder of each key. changed: called with each key that a NIC takes or frees. log: every change with its time."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[str], None]) -> None:
        self._clock, self._changed = clock, changed
        self._holders: dict[str, tuple[Nic, str]] = {}
        self._by_nic: dict[str, set[str]] = {}
        self.log: list[Held] = []

    def __contains__(self, key: str) -> bool:
        return key in self._holders

    def holder(self, key: str) -> tuple[Nic, str] | None:
        """The NIC that holds the key and the name of its ip configuration, or None."""
        return self._holders.get(key)

    def foreign_holder(self, key: str, nic_key: str) -> tuple[Nic, str] | None:
        """The holder if it is a different NIC, else None."""
        found = self._holders.get(key)
        return None if found is None or found[0].key == nic_key else found

    def claim(self, nic: Nic, configs: Iterable[ConfigFacts]) -> None:
        """Let the NIC hold the keys of these ip configurations. The caller has checked that no other NIC holds them."""
        mine = self._by_nic.setdefault(nic.key, set())
        for config in configs:
            for key in keys_of(config):
                entry = (nic, config.name)
                if key not in mine:
                    self._changed(key)
                if self._holders.get(key) != entry:
                    self._holders[key] = entry
                    mine.add(key)
                    self.log.append(Held(self._clock(), key, nic.name, config.name))

    def keep_only(self, nic: Nic, configs: Iterable[ConfigFacts]) -> set[str]:
        """Free all keys of the NIC except those of these ip configurations. Returns the freed keys."""
        mine = self._by_nic.get(nic.key, set())
        freed = mine - {key for config in configs for key in keys_of(config)}
        if not freed:
            return freed
        for key in sorted(freed):
            del self._holders[key]
            self.log.append(Held(self._clock(), key, "", ""))
            self._changed(key)
        mine -= freed
        return freed
