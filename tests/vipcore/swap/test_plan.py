"""The plan: whatever is found, and wherever an earlier process died, the same rules lead to every VIP on desired."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vipcore.arm import nic
from vipcore.errors import InvariantBroken, NoToken
from vipcore.model import Member, Mirror, Missing, Nic, Observation, Seen, Unreadable, Vip
from vipcore.swap import plan
from vipcore.swap.plan import Blocked, Kind, Plan, Step

NETWORK = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network"
MEMBERS = ("A", "B", "C")
VIPS = (
    Vip(name="vip1", private_ip="10.0.0.201", public_ip_id=f"{NETWORK}/publicIPAddresses/pip"),
    Vip(name="vip2", private_ip="10.0.0.202"),
    Vip(name="vip3", private_ip="fd00::3"),
)
MIRROR = Mirror(name="PROD", members=tuple(Member(name=m, nic_id=f"{NETWORK}/networkInterfaces/{m}") for m in MEMBERS), vips=VIPS)


class Azure:
    """Azure's rules, as far as a plan can meet them: an address and a public IP are on one NIC, a primary stays."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.states = dict.fromkeys(MEMBERS, "Succeeded")
        for number, member in enumerate(MEMBERS, 4):
            primary = self._entry("ipconfig1", f"10.0.0.{number}", primary=True)
            own = self._entry("other", f"10.0.0.1{number}")
            self.documents[member] = {"properties": {"ipConfigurations": [primary, own], "nicType": "Standard"}}

    @staticmethod
    def _entry(name: str, address: str, *, primary: bool = False, public: str | None = None) -> dict[str, Any]:
        properties: dict[str, Any] = {"privateIPAddress": address, "primary": primary, "subnet": {"id": "s"}}
        if public:
            properties["publicIPAddress"] = {"id": public}
        return {"name": name, "properties": properties}

    def hold(self, member: str, vip: Vip, *, address: str | None = None) -> None:
        """Let a NIC hold a configuration of a VIP's name, right or (with an address) not as it is defined."""
        entry = self._entry(vip.name, address or vip.private_ip, public=None if address else vip.public_ip_id)
        self.documents[member]["properties"]["ipConfigurations"].append(entry)

    def observed(self, unseen: Mapping[str, Observation] | None = None) -> dict[str, Observation]:
        """What a read of every NIC shows now."""
        shown: dict[str, Observation] = {
            member.name: Nic(
                id=member.nic_id,
                document=copy.deepcopy(self.documents[member.name]),
                etag="",
                state=self.states[member.name],
                read_at=0.0,
            )
            for member in MIRROR.members
        }
        return {**shown, **(unseen or {})}

    def carry_out(self, step: Step) -> None:
        """One NIC write, as the app makes it of a step. Raises AssertionError where Azure would refuse it."""
        look = self.observed()[step.member]
        assert isinstance(look, Nic)
        if step.kind is Kind.DETACH:
            assert not any(nic.is_primary(look.document, name) for name in step.vips), "a primary cannot be detached"
            document = nic.detached(look, [vip for vip in VIPS if vip.name in step.vips])
        elif step.kind is Kind.ATTACH:
            document = nic.attached(look, [vip for vip in VIPS if vip.name in step.vips])
        else:
            document = look.document
        self.documents[step.member] = document
        self.states[step.member] = "Succeeded"
        held: list[str] = []
        for other in self.documents.values():
            for entry in nic.configurations(other):
                public = nic.referred(entry, "publicIPAddress") or entry["name"] + str(id(other))
                held += [entry["properties"]["privateIPAddress"], public]
        assert len(held) == len(set(held)), "an address or a public IP would be on two NICs"

    def wait(self) -> None:
        """Time passes: what was being updated has ended."""
        self.states = {member: "Succeeded" if state == "Updating" else state for member, state in self.states.items()}


@st.composite
def found(draw: st.DrawFn) -> Azure:
    """Any placement: each VIP on one member, on none, or there under its name with a wrong address; NICs in any state."""
    azure = Azure()
    for number, vip in enumerate(VIPS):
        for member in draw(st.lists(st.sampled_from(MEMBERS), unique=True, max_size=2)):
            azure.hold(member, vip, address=f"10.0.9.{number}{MEMBERS.index(member)}")
        free = [member for member in MEMBERS if not nic.named(azure.documents[member], vip.name)]
        holder = draw(st.sampled_from([None, *free]))
        if holder:
            azure.hold(holder, vip)
    azure.states = {member: draw(st.sampled_from(["Succeeded", "Succeeded", "Updating", "Failed"])) for member in MEMBERS}
    return azure


