"""The questions to Azure Resource Manager, one method each: NICs, operations, and the reads of the preflight.

Raises ArmError for an answer that is not success; lets NotSent and NoReply of the transport through. Repeats a read a few times
and a write never: whether to write again is decided after a new read.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from vipcore.arm import nic as documents
from vipcore.arm.errors import ArmError, Cause
from vipcore.arm.polling import PollCount, Subscription
from vipcore.arm.port import ArmReply, ArmRequest, Transport
from vipcore.arm.rate_limit import Permit
from vipcore.errors import NoReply, NotSent
from vipcore.model import Json, Mirror, Missing, Nic, Observation, Unreadable

NETWORK_API: Final = "2026-03-01"
"""The version of azure-mgmt-network 33.1.0. A PUT in an older one may drop settings that it does not know (docs/facts/azure.md
section 12)."""

AUTHORIZATION_API: Final = "2022-04-01"
READ_TIMEOUT_S: Final = 10.0
WRITE_TIMEOUT_S: Final = 20.0
"""A PUT's own answer took 3 to 10 s in recordings (docs/facts/azure.md section 3)."""

READ_TRIES: Final = 3
_LONG_AGO: Final = float("-inf")
"""`read_at` of a PUT's answer: it proves nothing, and its etag changes when the operation ends, so it never counts as a read."""

_AGAIN: Final = "reads for a status give way to swaps, so ask again"
_STALE_READ: Final = ArmReply(412, {}, {"error": {"code": "StaleRead", "message": "written by us since it was read"}})
"""What we answer ourselves, as Azure would where it honours If-Match."""


