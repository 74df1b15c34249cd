"""Ready-made worlds: the single mirror of the demo, and fleets."""

from __future__ import annotations

from typing import NamedTuple

from simulator.state.world import (
    SUBSCRIPTION,
    World,
    WorldConfig,
    WorldMember,
    WorldNic,
    WorldPlain,
    WorldPublicIp,
    WorldSubnet,
    WorldVm,
    WorldVnet,
)

_NSG = "Microsoft.Network/networkSecurityGroups"


def default() -> World:
    """One mirror of two members in two zones. MIRRORA is primary, and its NIC holds the VIP 10.0.0.254 with my_vip_ip."""
    return World(
        vnets=(WorldVnet(),),
        public_ips=(WorldPublicIp(name="my_vip_ip", address="20.51.0.254"),),
        vms=(WorldVm(name="MIRRORA", zone="1"), WorldVm(name="MIRRORB", zone="2")),
        others=(WorldPlain(type=_NSG, name="nsg"),),
        nics=(
            WorldNic(
                name="mirrora290_z1",
                vm="MIRRORA",
                nsg="nsg",
                configs=(
                    WorldConfig(name="ipconfig1", address="10.0.0.4"),
                    WorldConfig(name="vip", address="10.0.0.254", public_ip="my_vip_ip"),
                ),
            ),
            WorldNic(
                name="mirrorb280_z2",
                vm="MIRRORB",
                nsg="nsg",
                configs=(WorldConfig(name="ipconfig1", address="10.0.0.5"),),
            ),
        ),
        members=(WorldMember(name="MIRRORA", mode="primary"), WorldMember(name="MIRRORB", mode="backup")),
    )


class FleetMirror(NamedTuple):
    """The names of one mirror of a fleet. Its members are NAME-A, which holds the VIP at the start, and NAME-B."""

    name: str
    subscription: str
    nic_a: str
    nic_b: str
    private_ip: str
    public_ip: str


def fleet_subscription(number: int) -> str:
    """The id of a fleet's subscription; number 0 is the default world's."""
    return SUBSCRIPTION if number == 0 else f"00000000-0000-0000-0000-{number:012d}"


def fleet_mirror(number: int, subscriptions: int = 1) -> FleetMirror:
    """The names and addresses of mirror `number` (from 0) of a fleet in this many subscriptions."""
    name = f"M{number:05d}"
    return FleetMirror(
        name,
        fleet_subscription(number % subscriptions),
        f"{name.lower()}-a",
        f"{name.lower()}-b",
        _fleet_address(number // subscriptions, 2),
        f"{name.lower()}-ip",
    )


def _fleet_address(place: int, which: int) -> str:
    value = (10 << 24) + 16 + place * 4 + which
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def fleet(n: int, subscriptions: int = 1, *, public_ip: bool = False) -> World:
    """A world of n mirrors, spread evenly over the subscriptions, each VIP on member A. public_ip: whether VIPs have one."""
    used = tuple(fleet_subscription(i) for i in range(subscriptions))
    vms, nics, pips, members = [], [], [], []
    for number in range(n):
        mirror = fleet_mirror(number, subscriptions)
        place, sub = number // subscriptions, mirror.subscription
        pip = mirror.public_ip if public_ip else ""
        if pip:
            pips.append(WorldPublicIp(name=pip, subscription=sub))
        for side, nic in enumerate((mirror.nic_a, mirror.nic_b)):
            vm = f"{mirror.name}-{'AB'[side]}"
            vms.append(WorldVm(name=vm, zone=str(side + 1), subscription=sub))
            own = WorldConfig(name="ipconfig1", address=_fleet_address(place, side))
            vip = WorldConfig(name="vip", address=mirror.private_ip, public_ip=pip)
            configs = (own,) if side else (own, vip)
            nics.append(WorldNic(name=nic, vm=vm, configs=configs, subscription=sub))
            members.append(WorldMember(name=vm, mode="backup" if side else "primary"))
    vnets = tuple(WorldVnet(prefixes=("10.0.0.0/8",), subnets=(WorldSubnet(prefix="10.0.0.0/9"),), subscription=s) for s in used)
    return World(
        subscriptions=used,
        vnets=vnets,
        vms=tuple(vms),
        nics=tuple(nics),
        public_ips=tuple(pips),
        members=tuple(members),
    )
