"""Tell the trace now and then whom this node knows: peers come and go by the thousand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dhtstore.model.contact import Contact
from dhtstore.model.identity import NodeId, format_node
from dhtstore.params import PEERS_TOLD_FIRST_S, PEERS_TOLD_INTERVAL_S
from dhtstore.trace import Tracer

_NAMED_MAX: Final = 8
_Storage = tuple[NodeId, ...]


class KnownPeers(Protocol):
    """As much of the DHT as telling of peers needs."""

    def contacts(self) -> Sequence[Contact]: ...


@dataclass(frozen=True, slots=True)
class TellPeers:
    """How many peers there are, and which of those that give storage came or went."""

    table: KnownPeers
    tracer: Tracer

    async def run(self) -> None:
        """Forever; tells what changed."""
        known, told = _Storage(), -1
        await asyncio.sleep(PEERS_TOLD_FIRST_S)
        while True:
            known, told = self._look(known, told)
            await asyncio.sleep(PEERS_TOLD_INTERVAL_S)

    def _look(self, before: _Storage, told: int) -> tuple[_Storage, int]:
        """What is kept until the next look is a tuple: a set takes six times as much."""
        contacts = self.table.contacts()
        now = _Storage(sorted(each.node for each in contacts if each.storage))
        if now != before or len(contacts) != told:
            self._tell(len(contacts), frozenset(now), frozenset(before))
        return now, len(contacts)

    def _tell(self, peers: int, now: frozenset[NodeId], before: frozenset[NodeId]) -> None:
        self.tracer(
            "peers.known",
            peers=peers,
            give_storage=len(now),
            came=_named(now - before),
            went=_named(before - now),
        )


def _named(nodes: frozenset[NodeId]) -> str:
    """The first few of them, by the beginning of their ids."""
    names = [format_node(node)[:12] for node in sorted(nodes)[:_NAMED_MAX]]
    more = len(nodes) - len(names)
    return " ".join(names) + (f" and {more} more" if more else "")
