"""A measurement, not a test: does the time of a refusal depend on how much of the signature is right, or on the key id?

`python -m tests.fuzz.timing [rounds]` prints medians and Welch's t between classes of forged requests, measured in random order
in one process. |t| below about 4.5 (the usual threshold of such tests) says that no difference was found.
"""

import base64
import gc
import random
import statistics
import sys
import time
from typing import Final

from tests.served.http.http_client import signed
from vipcore.entry import signatures
from vipcore.errors import Refusal
from vipcore.model import Key

SECRET: Final = bytes(range(32))
KEYS: Final = {"mirrora-1": Key(key_id="mirrora-1", mirror="PROD", member="MIRRORA", secret=SECRET)}
PATH: Final = "/api/mirrors/PROD/claims"
BODY: Final = b'{"mirror": "PROD"}'


def forged(wrong_byte: int | None, key_id: str = "mirrora-1") -> signatures.HttpRequest:
    """A request whose signature differs from the genuine one in that byte only."""
    headers = {
        name.lower(): value
        for name, value in signed("POST", PATH, BODY, key_id=key_id, secret=SECRET, created=1_790_000_000, nonce="n").items()
    }
    value = bytearray(base64.b64decode(headers["signature"].partition(":")[2][:-1]))
    if wrong_byte is not None:
        value[wrong_byte] ^= 0x55
    headers["signature"] = f"sig=:{base64.b64encode(value).decode()}:"
    return signatures.HttpRequest(method="POST", url=f"https://x{PATH}", headers=headers, body=BODY)


CLASSES: Final = {
    "first byte wrong": forged(0),
    "first byte wrong again": forged(0),
    "middle byte wrong": forged(16),
    "last byte wrong": forged(31),
    "key id unknown": forged(0, "mirrorx-9"),
}


def measured(request: signatures.HttpRequest) -> int:
    """Nanoseconds until it is refused."""
    started = time.perf_counter_ns()
    try:
        signatures.verify(request, KEYS)
    except Refusal:
        return time.perf_counter_ns() - started
    raise AssertionError("a forged request was taken for genuine")


def main(rounds: int) -> None:
    """Measure and print."""
    times: dict[str, list[int]] = {name: [] for name in CLASSES}
    order = list(CLASSES)
    gc.disable()
    for number in range(rounds + 200):
        random.shuffle(order)
        for name in order:
            took = measured(CLASSES[name])
            if number >= 200:
                times[name].append(took)
    base = _trimmed(times["first byte wrong"])
    print(f"{rounds} rounds; slowest 5 % of each class left out")
    for name, values in times.items():
        kept = _trimmed(values)
        print(f"{name:24} median {statistics.median(kept) / 1000:8.2f} us   t against the first {_welch(base, kept):6.2f}")


def _trimmed(values: list[int]) -> list[int]:
    return sorted(values)[: int(len(values) * 0.95)]


def _welch(one: list[int], other: list[int]) -> float:
    spread = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.fmean(one) - statistics.fmean(other)) / (spread**0.5) if spread else 0.0


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
