"""One machine of the simulated network: where it is, what it can carry, whom it can reach."""

from __future__ import annotations

from typing import Any, Protocol

from dhtstore.model.contact import Address

NAT_MAPPING_S = 120.0  # RFC 4787 REQ-5: a UDP mapping lives at least two minutes
_MAPPINGS_KEPT_MAX = 4096
QUEUE_MAX_S = 1.0  # what a link's buffer holds; datagrams beyond are dropped


class Tenant(Protocol):
    """What runs at a machine and goes down with it."""

    def crash(self, *, silent: bool) -> None:
        """End at once; silent is a loss of power, otherwise the other ends are told."""


class Machine:
    """State of one address.  Bandwidths are bytes a second, None for no limit; ``slowness``
    multiplies the latency of all its links."""

    __slots__ = (
        "_mappings",
        "address",
        "asleep",
        "down_bytes_per_s",
        "down_free_at_s",
        "group",
        "ipv6",
        "place",
        "received_bytes",
        "sent_bytes",
        "sent_datagrams",
        "slowness",
        "tenants",
        "up_bytes_per_s",
        "up_free_at_s",
    )

    def __init__(self, address: Address, place: Any) -> None:
        self.address = address
        self.ipv6 = ":" in address.host
        self.place = place
        self.group = 0
        self.asleep = False
        self.slowness = 1.0
        self.tenants: dict[Tenant, None] = {}
        self.up_bytes_per_s: float | None = None
        self.down_bytes_per_s: float | None = None
        self.up_free_at_s = self.down_free_at_s = 0.0
        self.sent_bytes = self.received_bytes = self.sent_datagrams = 0
        self._mappings: dict[Address, float] | None = None

    def crash(self, *, silent: bool) -> None:
        """Take everything that runs here down, oldest first."""
        tenants, self.tenants = list(self.tenants), {}
        for tenant in tenants:
            tenant.crash(silent=silent)

    # --- bandwidth --------------------------------------------------------------------------

    def send_until_s(self, now_s: float, size_bytes: int) -> float:
        """Take the uplink for that many bytes after what queues already; when it is done."""
        self.sent_bytes += size_bytes
        if self.up_bytes_per_s is None:
            return now_s
        self.up_free_at_s = max(now_s, self.up_free_at_s) + size_bytes / self.up_bytes_per_s
        return self.up_free_at_s

    def receive_until_s(self, arrival_s: float, size_bytes: int, source: Machine) -> float:
        """Take the downlink for bytes from ``source`` whose last could arrive then; when the last
        has arrived.  The first came earlier by as long as the source's uplink took."""
        if self.down_bytes_per_s is None:
            return arrival_s
        sending_s = size_bytes / source.up_bytes_per_s if source.up_bytes_per_s else 0.0
        begin_s = max(arrival_s - sending_s, self.down_free_at_s)
        self.down_free_at_s = max(arrival_s, begin_s + size_bytes / self.down_bytes_per_s)
        return self.down_free_at_s

    def uplink_full(self, now_s: float) -> bool:
        return self.up_free_at_s - now_s > QUEUE_MAX_S

    def downlink_full(self, now_s: float) -> bool:
        return self.down_free_at_s - now_s > QUEUE_MAX_S

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
