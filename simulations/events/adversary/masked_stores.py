"""The disks of nodes that take nothing, lose what they took, or hold something else out."""

from __future__ import annotations

from dhtstore.errors import BlockMissing, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Clock
from dhtstore.store.blocks.contract import Batch, BlockStore, Lend, Reservation
from dhtstore.store.blocks.faulty import FaultyBatch, FaultyBlockStore
from dhtstore.store.blocks.lent import Bytes
from simulations.events.adversary.answers import Mask


class MaskedStore(FaultyBlockStore):
    """Gives peers (``read``) something else than its own node sees."""

    def __init__(self, inner: BlockStore, mask: Mask) -> None:
        super().__init__(inner)
        self._mask = mask

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        return self._inner.get(cid, afresh=afresh)


class LiarsStore(MaskedStore):
    """Other bytes of the same length."""

    def read(self, cid: Cid, lend: Lend | None = None) -> bytes:
        data = super().read(cid)
        return bytes(byte ^ 0xFF for byte in data[:1]) + data[1:] if self._mask.acts() else data


class RefusingStore(MaskedStore):
    """Has no room for anybody, and gives nothing."""

    def reserve(self, size_bytes: int, *, at_least: bool = False, blocks: int = 0) -> Reservation:
        if self._mask.acts():
            raise NoRoom("this node takes nothing")
        return super().reserve(size_bytes, at_least=at_least, blocks=blocks)

    def read(self, cid: Cid, lend: Lend | None = None) -> bytes:
        if self._mask.acts():
            raise BlockMissing(f"block {cid} is not given")
        return super().read(cid, lend)


class ForgetfulStore(MaskedStore):
    """Takes every block and has none that came more than ``after_s`` ago: neither for who fetches
    nor for who asks whether it is whole.  What its node reads afresh, to find what rotted, is
    there, or it would notice and fetch it again."""

    def __init__(self, inner: BlockStore, mask: Mask, clock: Clock, after_s: float) -> None:
        super().__init__(inner, mask)
        self._clock, self._after_s = clock, after_s
        self._came_s: dict[bytes, float] = {}

    def came(self, cid: Cid) -> None:
        self._came_s.setdefault(cid.multihash, self._clock.monotonic_s())

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        if not afresh:
            self._recall(cid)
        return super().get(cid, afresh=afresh)

    def read(self, cid: Cid, lend: Lend | None = None) -> bytes:
        self._recall(cid)
        return super().read(cid, lend)

    def _recall(self, cid: Cid) -> None:
        came_s = self._came_s.get(cid.multihash, 0.0)
        if self._clock.monotonic_s() - came_s >= self._after_s and self._mask.acts():
            raise BlockMissing(f"block {cid} is not held here")

    def batch(self, reservation: Reservation | None = None, *, whole: bool = False) -> Batch:
        return NotingBatch(self, self._inner.batch(reservation, whole=whole))


class NotingBatch(FaultyBatch):
    """Notes when each block came."""

    def __init__(self, store: ForgetfulStore, inner: Batch) -> None:
        super().__init__(store, inner)
        self._came = store.came

    def put(self, cid: Cid, data: Bytes, *, anew: bool = False) -> bool:
        self._came(cid)
        return super().put(cid, data, anew=anew)
