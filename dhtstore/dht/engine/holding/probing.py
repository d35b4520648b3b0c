"""Whether the providers whose records are kept here live: one ping each, whatever number of keys,
in batches and at a bounded rate; who was heard otherwise is not asked."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from kademlia.node import Node

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.calls import ATTEMPTS, Calls
from dhtstore.dht.engine.holding.keeping import RecordKeeper
from dhtstore.model.contact import Contact, ContactRecord, routable
from dhtstore.model.identity import NodeId, PublicKey, node_id
from dhtstore.params import PROVIDER_PROBE_LOOK_S, PROVIDER_PROBE_MIN_S, PROVIDER_PROBES_PER_S
from dhtstore.wire.datagram import Ping, Response

if TYPE_CHECKING:
    import random

    from dhtstore.net.ports import Clock

_BATCH: Final = int(PROVIDER_PROBES_PER_S * PROVIDER_PROBE_LOOK_S)
_NEVER: Final = (-math.inf, None)
_SPREAD: Final = (0.8, 1.2)  # of each pause, so that index nodes do not ask together


class Probing:
    """One timer, and none where no records are kept.  That a ping was not answered counts only if
    somebody else answers: it may have been our own line."""

    __slots__ = ("_calls", "_clock", "_keeper", "_looked_s", "_rng", "_table", "_timer")

    def __init__(
        self, table: Table, calls: Calls, keeper: RecordKeeper, clock: Clock, rng: random.Random
    ) -> None:
        self._table, self._calls, self._keeper = table, calls, keeper
        self._clock, self._rng = clock, rng
        self._timer: asyncio.TimerHandle | None = None
        self._looked_s = -math.inf

    def told(self, sender: Peer, contact: ContactRecord, *, proved: bool) -> None:
        """A record came; if its own signer brought it, from a ``proved`` address that it claims,
        that one lives.  From elsewhere it proves nothing of where it says that it is."""
        lives, signer, now = self._keeper.lives, contact.public_key, self._clock.monotonic_s()
        if sender.contact.public_key == signer:
            if proved and tuple(sender.address) in contact.addresses:
                lives.proved(signer, now, self._spread(), pong=False)
            elif lives.silent(signer) or lives.proved_ago_s(signer, now) is None:
                lives.postpone(signer, now)
        self.look()

    def remembered(self, signer: bytes, proved_s: float, *, ponged: bool) -> None:
        """An earlier run of this node knew that it lived at ``proved_s``; it is asked soon."""
        due_s = self._clock.monotonic_s() + PROVIDER_PROBE_LOOK_S * self._rng.random()
        self._keeper.lives.remembered(signer, proved_s, due_s, ponged=ponged)
        self.look()

    def look(self) -> None:
        """Look when the next is due, or at once, if the last look was not just now."""
        now = self._clock.monotonic_s()
        at_s = max(self._keeper.lives.next_s(), self._looked_s + PROVIDER_PROBE_LOOK_S, now)
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + at_s - now:
                return
            self._timer.cancel()
            self._timer = None
        if at_s < math.inf:
            self._timer = loop.call_later(at_s - now, self._go)

    def close(self) -> None:
        """Nobody is asked any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go(self) -> None:
        self._timer = None
        self._looked_s = now = self._clock.monotonic_s()
        self._keeper.tick()
        for signer in self._keeper.lives.due(now, _BATCH):
            self._ask(PublicKey(signer), now)
        self.look()

    def _ask(self, signer: PublicKey, now: float) -> None:
        lives, life = self._keeper.lives, self._keeper.lives.get(signer)
        if life is None:
            return
        node = node_id(signer)
        heard_s, known = self._known(node, now)
        if heard_s > min(life.ponged_s, now - PROVIDER_PROBE_MIN_S):
            lives.proved(signer, heard_s, self._spread(), pong=True)
            if life.due_s > now:  # as if it had been asked when it was heard
                return
        places = [known] if known and not life.failures else self._places(node, known)
        if not places:
            lives.postpone(signer, now + PROVIDER_PROBE_MIN_S)
            return
        peer = places[life.failures % len(places)]

        def on_done(_: Peer, response: Response | None) -> None:
            if response is not None:
                lives.proved(signer, self._clock.monotonic_s(), self._spread(), pong=True)
            elif self._calls.heard_s > now:
                self._failed(signer, known)
            else:
                self._ask_another(signer, known)

        lives.postpone(signer, now + PROVIDER_PROBE_MIN_S)
        attempts = 1 if life.silent else ATTEMPTS  # it is most likely still away
        self._calls.ask(peer, Ping(), on_done, attempts=attempts, provoked=True)

    def _failed(self, signer: PublicKey, known: Peer | None) -> None:
        places = len(self._places(node_id(signer), known))
        self._keeper.lives.failed(signer, self._clock.monotonic_s(), places, self._spread())

    def _ask_another(self, signer: PublicKey, known: Peer | None) -> None:
        """Nobody answered since ``signer`` was asked: is it our own line?"""
        others = [peer for peer in self._table if peer.contact.public_key != signer]
        if not others:
            return

        def on_done(_: Peer, response: Response | None) -> None:
            if response is not None:
                self._failed(signer, known)

        self._calls.ask(self._rng.choice(others), Ping(), on_done, provoked=True)

    def _known(self, node: NodeId, now: float) -> tuple[float, Peer | None]:
        """When it last answered anything that we asked, and from where, as the table has it."""
        if node == self._table.node.id:
            return now, None
        found = self._table.entry(Node(node))
        return (found[0].heard_s[found[1]], found[0].peers[found[1]]) if found else _NEVER

    def _places(self, node: NodeId, known: Peer | None) -> list[Peer]:
        """Where it was last heard, and where it says that it is, as far as a stranger's word may
        lead us."""
        contact = self._keeper.contact(node)
        peers: list[Peer] = []
        if contact is not None:
            key, claimed = PublicKey(contact.public_key), contact.address_list()
            peers = [peer_of(Contact.of(key, each)) for each in claimed if routable(each)]
        told = [peer for peer in peers if self._table.crowds.within_reach(peer)]
        if known is None:
            return told
        return [known, *(peer for peer in told if peer.address != known.address)]

    def _spread(self) -> float:
        return self._rng.uniform(*_SPREAD)