@pytest.mark.slow
@settings(max_examples=300)
@given(found(), st.sampled_from(MEMBERS), st.data())
def test_every_state_leads_to_the_vips_on_desired(azure: Azure, desired: str, data: st.DataObject) -> None:
    """From any placement, also when each attempt dies after any prefix of its steps, everything ends on desired. (I1)"""
    others = {member: copy.deepcopy(azure.documents[member]) for member in MEMBERS}
    for attempt in range(12):
        planned = plan.plan(MIRROR, azure.observed(), desired)
        assert isinstance(planned, Plan)
        plan.check_invariants(MIRROR, planned, desired)
        if planned.done:
            break
        dies_after = data.draw(st.integers(0, len(planned.steps)), "dies after") if attempt < 8 else len(planned.steps)
        for step in planned.steps[:dies_after]:
            azure.carry_out(step)
        azure.wait()

    seen = plan.placement(MIRROR, azure.observed())
    assert (seen.state, seen.members) == (Seen.PLACED, (desired,))
    assert azure.states[desired] == "Succeeded"
    for member in MEMBERS:
        assert nic.differences(others[member], azure.documents[member], VIPS) == []


@given(found(), st.sampled_from(MEMBERS), st.sets(st.sampled_from(MEMBERS)), st.booleans())
def test_nic_that_could_not_be_read_is_never_taken_for_empty(azure: Azure, desired: str, hidden: set[str], absent: bool) -> None:
    """With NICs unread, either nothing is planned, or what is planned is right whatever the hidden NICs carry. (I9)"""
    unseen: dict[str, Observation] = {
        m: Missing(id=m, read_at=0.0) if absent else Unreadable(id=m, error=TimeoutError("away")) for m in hidden
    }
    observed = azure.observed(unseen)
    seen = plan.placement(MIRROR, observed)
    planned = plan.plan(MIRROR, observed, desired)

    if not absent and hidden:
        assert seen.state in (Seen.UNKNOWN, Seen.PLACED)
    if desired in hidden:
        assert isinstance(planned, Blocked)
    if isinstance(planned, Blocked):
        assert absent or set(planned.unread) == hidden
        return
    plan.check_invariants(MIRROR, planned, desired)
    assert not {step.member for step in planned.steps} & hidden
    assume(not absent)
    for step in planned.steps:
        azure.carry_out(step)


def test_vip_that_might_be_on_a_nic_that_could_not_be_read_stops_everything() -> None:
    """A VIP that no read showed may be on the NIC that was not read: nothing is attached on a guess, nothing detached. (I9)"""
    azure = Azure()
    azure.hold("B", VIPS[0])
    azure.hold("B", VIPS[1])

    planned = plan.plan(MIRROR, azure.observed({"C": Unreadable(id="C", error=TimeoutError("away"))}), "A")

    assert isinstance(planned, Blocked)
    assert planned.unread == ("C",)


def test_what_is_answered_names_the_identity_where_it_gave_no_token() -> None:
    """An operator who reads of a NIC alone would look in the wrong place."""
    observed = Azure().observed({"B": Unreadable(id="B", error=NoToken("the endpoint says HTTP 429"))})
    blocked = plan.plan(MIRROR, observed, "B")

    assert isinstance(blocked, Blocked)
    refused = plan.refusal(observed, blocked)
    assert (refused.code, refused.status) == ("identity-unavailable", 503)
    assert "HTTP 429" in refused.detail


def test_plain_swap_is_one_write_per_nic() -> None:
    """All VIPs, private and public, leave the old holder in one write and reach the new one in one write."""
    azure = Azure()
    for vip in VIPS:
        azure.hold("A", vip)

    planned = plan.plan(MIRROR, azure.observed(), "B")

    assert isinstance(planned, Plan)
    assert planned.steps == (
        Step(kind=Kind.DETACH, member="A", vips=("vip1", "vip2", "vip3")),
        Step(kind=Kind.ATTACH, member="B", vips=("vip1", "vip2", "vip3")),
    )
    assert plan.placement(MIRROR, azure.observed()).holder == "A"


