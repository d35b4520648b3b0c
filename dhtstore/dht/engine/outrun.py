"""Newer records of ours that others hold: how far they are ahead.

A clock that was ahead, a disk that was restored or a second node with our key leave records of ours
in the network whose sequence is above what we sign.  Those who refuse ours for them are asked what
they hold; only our own signature makes an answer count, so nobody can drive our sequence up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.engine.calls import Calls
from dhtstore.dht.engine.holding.keeping import RecordKeeper, read
from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import PublicKey, contact_key, node_id
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import PROVIDERS_PER_KEY_MAX
from dhtstore.wire.datagram import FindContact, FoundContact, GetProviders, Providers

_ASKED_MAX: Final = 3  # of those that hold a newer one: it is mostly the same


class HeldElsewhere:
    """Asks for the highest sequence of our own records; 0 if nobody shows a record of ours."""

    def __init__(self, calls: Calls, keeper: RecordKeeper, own: PublicKey) -> None:
        self._calls, self._keeper, self._own = calls, keeper, own

    async def contact(self, peers: Sequence[Peer]) -> int:
        """That of our contact record at ``peers``."""
        newest, key = 0, contact_key(node_id(self._own))
        for peer in peers[:_ASKED_MAX]:
            try:
                answer = await self._calls.call(peer, FindContact(key))
            except ConnectionLost:
                continue
            if isinstance(answer, FoundContact):
                newest = max(newest, self._sequence([read(ContactRecord, answer.contact)]))
        return newest

    async def provider(self, peers: Sequence[Peer], key: bytes) -> int:
        """That of our provider record of ``key`` at ``peers``."""
        newest = 0
        for peer in peers[:_ASKED_MAX]:
            try:
                newest = max(newest, await self._provider_at(peer, key))
            except ConnectionLost:
                continue
        return newest

    async def _provider_at(self, peer: Peer, key: bytes) -> int:
        offset = 0
        while offset < PROVIDERS_PER_KEY_MAX:
            page = await self._calls.call(peer, GetProviders(key, offset, silent=True))
            if not isinstance(page, Providers) or not page.providers:
                break
            told = [read(ProviderRecord, each.record) for each in page.providers]
            if sequence := self._sequence(told):
                return sequence
            offset += len(page.providers)
        return 0

    def _sequence(self, records: Iterable[ProviderRecord | ContactRecord | None]) -> int:
        """Of the one that we signed; its times do not matter."""
        ours = (record for record in records if record and record.public_key == self._own)
        return max((one.sequence for one in ours if self._keeper.signed(one)), default=0)
