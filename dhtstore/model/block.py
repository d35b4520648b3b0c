"""A block: immutable bytes with the CID that names them."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.model.cid import RAW, Cid
from dhtstore.params import STORED_BLOCK_BYTES, USUAL_MULTIHASH_BYTES


@dataclass(frozen=True, slots=True)
class Block:
    """``data`` hashes to ``cid``: whoever builds one has computed or verified that."""

    cid: Cid
    data: bytes | bytearray | memoryview

    @classmethod
    def of(cls, data: bytes, codec: int = RAW) -> Block:
        return cls(Cid.of(data, codec), data)


def stored_bytes(cid: Cid, length: int) -> int:
    """What a block of ``length`` bytes takes on a holder's disk, its index row included: the unit
    of quotas, reservations and receipts.  The same on every node, so that both ends of an offer
    count alike; an inlined one takes nothing."""
    if cid.inlined is not None:
        return 0
    longer_bytes = max(0, len(cid.multihash) - USUAL_MULTIHASH_BYTES)
    return length + STORED_BLOCK_BYTES + 2 * longer_bytes  # it stands in the pack and in the index
