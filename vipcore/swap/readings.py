"""What the preflight read lately, per process: permissions, subnets and public IPs stand in for a fresh read for 15 minutes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from vipcore.model import Mirror

READING_S_MAX: Final = 900.0
_T = TypeVar("_T")


class PreflightCache:
    """(what, resource id) -> when it was read, by the loop's clock, and the value. Only successes are kept."""

    __slots__ = ("_kept", "_referred", "_under_way")

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[float, Any]] = {}
        self._under_way: dict[tuple[str, str], asyncio.Task[Any]] = {}
        """Reads on their way, so that who asks meanwhile waits for the same answer."""
        self._referred: dict[str, tuple[str, ...]] = {}
        """Mirror -> what its NICs' documents were last seen to refer to (subnet, security group)."""

    async def of(self, what: str, resource_id: str, read: Callable[[], Awaitable[_T]]) -> _T:
        """The kept reading if it is young enough, else a fresh one. Raises what the read raises."""
        key = (what, resource_id.lower())
        if key in self._kept and asyncio.get_running_loop().time() - self._kept[key][0] < READING_S_MAX:
            value: _T = self._kept[key][1]
            return value
        if key not in self._under_way:
            self._under_way[key] = asyncio.ensure_future(self._read(key, read))
        shared: _T = await asyncio.shield(self._under_way[key])
        return shared

    async def _read(self, key: tuple[str, str], read: Callable[[], Awaitable[_T]]) -> _T:
        at = asyncio.get_running_loop().time()
        try:
            value = await read()
            self._kept[key] = (at, value)
            return value
        finally:
            del self._under_way[key]

    def ahead(self, what: str, resource_id: str, read: Callable[[], Awaitable[Any]]) -> None:
        """Send a read out that will be asked for, unless it is kept or on its way. Whoever asks for it meets its error."""
        reading = asyncio.ensure_future(self.of(what, resource_id, read))
        reading.add_done_callback(lambda done: None if done.cancelled() else done.exception() and None)

    def refers_to(self, mirror: Mirror, resource_ids: tuple[str, ...]) -> None:
        """What the mirror's NICs' documents refer to, so that it can be read before the NICs next time."""
        self._referred[mirror.name] = resource_ids

    def referred(self, mirror: Mirror) -> tuple[str, ...]:
        """What the mirror's NICs' documents were last seen to refer to."""
        return self._referred.get(mirror.name, ())

    def forget(self, *resource_ids: str) -> None:
        """Drop what is kept of these resources: Azure just said otherwise."""
        gone = {resource_id.lower() for resource_id in resource_ids}
        self._kept = {key: value for key, value in self._kept.items() if key[1] not in gone}

    def forget_mirror(self, mirror: Mirror) -> None:
        """Drop what is kept of everything that a swap of this mirror needs rights on."""
        public_ids = [vip.public_ip_id for vip in mirror.vips if vip.public_ip_id]
        self.forget(*(member.nic_id for member in mirror.members), *public_ids, *self.referred(mirror))
