"""Whether those whose records are kept here can be reached: asked only where places are scarce."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from kademlia.node import Node

from dhtstore.dht.core.limits import TokenBucket
from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.stores.held import OURS, UNPROVED_SOURCE, Standing
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.calls import Calls
from dhtstore.dht.engine.holding.keeping import RecordKeeper
from dhtstore.model.contact import Contact, ContactRecord, routable, subnet
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import VERIFY_PINGS_PER_S
from dhtstore.wire.datagram import Ping, Response

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock


class Reaching:
    """Pings the signers of records, at most VERIFY_PINGS_PER_S of them, none twice at a time."""

    def __init__(self, table: Table, calls: Calls, keeper: RecordKeeper, clock: Clock) -> None:
        self._table, self._calls, self._keeper, self._clock = table, calls, keeper, clock
        self._pings = TokenBucket(VERIFY_PINGS_PER_S, 4 * VERIFY_PINGS_PER_S)
        self._asked: set[bytes] = set()

    def standing(self, sender: Peer, contact: ContactRecord, *, proved: bool) -> Standing:
        """That of records which ``sender`` brought and the signer of ``contact`` made."""
        if proved and self._table.crowds.at_home(sender):
            return OURS
        known = self._known(contact)
        if known is not None:
            return self._reached(known)
        itself = proved and sender.contact.public_key == contact.public_key
        if itself and tuple(sender.address) in contact.addresses:
            return self._reached(sender)
        return _of(subnet(sender.address).encode() if proved else UNPROVED_SOURCE)

    def _known(self, contact: ContactRecord) -> Peer | None:
        """The signer, if it is in the table at an address that it claims."""
        entry = self._table.get(Node(contact.node))
        return entry if entry and tuple(entry.address) in contact.addresses else None

    def _reached(self, peer: Peer) -> Standing:
        home = self._table.crowds.at_home(peer)
        return OURS if home else _of(subnet(peer.address).encode(), reached=True)

    def look(self, record: ProviderRecord, contact: ContactRecord, standing: Standing) -> None:
        """Ask, of the records of a contended key, the signer of the oldest that was not asked yet,
        and that of a new one if it may get a place by that."""
        held = self._keeper.doubtful(record.key)
        if held is not None:
            known = self._keeper.contact_of(held)
            if known is None or self._ask(held, known):
                self._keeper.asked(held)
        if not standing.reached:
            self._ask(record, contact)

    def _ask(self, record: ProviderRecord, contact: ContactRecord) -> bool:
        """False if it is to be tried again: only so many are asked in a second."""
        peer = next(self._claimed(contact), None)
        if peer is None or contact.public_key in self._asked:
            return True
        standing = self._reached(peer)
        if not self._keeper.takes(record, standing):
            return True
        if not self._pings.take(self._clock.monotonic_s()):
            return False
        self._asked.add(contact.public_key)

        def on_done(_: Peer, response: Response | None) -> None:
            self._asked.discard(contact.public_key)
            if response is not None:
                self._keeper.keep_reached(record, contact, standing)

        self._calls.ask(peer, Ping(), on_done, attempts=1)
        return True

    def _claimed(self, contact: ContactRecord) -> Iterator[Peer]:
        """The signer where it says that it is, as far as a stranger's word may lead us."""
        for address in filter(routable, contact.address_list()):
            peer = peer_of(Contact.of(contact.signer, address))
            if self._table.crowds.within_reach(peer):
                yield peer


@lru_cache(maxsize=4096)
def _of(origin: bytes, *, reached: bool = False) -> Standing:
    """One object for all records of an origin."""
    return Standing(origin, reached)
