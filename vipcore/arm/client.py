"""What we ask of Azure Resource Manager, one method per question: NICs, operations, and the reads of the preflight.

Raises ArmError for an answer that is not success; lets NotSent and NoReply of the transport through. Repeats reads a little,
writes never: whether to write again is decided after a fresh look.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from vipcore.arm.errors import ArmError, Cause, error_of, failed_operation
from vipcore.arm.port import ArmReply, ArmRequest, Transport
from vipcore.arm.rate_limit import PollCount, Subscription
from vipcore.errors import NoReply, NotSent
from vipcore.model import Json, Missing, Nic, Observation, Unreadable

NETWORK_API: Final = "2026-03-01"
"""The version azure-mgmt-network 33.1.0 speaks: an older one may lose settings on the way back (azure.md section 12)."""

AUTHORIZATION_API: Final = "2022-04-01"
READ_TIMEOUT_S: Final = 10.0
WRITE_TIMEOUT_S: Final = 20.0
"""A PUT's own answer took 3 to 10 s on tapes (azure.md section 3)."""

READ_TRIES: Final = 3
_LONG_AGO: Final = float("-inf")
"""A PUT's echo proves nothing and its etag goes stale when the operation ends, so it never counts as a read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A PUT's answer: the NIC as it shows it, the operation's URL if it still works, ARM's request id (also the operation's)."""

    nic: Nic
    operation: str | None
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCallAccepted:
    """The answer to a move in one call. `pending`: it is not over yet, and `operation` is where to look."""

    operation: str | None
    request_id: str
    pending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One entry of the effective permissions on a scope."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...]


