"""`POST /mirrors/{mirror}/claims`: a member says that it has become primary. It is verified, then judged and carried out.

The order of the checks is fixed: size, signature, freshness, rate, body, whom the key speaks for. Until the signature is
verified nothing is read from the table (but, by the first request of a process, what time it is), and nothing is written to it
but a count of refused signatures, once a minute: a flood without a key costs an HMAC. From then on a refusal is written into
the trail of the key's own mirror, so that nobody learns anything about other mirrors.
"""

from vipcore import instants
from vipcore.decision import readiness, rules
from vipcore.decision.controller import Controller, storage_needed
from vipcore.decision.decide import carry_out
from vipcore.decision.judge import refuse
from vipcore.decision.request import Request
from vipcore.entry import bodies, freezes, signatures
from vipcore.errors import Refusal
from vipcore.ledger.audit import Caller
from vipcore.model import Claim, Json, Key


async def claim(controller: Controller, http_request: signatures.HttpRequest, mirror_name: str, correlation_id: str) -> Json:
    """The outcome of the claim, or for a dry run what it would do. Raises Refusal."""
    controller.config.check_usable()
    with storage_needed():
        arrived = await controller.store.arrival()
    bodies.check_size(http_request.body)
    try:
        signed = signatures.verify(http_request, controller.config.keys, controller.config.disabled_keys)
        signed.check_fresh(arrived, controller.config.clock_skew_s)
    except Refusal as refusal:
        if refusal.status == 401:
            await controller.admission.count(refusal.code)
        raise
    key, caller = signed.key, Caller(f"key:{signed.key.key_id}", correlation_id)
    controller.admission.take_turn(key.key_id)
    try:
        asked = bodies.claim(http_request.body, signed, arrived)
        _check_addressed(key, asked, mirror_name)
    except Refusal as refusal:
        if not bodies.is_dry_run(http_request.body):
            await _refuse_unread(controller, key, refusal, caller)
        raise
    mirror = controller.mirror(asked.mirror)
    if asked.dry_run:
        controller.admission.hear(asked.mirror, asked.member, arrived)
        return await _planned(controller, asked)
    # Made before the wait, so that the wait is part of the request's time.
    request = Request(mirror=mirror, member=asked.member, began=asked.began, caller=caller, claim=asked)
    async with controller.admission.admitted():
        controller.admission.hear(asked.mirror, asked.member, arrived)
        return (await carry_out(controller, request)).view()


def _check_addressed(key: Key, asked: Claim, mirror_name: str) -> None:
    """A key speaks for its own member of its own mirror (I6). Raises Refusal `key-not-for-member`."""
    if (asked.mirror, asked.member, mirror_name) != (key.mirror, key.member, key.mirror):
        raise Refusal("key-not-for-member", f"Key {key.key_id} is not for the mirror and member that this request names.")


async def _refuse_unread(controller: Controller, key: Key, refusal: Refusal, caller: Caller) -> None:
    """Write down, in the key's own mirror, a claim that never got as far as its mirror's rules."""
    mirror = controller.config.mirrors.get(key.mirror)
    if mirror is None:
        return
    now = controller.clock.now()
    unread = Claim(mirror=key.mirror, member=key.member, claim_id="", key_id=key.key_id, issued_at=now, began=now, event="manual")
    request = Request(mirror=mirror, member=key.member, began=now, caller=caller, claim=unread)
    with storage_needed():
        head = await controller.ledger.load_head(mirror.name)
        await refuse(controller, request, head, refusal)


async def _planned(controller: Controller, asked: Claim) -> Json:
    """A claim's dry run: verified like any other, spends nothing, reads the head alone."""
    head = await controller.load_head(asked.mirror)
    if replayed := rules.replayed(head, asked):
        await controller.admission.count(replayed.code)
        raise replayed
    now, seen = controller.clock.now(), readiness.last_seen(head)
    own = readiness.verdict(controller, head, asked.member, now)
    return {
        "outcome": "planned",
        "desired": head.desired,
        "epoch": head.epoch,
        "frozen": freezes.view(head, now),
        "in_progress": {"operation_id": head.swap.operation_id, "to": head.desired} if head.swap else None,
        "holder": seen[0].holder if seen else None,
        "holder_seen_at": instants.to_text(seen[1]) if seen else None,
        "ready": own.ready,
        "reasons": list(own.reasons),
        "vips": [{"name": vip.name, "private_ip": vip.private_ip} for vip in controller.mirror(asked.mirror).vips],
    }
