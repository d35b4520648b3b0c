"""One machine of the simulated network: where it is, what it can carry, whom it can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dhtstore.model.contact import Address

if TYPE_CHECKING:
    from simulations.streams import SimStreamTransport


class Machine:
    """State of one address.  Bandwidths are bytes a second, None for no limit."""

    __slots__ = (
        "address",
        "down_bytes_per_s",
        "down_free_at_s",
        "group",
        "listener",
        "place",
        "transports",
        "up_bytes_per_s",
        "up_free_at_s",
    )

    def __init__(self, address: Address, place: Any) -> None:
        self.address = address
        self.place = place
        self.group = 0
        self.listener: SimStreamTransport | None = None
        self.transports: dict[SimStreamTransport, None] = {}
        self.up_bytes_per_s: float | None = None
        self.down_bytes_per_s: float | None = None
        self.up_free_at_s = 0.0
        self.down_free_at_s = 0.0

    def crash(self, *, silent: bool) -> None:
        """Lose the listener and every stream."""
        transports, self.transports, self.listener = list(self.transports), {}, None
        for transport in transports:
            transport.crash(silent=silent)

    def send_until_s(self, now_s: float, size_bytes: int) -> float:
        """Take the uplink for that many bytes after what queues already; when it is done."""
        if self.up_bytes_per_s is None:
            return now_s
        self.up_free_at_s = max(now_s, self.up_free_at_s) + size_bytes / self.up_bytes_per_s
        return self.up_free_at_s

    def receive_until_s(self, arrival_s: float, size_bytes: int) -> float:
        """Take the downlink for bytes whose last could arrive then; when the last has arrived."""
        if self.down_bytes_per_s is None:
            return arrival_s
        free_s = self.down_free_at_s + size_bytes / self.down_bytes_per_s
        self.down_free_at_s = max(arrival_s, free_s)
        return self.down_free_at_s
