"""What is kept here, for whoever writes it down, and what an earlier run of this node kept.

A name tells of what a record is: ``c`` and the node of a contact record, ``p``, the key and the
signer of a provider record, so that contacts come first; ``y`` and the key of a policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from dhtstore.dht.core.stores.held import HeldRecord, Standing, name_of
from dhtstore.dht.engine.holding.keeping import Kept, RecordKeeper, read
from dhtstore.dht.engine.holding.probing import Probing
from dhtstore.model.contact import ContactRecord
from dhtstore.model.policy import Policy
from dhtstore.model.provider_record import ProviderRecord

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock


_KINDS: Final[dict[bytes, type[Any]]] = {
    b"c": ContactRecord,
    b"p": ProviderRecord,
    b"y": Policy,
}


@dataclass(frozen=True, slots=True)
class ShelvedRecord:
    """A record, until when it is kept, where it came from, and when its signer last proved that it
    lives, None for never, ``ponged`` by an answer to a ping; times are unix seconds."""

    record: Kept
    expires_unix_s: float
    standing: Standing
    proved_unix_s: float | None = None
    ponged: bool = False


class Shelf:
    """Changes are told only after ``begin``: who writes nothing down pays for nothing."""

    def __init__(self, keeper: RecordKeeper, probing: Probing, clock: Clock) -> None:
        self._keeper, self._probing, self._clock = keeper, probing, clock

    def begin(self, on_change: Callable[[], None]) -> None:
        """From now on remember what changes; ``on_change`` is told that something did."""
        self._keeper.watch(on_change)

    def changes(self, at_most: int) -> dict[bytes, ShelvedRecord | None]:
        """Some of what changed and was not told yet, by name; None is kept no more."""
        self._keeper.tick()
        changed = self._keeper.changed
        names = list(islice(changed, at_most))
        for name in names:
            del changed[name]
        return {name: self._shelved(self._keeper.by_name(name)) for name in names}

    def not_written(self, changes: dict[bytes, ShelvedRecord | None]) -> None:
        """They are to be told again."""
        self._keeper.changed.update(dict.fromkeys(changes))

    def _shelved(self, held: HeldRecord | None) -> ShelvedRecord | None:
        if held is None:
            return None
        now, unix_s = self._clock.monotonic_s(), self._clock.unix_s()
        if isinstance(held.record, Policy):
            return ShelvedRecord(held.record, unix_s + held.expires_s - now, held.standing)
        if held.record.public_key == self._keeper.own:
            return None  # our own is announced anew after a start, as far as it holds then
        life = self._keeper.lives.get(held.record.public_key)
        ago_s = self._keeper.lives.proved_ago_s(held.record.public_key, now)
        return ShelvedRecord(
            held.record,
            unix_s + held.expires_s - now,
            held.standing,
            None if ago_s is None else unix_s - ago_s,
            life is not None and life.ponged,
        )

    def unpacked(self, name: bytes, packed: bytes) -> Kept | None:
        """The record of a row of that name; None unless it is of that name and rightly signed.
        Touches nothing of this node, so another thread may do it: a signature takes 150 us."""
        kind = _KINDS.get(name[:1])
        record: Kept | None = None if kind is None else read(kind, packed)
        right = record is not None and name_of(record) == name and self._keeper.signed(record)
        return record if right else None

    def put_back(self, shelved: ShelvedRecord) -> bool:
        """Keep what an earlier run kept, if it is in time, there is a place for it and nothing
        newer came; its signature was checked."""
        self._keeper.tick()
        now, unix_s = self._clock.monotonic_s(), self._clock.unix_s()
        record, left_s = shelved.record, shelved.expires_unix_s - unix_s
        if not self._keeper.restore(record, shelved.standing, left_s):
            return False
        self._keeper.changed.pop(name_of(record), None)  # it is written down as it is
        if isinstance(record, ProviderRecord) and shelved.proved_unix_s is not None:
            proved_s = now - max(0.0, unix_s - shelved.proved_unix_s)
            self._probing.remembered(record.public_key, proved_s, ponged=shelved.ponged)
        return True