@dataclass(slots=True)
class Arm:
    """The questions, over one transport. Keeps a `Pace` per subscription and when we wrote which NIC."""

    transport: Transport
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    polling_now: PollCount = field(default_factory=PollCount)
    touched: dict[str, float] = field(default_factory=dict)
    """NIC id -> when this process last wrote it: an older look at it is stale, whether or not Azure honours If-Match."""

    def subscription(self, resource_id: str) -> Subscription:
        """The budget of the subscription that this resource is in."""
        subscription = resource_id.split("/")[2].lower()
        if subscription not in self.subscriptions:
            self.subscriptions[subscription] = Subscription(process_polls=self.polling_now)
        return self.subscriptions[subscription]

    async def read_nic(self, nic_id: str) -> Observation:
        """The NIC, or that it is absent, or why it could not be looked at. Never raises for Azure's sake."""
        try:
            reply, at = await self._timed_read(nic_id, f"{_path(nic_id)}?api-version={NETWORK_API}")
            return _nic(nic_id, reply.body, at)
        except ArmError as exc:
            return Missing(id=nic_id) if exc.cause is Cause.GONE else Unreadable(id=nic_id, error=exc)
        except (NotSent, NoReply, ValueError) as exc:
            return Unreadable(id=nic_id, error=exc)

    async def put(self, nic: Nic, document: Json) -> Accepted:
        """Replace the NIC if it is still as we read it (`If-Match`). Raises ArmError; NotSent; NoReply: it may have happened."""
        at = asyncio.get_running_loop().time()
        if self.touched.get(nic.id.lower(), _LONG_AGO) > nic.read_at:
            raise ArmError(Cause.ETAG, 412, "StaleRead", "written by us since it was read", retry_after_s=None, request_id="")
        self.touched[nic.id.lower()] = at
        request = ArmRequest(
            method="PUT",
            url=f"{_path(nic.id)}?api-version={NETWORK_API}",
            headers={"if-match": nic.etag},
            body=document,
            timeout_s=WRITE_TIMEOUT_S,
        )
        try:
            reply, _ = await self._send(nic.id, request)
        finally:
            self.touched[nic.id.lower()] = asyncio.get_running_loop().time()
        if reply.status not in (200, 201, 202):
            raise error_of(reply)
        operation = reply.headers.get("azure-asyncoperation")
        try:
            shown = _nic(nic.id, reply.body, _LONG_AGO)
        except ValueError:
            shown = Nic(id=nic.id, document=document, etag="", state="Updating", read_at=_LONG_AGO)
        return Accepted(nic=shown, operation=operation, request_id=reply.headers.get("x-ms-request-id", ""))

    async def move_in_one_call(self, vnet_id: str, items: list[tuple[str, str]], nics: tuple[Nic, Nic]) -> OneCallAccepted:
        """`moveIpConfigurations` of (source, target) ip configuration ids. Raises ArmError; NotSent; NoReply."""
        listed = [{"sourceIpConfiguration": {"id": source}, "targetIpConfiguration": {"id": target}} for source, target in items]
        request = ArmRequest(
            method="POST",
            url=f"{_path(vnet_id)}/moveIpConfigurations?api-version={NETWORK_API}",
            body={"moveIpConfigurationItems": listed},
            timeout_s=WRITE_TIMEOUT_S,
        )
        try:
            reply, _ = await self._send(vnet_id, request)
        finally:
            for nic in nics:
                self.touched[nic.id.lower()] = asyncio.get_running_loop().time()
        if reply.status not in (200, 202):
            raise error_of(reply)
        operation = reply.headers.get("azure-asyncoperation") or reply.headers.get("location")
        request_id = reply.headers.get("x-ms-request-id", "")
        return OneCallAccepted(operation=operation, request_id=request_id, pending=reply.status == 202)

    async def poll(self, nic_id: str, operation: str) -> bool:
        """Whether the operation has succeeded. Raises ArmError with CANCELED, FAILED or GONE; other faults as reads do."""
        reply = await self._read(nic_id, operation, tries=1)
        status = str(reply.body.get("status", "")) if isinstance(reply.body, dict) else ""
        if status in ("Failed", "Canceled"):
            raise failed_operation(reply)
        return status == "Succeeded"

    async def get(self, resource_id: str, suffix: str = "", *, api: str = NETWORK_API, query: str = "") -> Json:
        """A JSON object below a resource. Raises ArmError, NotSent, NoReply."""
        extra = f"&{query}" if query else ""
        reply = await self._read(resource_id, f"{_path(resource_id)}{suffix}?api-version={api}{extra}")
        return reply.body if isinstance(reply.body, dict) else {}

    async def permissions(self, resource_id: str) -> list[Permission]:
        """The identity's effective permissions on a scope."""
        body = await self.get(resource_id, "/providers/Microsoft.Authorization/permissions", api=AUTHORIZATION_API)
        return [
            Permission(actions=tuple(item.get("actions") or ()), not_actions=tuple(item.get("notActions") or ()))
            for item in body.get("value") or ()
        ]

    async def _read(self, resource_id: str, url: str, *, tries: int = READ_TRIES) -> ArmReply:
        return (await self._timed_read(resource_id, url, tries=tries))[0]

    async def _timed_read(self, resource_id: str, url: str, *, tries: int = READ_TRIES) -> tuple[ArmReply, float]:
        """A GET, repeated shortly after where it was Azure's passing trouble; a throttle is the caller's to wait for.

        Returns the answer and when its request was sent: an answer is as old as that, however long the turn was waited for.
        """
        for left in reversed(range(tries)):
            try:
                reply, at = await self._send(resource_id, ArmRequest(method="GET", url=url, timeout_s=READ_TIMEOUT_S))
            except (NotSent, NoReply):
                if not left:
                    raise
                await asyncio.sleep(0.2)
                continue
            if reply.status == 200:
                return reply, at
            error = error_of(reply)
            if not left or error.cause not in (Cause.TRANSIENT, Cause.TOKEN):
                raise error
            await asyncio.sleep(min(error.retry_after_s or 0.3, 2.0))
        raise AssertionError("a read ends by an answer or an error")

    async def _send(self, resource_id: str, request: ArmRequest) -> tuple[ArmReply, float]:
        subscription, loop = self.subscription(resource_id), asyncio.get_running_loop()
        budget = subscription.reads if request.method == "GET" else subscription.writes
        if request.method == "GET":
            await budget.acquire()  # writes take their turns before, all of a swap's at once
        at = loop.time()
        sent = budget.sent(at)
        reply = await self.transport.send(request)
        subscription.heard(request.method, sent, reply, loop.time())
        return reply, at


def _path(resource_id: str) -> str:
    return quote(resource_id, safe="/.-_()~")


def _nic(nic_id: str, body: Any, at: float) -> Nic:
    """Raises ValueError where the body is not a NIC's document."""
    properties = body.get("properties") if isinstance(body, dict) else None
    if not isinstance(properties, dict) or not isinstance(properties.get("ipConfigurations"), list):
        raise ValueError("the answer is not a NIC's document")  # noqa: TRY004  # a wrong value from outside, not a wrong call
    return Nic(
        id=nic_id,
        document=body,
        etag=str(body.get("etag", "")),
        state=str(properties.get("provisioningState", "Succeeded")),
        read_at=at,
    )