class Arm:
    """Azure Resource Manager over one transport. Keeps a `Subscription` for each subscription, and when we wrote which NIC."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.polling_now = PollCount()
        self.subscriptions = defaultdict[str, Subscription](partial(Subscription, self.polling_now))
        # NIC id -> when this process last wrote it. An older read is stale, whether or not Azure honours If-Match.
        self.touched: dict[str, float] = {}

    def limits_of(self, mirror: Mirror) -> Subscription:
        """The rate limits and the polling of the subscription that the mirror is in."""
        return self.subscriptions[mirror.subscription]

    def subscription(self, resource_id: str) -> Subscription:
        """The rate limits and the polling of the subscription that this resource is in."""
        return self.subscriptions[resource_id.split("/")[2].lower()]

    async def read_nics(
        self, mirror: Mirror, members: Iterable[str], known: Mapping[str, Observation], *, within_s: float | None = None
    ) -> dict[str, Observation]:
        """The NICs of these members, read side by side. `known`: what is known of the mirror's other NICs.

        `within_s`: how long somebody who only looks waits for all of it.

        A 404 is told only where Azure also says that every VIP that no NIC shows is free. Otherwise the NIC may be there and hold
        it: it could not be looked at (I9). Where we may not ask, the 404 is believed: Azure itself refuses to attach an address
        that a NIC holds.
        """
        names, began = list(members), asyncio.get_running_loop().time()
        found = await asyncio.gather(*(self.read_nic(mirror.nic_id(name), within_s=within_s) for name in names))
        read = dict(zip(names, found, strict=True))
        if not any(isinstance(shown, Missing) for shown in found):
            return read
        ends = began + within_s if within_s else asyncio.get_running_loop().time() + READ_TIMEOUT_S
        if doubt := await self._doubt(mirror, {**known, **read}, ends):
            for name, shown in read.items():
                if isinstance(shown, Missing):
                    read[name] = Unreadable(shown.id, ValueError(f"Azure says that {shown.id} does not exist, {doubt}"))
        return read

    async def _doubt(self, mirror: Mirror, observed: Mapping[str, Observation], ends: float) -> str | None:
        """Why a 404 for one of these NICs is not to be believed, or None."""
        seen = [shown.document for shown in observed.values() if isinstance(shown, Nic)]
        lost = [vip for vip in mirror.vips if not any(documents.has_address(document, vip) for document in seen)]
        subnet_id = documents.subnet_of(seen[0]) if seen else None
        if lost and subnet_id is None:
            return "and no other NIC of the mirror could be read"
        try:
            async with asyncio.timeout_at(ends):
                taken = [vip for vip in lost if subnet_id and await self.in_use(subnet_id, vip.private_ip)]
        except (ArmError, NotSent, NoReply, TimeoutError) as exc:
            denied = isinstance(exc, ArmError) and exc.cause is Cause.DENIED
            return None if denied else f"and could not be asked whether the VIP is free: {str(exc) or 'no answer in time'}"
        return f"and that {taken[0].private_ip} is in use" if taken else None

    async def in_use(self, subnet_id: str, address: str) -> bool:
        """Whether Azure calls the address taken (`CheckIPAddressAvailability`). Raises as `get`."""
        vnet_id = subnet_id[: subnet_id.lower().index("/subnets/")]
        body = await self.get(vnet_id, "/CheckIPAddressAvailability", query=f"ipAddress={address}")
        return body.get("available") is False

    async def read_nic(self, nic_id: str, *, within_s: float | None = None) -> Observation:
        """The NIC, or that Azure answers 404, or why it could not be read. Does not raise whatever Azure answers."""
        asked_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(within_s):
                reply, at = await self._read(nic_id, _url(nic_id))
            return _nic(nic_id, reply.body, at)
        except TimeoutError:
            return Unreadable(id=nic_id, error=TimeoutError(f"no answer within {within_s:g} s; {_AGAIN}"))
        except (ArmError, NotSent, NoReply, ValueError) as exc:
            gone = isinstance(exc, ArmError) and exc.cause is Cause.GONE
            return Missing(id=nic_id, read_at=asked_at) if gone else Unreadable(id=nic_id, error=exc)

    async def put(self, nic: Nic, document: Json, permit: Permit) -> tuple[Nic, ArmReply]:
        """Replace the NIC if it is still as we read it (`If-Match`). Returns Azure's answer, and the NIC as it shows it.

        Raises ArmError; NotSent; NoReply: it may have happened.
        """
        if self.touched.get(nic.id.lower(), _LONG_AGO) > nic.read_at:
            raise ArmError(_STALE_READ)
        request = ArmRequest("PUT", _url(nic.id), {"if-match": nic.etag}, document, WRITE_TIMEOUT_S)
        reply = await self._write(nic.id, request, permit, nic)
        try:
            return _nic(nic.id, reply.body, _LONG_AGO), reply
        except ValueError:
            return Nic(id=nic.id, document=document, etag="", state="Updating", read_at=_LONG_AGO), reply

    async def move_in_one_call(
        self, vnet_id: str, items: list[tuple[str, str]], nics: tuple[Nic, Nic], permit: Permit
    ) -> ArmReply:
        """`moveIpConfigurations` of (source, target) ip configuration ids. Raises ArmError; NotSent; NoReply."""
        listed = [{"sourceIpConfiguration": {"id": source}, "targetIpConfiguration": {"id": target}} for source, target in items]
        body = {"moveIpConfigurationItems": listed}
        request = ArmRequest("POST", _url(vnet_id, "/moveIpConfigurations"), body=body, timeout_s=WRITE_TIMEOUT_S)
        return await self._write(vnet_id, request, permit, *nics)

    async def poll(self, nic_id: str, operation: str) -> bool:
        """Whether the operation has succeeded. Raises ArmError with CANCELED, FAILED or GONE; otherwise as reads do."""
        reply, _ = await self._read(nic_id, operation, tries=1)
        status = reply.body.get("status") if isinstance(reply.body, dict) else None
        if status in ("Failed", "Canceled"):
            raise ArmError(reply, ended_operation=True)
        return status == "Succeeded"

    async def get(self, resource_id: str, suffix: str = "", *, api: str = NETWORK_API, query: str = "") -> Json:
        """A JSON object below a resource. Raises ArmError, NotSent, NoReply."""
        reply, _ = await self._read(resource_id, _url(resource_id, suffix, api) + (f"&{query}" if query else ""))
        return reply.body if isinstance(reply.body, dict) else {}

    async def permissions(self, resource_id: str) -> list[Json]:
        """The identity's effective permissions on a scope, as Azure lists them: `actions` and `notActions`."""
        body = await self.get(resource_id, "/providers/Microsoft.Authorization/permissions", api=AUTHORIZATION_API)
        return body.get("value") or []

    async def _read(self, resource_id: str, url: str, *, tries: int = READ_TRIES) -> tuple[ArmReply, float]:
        """A GET, repeated after a moment if the fault was transient. After a throttle the caller must wait.

        Returns the answer and when its request was sent: it is as old as that, however long the permit took.
        """
        try:
            return await self._send(resource_id, ArmRequest("GET", url, timeout_s=READ_TIMEOUT_S))
        except (ArmError, NotSent, NoReply) as exc:
            if tries == 1 or (isinstance(exc, ArmError) and exc.cause not in (Cause.TRANSIENT, Cause.TOKEN)):
                raise
            await asyncio.sleep(min(exc.retry_after_s or 0.3, 2.0) if isinstance(exc, ArmError) else 0.2)
        return await self._read(resource_id, url, tries=tries - 1)

    async def _write(self, resource_id: str, request: ArmRequest, permit: Permit, *nics: Nic) -> ArmReply:
        """A write of these NICs."""
        written, loop = [nic.id.lower() for nic in nics], asyncio.get_running_loop()
        self.touched |= dict.fromkeys(written, loop.time())
        try:
            reply, _ = await self._send(resource_id, request, permit)
        finally:
            self.touched |= dict.fromkeys(written, loop.time())
        return reply

    async def _send(self, resource_id: str, request: ArmRequest, permit: Permit | None = None) -> tuple[ArmReply, float]:
        """The answer, and when the request was sent. Raises ArmError where Azure did not accept it.

        `permit`: of a write; a swap holds the permits of all its writes before. A read gets its own here.
        """
        subscription, loop = self.subscription(resource_id), asyncio.get_running_loop()
        limit = subscription.writes if permit else subscription.reads
        if permit:
            permit.used = True
        else:
            await limit.acquire()
        sent = limit.sent(loop.time())
        reply = await self.transport.send(request)
        subscription.answered(request.method, sent, reply, loop.time())
        if reply.status not in ((200, 201, 202) if permit else (200,)):
            raise ArmError(reply)
        return reply, sent.at


def _url(resource_id: str, suffix: str = "", api: str = NETWORK_API) -> str:
    return f"{quote(resource_id, safe='/.-_()~')}{suffix}?api-version={api}"


def _nic(nic_id: str, body: Any, at: float) -> Nic:
    """Raises ValueError where the body is not a whole document: a NIC has ip configurations, each in a subnet (I9)."""
    found = documents.configurations(body) if isinstance(body, dict) else []
    if not found or not all(documents.referred(item, "subnet") for item in found):
        raise ValueError("the answer is not a NIC's whole document")
    state = str(documents.properties(body).get("provisioningState", "Succeeded"))
    return Nic(id=nic_id, document=body, etag=str(body.get("etag", "")), state=state, read_at=at)
