"""``[disk]``: what blocks and ledgers are kept on."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.params import BLOCK_SIZE_MAX_BYTES
from simulations.settings import choice, share, size


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """``memory`` survives crashes by itself; ``real`` is the store that nodes have (packs, index,
    ledger), for small worlds.  A machine that loses its power then loses the share
    ``unsynced_lost`` of what was not synced, and of lost writes the share ``torn`` comes in part.
    ``in_work`` is the share of crashes that befall a node while it writes; the others come between
    two steps of it.  Packs are left at ``pack_size``."""

    kind: str = choice("memory", "real")
    unsynced_lost: float = share("50 %")
    torn: float = share("50 %")
    in_work: float = share("50 %")
    pack_size_bytes: int = size("256 MiB", 2 * BLOCK_SIZE_MAX_BYTES)
