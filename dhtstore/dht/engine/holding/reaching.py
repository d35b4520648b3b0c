"""Whether those whose records are kept here can be reached: asked only where places are scarce."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kademlia.node import Node

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.stores.held import OURS, UNPROVED_SOURCE, Standing, standing_of
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.calls import Calls
from dhtstore.dht.engine.holding.keeping import RecordKeeper
from dhtstore.dht.engine.in_turn import InTurn
from dhtstore.model.contact import Contact, ContactRecord, routable, subnet
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.wire.datagram import Ping, Response

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock

_HELD: Final = b""  # all that are kept are one crowd: the oldest is asked first


class Reaching:
    """Pings the signers of records, none twice at a time: those of records that are kept, and
    beside them those of new ones, of each origin that brings them in turn."""

    def __init__(self, table: Table, calls: Calls, keeper: RecordKeeper, clock: Clock) -> None:
        self._table, self._calls, self._keeper = table, calls, keeper
        self._of_held, self._of_new = InTurn(clock), InTurn(clock)
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
        return standing_of(subnet(sender.address).encode() if proved else UNPROVED_SOURCE)

    def bringer(self, sender: Peer, *, proved: bool) -> Standing:
        """That of what is not made by a node: only who brings it counts."""
        if not proved:
            return standing_of(UNPROVED_SOURCE)
        home = self._table.crowds.at_home(sender)
        return OURS if home else standing_of(subnet(sender.address).encode())

    def _known(self, contact: ContactRecord) -> Peer | None:
        """The signer, if it is in the table at an address that it claims."""
        entry = self._table.get(Node(contact.node))
        return entry if entry and tuple(entry.address) in contact.addresses else None

    def _reached(self, peer: Peer) -> Standing:
        home = self._table.crowds.at_home(peer)
        return OURS if home else standing_of(subnet(peer.address).encode(), reached=True)

    def look(self, record: ProviderRecord, contact: ContactRecord, standing: Standing) -> None:
        """Ask, of the records of a contended key, the signer of the oldest that was not asked yet,
        and that of a new one if it may get a place by that."""
        held = self._keeper.doubtful(record.key)
        if held is not None:
            known = self._keeper.contact_of(held)
            if known is None or self._ask(held, known, self._of_held, _HELD):
                self._keeper.asked(held)
        if not standing.reached:
            self._ask(record, contact, self._of_new, standing.origin)

    def _ask(
        self, record: ProviderRecord, contact: ContactRecord, turns: InTurn, origin: bytes
    ) -> bool:
        """False if it is to be tried again: only so many are asked in a second."""
        peer = next(self._claimed(contact), None)
        if peer is None or contact.public_key in self._asked:
            return True
        standing = self._reached(peer)
        if not self._keeper.takes(record, standing):
            return True

        def on_done(_: Peer, response: Response | None) -> None:
            self._asked.discard(contact.public_key)
            if response is not None:
                self._keeper.keep_reached(record, contact, standing)

        def send() -> None:
            self._calls.ask(peer, Ping(), on_done, attempts=1, provoked=True)

        if not turns.add(origin, send):
            return False
        self._asked.add(contact.public_key)
        return True

    def _claimed(self, contact: ContactRecord) -> Iterator[Peer]:
        """The signer where it says that it is, as far as a stranger's word may lead us."""
        for address in filter(routable, contact.address_list()):
            peer = peer_of(Contact.of(contact.signer, address))
            if self._table.crowds.within_reach(peer):
                yield peer
