"""One record that is kept, what is known of where it came from, and when it ends."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import msgspec

from dhtstore.model.contact import ContactRecord
from dhtstore.model.policy import Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import NODE_ID_BYTES

UNPROVED_SOURCE: Final = b"?"  # all sources that may be spoofed are one crowd
_SLOT_S: Final = 10.0  # records end up to this late, and what ends together costs one item
_REACHED_RANK: Final = 8 * NODE_ID_BYTES + 1  # above that of every key that is near


class Standing(msgspec.Struct, frozen=True, gc=False):
    """Where a record came from.  ``origin`` is the subnet where its signer answered us if it is
    ``reached``, else that of the datagram, or UNPROVED_SOURCE; b"" for our own site, which never
    gives way to strangers.

    An address that is only claimed counts for nothing: else whoever claims another's would crowd
    it out."""

    origin: bytes
    reached: bool = False

    @property
    def ours(self) -> bool:
        return not self.origin


@lru_cache(maxsize=4096)
def standing_of(origin: bytes, *, reached: bool = False) -> Standing:
    """One object for all records of an origin."""
    return Standing(origin, reached)


OURS: Final = Standing(b"", reached=True)


def rank_of(own_id: bytes, key: bytes, standing: Standing) -> int:
    """How good a place in a full store is used: by who can be reached before who can't, then by
    keys near to us, counted in leading bits that are ours too."""
    apart = int.from_bytes(own_id, "big") ^ int.from_bytes(key, "big")
    return 8 * NODE_ID_BYTES - apart.bit_length() + _REACHED_RANK * standing.reached


def name_of(record: ProviderRecord | ContactRecord | Policy) -> bytes:
    """What a record is of: of the records of one name the newest is kept."""
    if isinstance(record, ProviderRecord):
        return b"p" + record.key + record.public_key
    if isinstance(record, Policy):
        return b"y" + record.key
    return b"c" + record.node


class HeldRecord(msgspec.Struct, gc=False, eq=False):
    """A record with its place: ``crowd`` is where it counts, in the whole store.  ``probed``
    tells that its signer was asked whether it can be reached.

    Nothing of it can lead back to it, so the collector need not look: one full collection with
    100,000 of them, each in a dict of its key, stopped the node for 60 ms."""

    record: Any
    key: bytes
    expires_s: float
    standing: Standing
    rank: int
    crowd: bytes
    probed: bool = False
    withdrawn: bool = False


class Expiry:
    """When to look at which record, one item each, however often it is renewed or replaced."""

    __slots__ = ("_due", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, dict[HeldRecord, None]] = {}
        self._due: list[int] = []  # a heap of the slots

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def add(self, held: HeldRecord) -> None:
        slot = _slot(held)
        if slot not in self._slots:
            self._slots[slot] = {}
            heapq.heappush(self._due, slot)
        self._slots[slot][held] = None

    def remove(self, held: HeldRecord) -> None:
        del self._slots[_slot(held)][held]

    def due(self, now: float, at_most: int) -> Iterator[HeldRecord]:
        """Those that ended by ``now`` (monotonic seconds); the caller removes each."""
        while self._due and self._due[0] * _SLOT_S <= now and at_most > 0:
            slot = self._slots[self._due[0]]
            some = list(islice(slot, at_most))
            at_most -= len(some)
            yield from some
            if not slot:
                del self._slots[heapq.heappop(self._due)]


def _slot(held: HeldRecord) -> int:
    return math.ceil(held.expires_s / _SLOT_S)
