"""One machine of the simulated network: where it is, what it can carry, whom it can reach."""

from __future__ import annotations

from typing import Any, Protocol

from dhtstore.model.contact import Address
from simulations.world.network.line import PIECE_MAX_BYTES, Line, Timers

NAT_MAPPING_S = 120.0  # RFC 4787 REQ-5: a UDP mapping lives at least two minutes
_MAPPINGS_KEPT_MAX = 4096


class Tenant(Protocol):
    """What runs at a machine and goes down with it."""

    def crash(self, *, silent: bool) -> None:
        """End at once; silent is a loss of power, otherwise the other ends are told."""


class Machine:
    """State of one address.  ``up`` and ``down`` are the two directions of its access line, None
    where nothing limits it; ``slowness`` multiplies the latency of all its links; ``side`` is the
    side of a partition that it is on."""

    __slots__ = (
        "_loop",
        "_mappings",
        "address",
        "asleep",
        "down",
        "ipv6",
        "place",
        "received_bytes",
        "sent_bytes",
        "sent_datagrams",
        "side",
        "slowness",
        "streamed_bytes",
        "tenants",
        "up",
    )

    def __init__(self, address: Address, place: Any, loop: Timers) -> None:
        self._loop = loop
        self.address = address
        self.ipv6 = ":" in address.host
        self.place = place
        self.side = 0
        self.asleep = False
        self.slowness = 1.0
        self.tenants: dict[Tenant, None] = {}
        self.up: Line | None = None
        self.down: Line | None = None
        self.sent_bytes = self.received_bytes = self.sent_datagrams = 0
        self.streamed_bytes = 0  # of those that were sent
        self._mappings: dict[Address, float] | None = None

    def crash(self, *, silent: bool) -> None:
        """Take everything that runs here down, oldest first."""
        tenants, self.tenants = list(self.tenants), {}
        for tenant in tenants:
            tenant.crash(silent=silent)
        for line in (self.up, self.down):
            if line is not None:
                line.clear()

    # --- bandwidth --------------------------------------------------------------------------

    @property
    def up_bytes_per_s(self) -> float | None:
        """What it can send, bytes a second; None for no limit."""
        return self.up.bytes_per_s if self.up is not None else None

    @up_bytes_per_s.setter
    def up_bytes_per_s(self, rate: float | None) -> None:
        self.up = self._line(self.up, rate)

    @property
    def down_bytes_per_s(self) -> float | None:
        """What it can receive."""
        return self.down.bytes_per_s if self.down is not None else None

    @down_bytes_per_s.setter
    def down_bytes_per_s(self, rate: float | None) -> None:
        self.down = self._line(self.down, rate)

    def _line(self, line: Line | None, rate: float | None) -> Line | None:
        if line is not None:
            line.bytes_per_s = rate
        elif rate is not None:
            line = Line(self._loop, rate)
        return line

    @property
    def piece_up_bytes(self) -> int:
        """How much of a stream leaves in one go."""
        return self.up.piece_bytes if self.up is not None else PIECE_MAX_BYTES

    @property
    def piece_down_bytes(self) -> int:
        return self.down.piece_bytes if self.down is not None else PIECE_MAX_BYTES

    # --- address translation ----------------------------------------------------------------

    def hide(self) -> None:
        """Put it behind a NAT: nobody can dial it, and it hears datagrams only from addresses it
        has sent to in the last two minutes (address and port dependent filtering)."""
        self._mappings = {}

    @property
    def diallable(self) -> bool:
        return self._mappings is None

    def note_sent(self, to: Address, now_s: float) -> None:
        """Keep the way back open."""
        if self._mappings is not None:
            self._mappings[to] = now_s
            if len(self._mappings) > _MAPPINGS_KEPT_MAX:
                oldest = now_s - NAT_MAPPING_S
                self._mappings = {a: s for a, s in self._mappings.items() if s >= oldest}

    def hears(self, source: Address, now_s: float) -> bool:
        """Whether a datagram from there passes the NAT."""
        if self._mappings is None:
            return True
        return now_s - self._mappings.get(source, float("-inf")) <= NAT_MAPPING_S
