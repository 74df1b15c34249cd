"""Small worlds with one mirror, and their mirrors documents. They are small because a sweep makes thousands of them."""

from functools import lru_cache
from typing import Any

from simulator.state.world import World, WorldConfig, WorldNic, WorldPlain, WorldPublicIp, WorldVm, WorldVnet

SUB = "00000000-0000-0000-0000-000000000000"
MEMBERS = ("MIRRORA", "MIRRORB", "MIRRORC")
ADDRESSES = ("10.0.0.254", "10.0.0.253", "10.0.0.252")


SIDE, SIDE_ADDRESS = "SIDE", "10.0.0.200"
"""A second mirror of two members, on NICs of its own or on the first two of PROD."""


@lru_cache(maxsize=256)
def world(
    members: int = 2,
    vips: int = 1,
    *,
    public: bool = False,
    holder: int | None = 0,
    split: bool = False,
    side: str = "",
    own_pips: bool = False,
) -> World:
    """A virtual network, a NIC with a running VM per member, planted properties, and the VIPs on the holder's NIC.

    `holder` None: the VIPs are on nobody. `split`: the second VIP is on the next member's NIC instead. `side`: whether the
    mirror SIDE is there too, on `shared` NICs or on its `own`; its VIP is on its second member. `own_pips`: each NIC has a
    public IP of its own too, `own0` and so on.
    """

    def configs(index: int) -> tuple[WorldConfig, ...]:
        mine = [WorldConfig(name="ipconfig1", address=f"10.0.0.{4 + index}", public_ip=f"own{index}" if own_pips else "")]
        if index == 1 and side == "shared":
            mine.append(WorldConfig(name="side", address=SIDE_ADDRESS))
        for number in range(vips):
            at = None if holder is None else (holder + (1 if split and number == 1 else 0)) % members
            if at == index:
                pip = "pip" if public and number == 0 else ""
                mine.append(WorldConfig(name=f"vip{number}", address=ADDRESSES[number], public_ip=pip))
        return tuple(mine)

    own = side == "own"
    side_nics = tuple(
        WorldNic(
            name=f"nic-s{letter}",
            vm=f"SIDE{letter.upper()}",
            configs=(
                WorldConfig(name="ipconfig1", address=f"10.0.0.{11 + index}"),
                *((WorldConfig(name="side", address=SIDE_ADDRESS),) if index == 1 else ()),
            ),
        )
        for index, letter in enumerate("ab")
    )
    planted = {"tags": {"owner": "somebody"}, "properties": {"enableIPForwarding": True, "futureProperty": {"kept": [1, 2]}}}
    return World(
        vnets=(WorldVnet(),),
        public_ips=(
            *((WorldPublicIp(name="pip", address="20.51.0.254"),) if public else ()),
            *(WorldPublicIp(name=f"own{index}") for index in range(members if own_pips else 0)),
        ),
        vms=tuple(WorldVm(name=name) for name in (*MEMBERS[:members], *(("SIDEA", "SIDEB") if own else ()))),
        others=(WorldPlain(type="Microsoft.Network/networkSecurityGroups", name="nsg"),),
        nics=tuple(
            WorldNic(name=f"nic-{name[-1].lower()}", vm=name, nsg="nsg", configs=configs(index), document=planted)
            for index, name in enumerate(MEMBERS[:members])
        )
        + (side_nics if own else ()),
    )


@lru_cache(maxsize=256)
def _document(
    members: int, vips: int, public: bool, extra: tuple[tuple[str, Any], ...], pages: bool, crowd: int, side: str
) -> dict[str, Any]:
    defined: dict[str, Any] = {}
    for name in MEMBERS[:members]:
        defined[name] = {"nic": f"nic-{name[-1].lower()}"}
        if pages:
            defined[name]["status_url"] = f"http://10.0.0.{4 + len(defined)}/csp/bin/mirror_status.cxw"
    listed = [{"name": f"vip{number}", "private_ip": ADDRESSES[number]} for number in range(vips)]
    if public:
        listed[0]["public_ip"] = "pip"
    mirror = {"members": defined, "vips": listed, **dict(extra)}
    others = {
        f"IDLE{number}": {
            "members": {"A": {"nic": f"idle{number}a"}, "B": {"nic": f"idle{number}b"}},
            "vips": [{"name": "vip", "private_ip": f"10.1.{number // 250}.{number % 250 + 4}"}],
        }
        for number in range(crowd)
    }
    if side:
        nics = ("nic-a", "nic-b") if side == "shared" else ("nic-sa", "nic-sb")
        others[SIDE] = {
            "members": {"SIDEA": {"nic": nics[0]}, "SIDEB": {"nic": nics[1]}},
            "vips": [{"name": "side", "private_ip": SIDE_ADDRESS}],
        }
    return {"defaults": {"subscription_id": SUB, "resource_group": "rg"}, "mirrors": {"PROD": mirror, **others}}


def document(
    members: int = 2,
    vips: int = 1,
    *,
    public: bool = False,
    pages: bool = False,
    crowd: int = 0,
    side: str = "",
    **extra: Any,
) -> dict[str, Any]:
    """The mirrors document of such a world. `extra`: more members of the mirror, such as `strategy`.

    `crowd`: so many other mirrors that nobody ever claims: with them the timer comes by without a hint only now and then.
    `side`: as in `world`.
    """
    return _document(members, vips, public, tuple(sorted(extra.items())), pages, crowd, side)
