"""What was sent beside what was wanted."""

from __future__ import annotations

from simulations.checks.checker import Checker
from simulations.checks.world_view import WorldView


class ServedOnce(Checker):
    """Nodes send not much more of blocks than users and holders wanted: what a get asks of a second
    holder is bounded."""

    name = "served_once"
    blind_to = (
        "single operations; up to twice what was wanted, since damage is mended and what fails or "
        "is cut off comes in part; handshakes and datagrams; what was sent by nodes that stopped"
    )
    _TIMES_MAX = 2.0
    _ALWAYS_BYTES = 4 << 20

    def check(self, world: WorldView) -> list[str]:
        sent_bytes = sum(world.served_bytes(node) for node in world.nodes_up())
        wanted_bytes = world.journal.wanted_bytes
        if sent_bytes <= self._TIMES_MAX * wanted_bytes + self._ALWAYS_BYTES:
            return []
        return [f"{sent_bytes >> 20} MiB of blocks were sent, {wanted_bytes >> 20} were wanted"]
