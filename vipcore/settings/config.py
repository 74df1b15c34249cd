"""What the app is told: its settings and the mirrors document as one frozen value."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from vipcore.errors import Refusal
from vipcore.ledger.audit import Seal
from vipcore.model import Key, Mirror
from vipcore.settings.document import Fault

PUBLIC_CLOUD: Final = "https://management.azure.com"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Config:
    """Everything the app is told. It holds secrets, so it has no `repr` of its own."""

    mirrors: Mapping[str, Mirror] = field(default_factory=dict)
    faulty: Mapping[str, tuple[Fault, ...]] = field(default_factory=dict)
    """The mirrors that cannot be served, with their faults."""
    keys: Mapping[str, Key] = field(default_factory=dict)
    """By key id; a key with a fault is left out."""
    disabled_keys: Set[str] = frozenset()
    """The ids of the keys that the document names and that cannot be used, so that their claims are told so."""
    table: str = ""
    """The Table endpoint's URL, or a connection string."""
    table_name: str = "MirrorVip"
    arm_endpoint: str = PUBLIC_CLOUD
    arm_audience: str = PUBLIC_CLOUD
    client_id: str | None = None
    clock_skew_s: float = 30.0
    max_changes: int = 6
    max_changes_s: float = 600.0
    seal: Seal = field(default_factory=Seal)
    faults: tuple[Fault, ...] = ()
    """All of them, of the settings and of the mirrors document."""
    fatal: bool = False
    """Whether nothing can be served."""

    @property
    def status(self) -> str:
        """`ok`, `degraded` or `misconfigured`, as `/health` says it."""
        return "misconfigured" if self.fatal else "degraded" if self.faults else "ok"

    def check_usable(self) -> None:
        """Raises Refusal `configuration-invalid` where nothing can be served; the log has said which faults."""
        if self.fatal:
            where = ", ".join(sorted({fault.where for fault in self.faults})[:20])
            raise Refusal("configuration-invalid", f"The controller's settings are faulty ({where}); its log says what is wrong.")
