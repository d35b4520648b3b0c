"""Who answered both sendings of a request.

Then the first was not lost, only later than it was waited for, and how long it took is known after
all (RFC 3708: the same by the duplicates that a receiver reports).  Without that a path that became
slower is asked everything twice for ever, since what was sent twice is no sample (Karn's rule), and
what nearly all answers take is reckoned without those that take longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dhtstore.dht.core.peer import Peer
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey

_REMEMBERED: Final = 64  # the second answer comes a round trip after the first


@dataclass(frozen=True, slots=True)
class AnsweredOnce:
    """``peer`` answered ``took_s`` after the first sending; ``keys`` are shared with it."""

    peer: Peer
    keys: bytes
    took_s: float


class LateAnswers:
    """Those that were sent twice and answered once so far, by message id; the last of them."""

    __slots__ = ("_by_id",)

    def __init__(self) -> None:
        self._by_id: dict[bytes, AnsweredOnce] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, message_id: bytes, answered: AnsweredOnce) -> None:
        if len(self._by_id) >= _REMEMBERED:
            del self._by_id[next(iter(self._by_id))]
        self._by_id[message_id] = answered

    def find(self, message_id: bytes, key: PublicKey, source: Address) -> AnsweredOnce | None:
        """That of a message of ``key`` from ``source``, of which nothing is proved yet."""
        found = self._by_id.get(message_id)
        if found is None:
            return None
        same = found.peer.contact.public_key == key and found.peer.address == source
        return found if same else None

    def done(self, message_id: bytes) -> None:
        """The second answer came: a third proves nothing."""
        del self._by_id[message_id]