def test_split_vips_are_brought_together() -> None:
    """VIPs on two members are a split; each old holder is written once, side by side, then desired."""
    azure = Azure()
    azure.hold("A", VIPS[0])
    azure.hold("B", VIPS[1])

    observed = azure.observed()
    planned = plan.plan(MIRROR, observed, "C")

    assert plan.placement(MIRROR, observed).state is Seen.SPLIT
    assert isinstance(planned, Plan)
    assert [str(step) for step in planned.steps] == ["detach vip1 from A", "detach vip2 from B", "attach vip1, vip2, vip3 on C"]


def test_vips_on_nobody_are_attached() -> None:
    """A VIP that is on no NIC is unplaced; one write puts it on desired."""
    observed = Azure().observed()
    planned = plan.plan(MIRROR, observed, "A")

    assert plan.placement(MIRROR, observed).state is Seen.UNPLACED
    assert isinstance(planned, Plan)
    assert planned.steps == (Step(kind=Kind.ATTACH, member="A", vips=("vip1", "vip2", "vip3")),)


def test_address_of_a_primary_configuration_is_not_ours_to_take() -> None:
    """A NIC's primary configuration that has a VIP's address stops the plan, and the plan names who holds it. (I10)"""
    azure = Azure()
    azure.documents["B"]["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] = VIPS[0].private_ip

    observed = azure.observed()
    planned = plan.plan(MIRROR, observed, "A")

    assert plan.placement(MIRROR, observed).state is Seen.FOREIGN
    assert isinstance(planned, Blocked)
    first = azure.documents["B"]["properties"]["ipConfigurations"][0]["name"]
    assert planned.taken_by == f"{NETWORK}/networkInterfaces/B/ipConfigurations/{first}"


def test_address_under_another_name_is_the_vip_renamed() -> None:
    """A secondary configuration at a VIP's address is the VIP under an older name: it is detached and attached like any other."""
    azure = Azure()
    azure.documents["B"]["properties"]["ipConfigurations"][1]["properties"]["privateIPAddress"] = VIPS[0].private_ip

    planned = plan.plan(MIRROR, azure.observed(), "A")

    assert isinstance(planned, Plan)
    assert planned.detaches == (Step(kind=Kind.DETACH, member="B", vips=("vip1",)),)


@pytest.mark.parametrize("desired", ["A", "B"])
def test_vips_that_have_each_others_address_are_put_right(desired: str) -> None:
    """Two of the mirror's own names with swapped addresses are no stranger's: they are rewritten, or detached and attached."""
    azure = Azure()
    azure.hold("A", VIPS[0], address=VIPS[1].private_ip)
    azure.hold("A", VIPS[1], address=VIPS[0].private_ip)

    planned = plan.plan(MIRROR, azure.observed(), desired)

    assert isinstance(planned, Plan)
    detaches = [] if desired == "A" else ["detach vip1, vip2 from A"]
    assert [str(step) for step in planned.steps] == [*detaches, f"attach vip1, vip2, vip3 on {desired}"]


def test_primary_configuration_is_never_detached() -> None:
    """A NIC whose primary configuration has a VIP's name cannot be helped by us: the reason says so."""
    azure = Azure()
    azure.documents["B"]["properties"]["ipConfigurations"][0]["name"] = "VIP1"

    planned = plan.plan(MIRROR, azure.observed(), "A")

    assert isinstance(planned, Blocked)
    assert "primary" in planned.reason


@pytest.mark.parametrize(
    ("state", "done", "kinds"), [("Succeeded", True, []), ("Updating", False, []), ("Failed", False, [Kind.REPAIR])]
)
def test_everything_in_place(state: str, done: bool, kinds: list[Kind]) -> None:
    """With every VIP on desired it is done once its NIC has `Succeeded`: `Updating` is waited for, `Failed` put back as it is."""
    azure = Azure()
    for vip in VIPS:
        azure.hold("A", vip)
    azure.states["A"] = state

    planned = plan.plan(MIRROR, azure.observed(), "A")

    assert isinstance(planned, Plan)
    assert (planned.done, [step.kind for step in planned.steps]) == (done, kinds)


def test_invariants_are_checked() -> None:
    """A plan that touches what is not ours, or detaches from desired, is a defect and is said to be one."""
    wrong = [
        Plan(detaches=(Step(kind=Kind.DETACH, member="A", vips=("vip1",)),)),
        Plan(attach=Step(kind=Kind.ATTACH, member="B", vips=("vip1",))),
        Plan(attach=Step(kind=Kind.ATTACH, member="A", vips=("other",))),
    ]
    for planned in wrong:
        with pytest.raises(InvariantBroken):
            plan.check_invariants(MIRROR, planned, "A")
