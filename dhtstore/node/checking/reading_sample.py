"""The sampled blocks of a unit that is kept here, read and hashed; in a worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dhtstore.content.dag.local import Leaves, unit_blocks
from dhtstore.errors import BlockDamaged, BlockMissing, IntegrityFailure, TimedOut
from dhtstore.model.cid import Cid
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.model.unit import Unit
from dhtstore.node.copies.completeness import Believed, Looked
from dhtstore.replication.auditing import Answer, sample
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.ledger.health.damage import Damage


@dataclass(frozen=True, slots=True)
class Pairing:
    """What ``auditor`` asks ``holder`` about."""

    network: Network
    nonce: bytes
    auditor: PublicKey
    holder: PublicKey


@dataclass(frozen=True, slots=True)
class SampleReader:
    """Reads what is in ``store``, apart from what ``damage`` knows of."""

    store: BlockStore
    damage: Damage

    def proof(self, asked: Pairing, unit: Unit, count: int, looked: Looked) -> tuple[bytes, int]:
        """The answer, and how many bytes were read for it; b"" where the unit is not here whole.
        Raises TimedOut if ``looked`` says so."""
        answer = Answer(asked.network, asked.nonce, asked.auditor, asked.holder, unit.name)
        read_bytes = 0
        try:
            for cid in self._sampled(asked.nonce, unit, count, looked):
                looked.at(1)
                block = self.store.get(cid)
                read_bytes += len(block)
                answer.take(cid.multihash, block)
        except TimedOut:
            raise
        except (BlockMissing, BlockDamaged, IntegrityFailure):
            return b"", read_bytes
        return answer.proof, read_bytes

    def _sampled(self, nonce: bytes, unit: Unit, count: int, looked: Looked) -> Iterator[Cid]:
        """Found by a walk for which all leaves must be in the index."""
        cids: dict[bytes, Cid] = {}
        for cid in unit_blocks(Believed(self.store, self.damage, looked), unit, Leaves.PRESENT):
            if cid.inlined is None:
                cids.setdefault(cid.multihash, cid)
        return (cids[each] for each in sample(nonce, unit.name, cids, count))
