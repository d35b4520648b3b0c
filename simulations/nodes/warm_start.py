"""Warm start: routing tables as in a network that has run for long, so that large runs do not pay
for joining.

``table_past`` says whom a table holds; here everybody's tables are made of it, with round trips
that were measured, refreshes spread over the hour and announcements over their interval.
``tests/simulation`` holds the result against nodes that joined through the protocol and against
long runs.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.snapshot import BucketSnapshot, TableEntry, TableSnapshot
from dhtstore.model.contact import Contact
from dhtstore.params import (
    BUCKET_REFRESH_INTERVAL_S,
    LOOKUP_TIMEOUT_S,
    NODE_ID_BYTES,
    REPROVIDE_INTERVAL_S,
    K,
)
from simulations.nodes.population import Member, Population
from simulations.nodes.table_past import KnownContact, Past, TablePast, past_of, turnover_per_s
from simulations.seeds import derived_seed

_BITS = 8 * NODE_ID_BYTES
_RTT_SAMPLES = 16
Durations = Callable[[int], Iterator[float]]
"""Of the machine with that number: how long its present state has lasted, how long those before
did."""


def always(number: int) -> Iterator[float]:
    """Of machines that neither come nor go."""
    return itertools.repeat(math.inf)


async def start_all(
    population: Population, numbers: Sequence[int], durations: Durations = always
) -> None:
    """Start these nodes and fill their tables; they count as joined.  The others are down."""
    for number in numbers:
        await population.start(number)
    fill_tables(population, durations)
    await asyncio.sleep(0)


async def start_known(population: Population, number: int) -> None:
    """Start one node more, with a table filled by those that have joined; it makes itself known by
    a lookup of its own id, and counts as joined then."""
    node = await population.start(number)
    member = population.members[number]
    joined = [one for one in population.members if one.ready and one is not member]
    rng = random.Random(derived_seed(population.seed, f"warm/{number}"))
    own = _known(population, member, always)
    _fill(population, own, _Everybody([_known(population, one, always) for one in joined], rng))
    member.changed_s = population.loop.time()
    await population.run(number, node.dht.lookup(own.peer.id, timeout_s=LOOKUP_TIMEOUT_S))


@dataclass(frozen=True, slots=True)
class _Known:
    """A member as others know it; ``place`` is where the latency model has it."""

    peer: Peer
    place: Any
    member: Member
    past: Past


class _Everybody:
    """All that tables may hold, in order of their ids."""

    def __init__(self, known: Iterable[_Known], rng: random.Random) -> None:
        remembered = (one for one in known if one.past.remembered)
        self.known = sorted(remembered, key=lambda one: one.peer.long_id)
        self.ids = [one.peer.long_id for one in self.known]
        self.pasts = [one.past for one in self.known]
        self.per_s = turnover_per_s(self.pasts, rng)
        self.rng = rng


def fill_tables(population: Population, durations: Durations = always) -> None:
    """Fill the tables of all nodes that run with each other and with those that went lately."""
    rng = random.Random(derived_seed(population.seed, "warm"))
    known = (_known(population, member, durations) for member in population.members)
    everybody = _Everybody(known, rng)
    running = [own for own in everybody.known if own.member.node is not None]
    for own in running:
        _fill(population, own, everybody)
    _trust_each_other(running)


def _trust_each_other(known: Iterable[_Known]) -> None:
    """Whoever has us in its table knows our address, and needs no padding from us."""
    tables = {one.peer.id: one.member.running.dht.rpc.table for one in known}
    for own in known:
        for bucket in filter(None, tables[own.peer.id].buckets):
            there = (tables.get(peer.id) for peer in bucket.peers)
            bucket.trusts[:] = bytes(table is not None and own.peer in table for table in there)


def _known(population: Population, member: Member, durations: Durations) -> _Known:
    machine = population.network.machine(member.address)
    up = member.node is not None
    past = past_of(durations(member.number), up=up, hidden=not machine.diallable)
    key = member.crypto.node.public_key
    peer = peer_of(Contact.of(key, member.address, storage=member.settings.storage))
    return _Known(peer, machine.place, member, past)


def _buckets(own: int, ids: Sequence[int]) -> list[tuple[int, int, int, float]]:
    """(bucket, first, last + 1, share that is among the k closest) of each non-empty range of the
    sorted ids."""
    found, low, high = [], 0, len(ids)
    for index in range(_BITS):
        tail = _BITS - index - 1
        middle = bisect.bisect_left(ids, ((own >> tail) | 1) << tail, low, high)
        ours_above = bool(own >> tail & 1)
        other = (low, middle) if ours_above else (middle, high)
        low, high = (middle, high) if ours_above else (low, middle)
        if count := other[1] - other[0]:
            near = min(1.0, max(0.0, (K + 1 - (high - low)) / count))
            found.append((index, *other, near))
        if high - low <= 1:
            break
    return found


def _fill(population: Population, own: _Known, everybody: _Everybody) -> None:
    now, one_way_s, rng = (
        population.loop.time(),
        population.network.latency.one_way_s,
        everybody.rng,
    )
    past = TablePast(own.past, everybody.pasts, everybody.per_s, rng)
    buckets, newcomers, measured = list[BucketSnapshot](), list[tuple[Peer, float]](), list[float]()
    for index, low, high, near in _buckets(own.peer.long_id, everybody.ids):
        entries = list[TableEntry]()
        for at, met in sorted(past.bucket(low, high, near), key=_heard_first):
            other = everybody.known[at]
            rtt_s = 2 * one_way_s(own.place, other.place)
            measured.append(rtt_s)
            entries.append(
                TableEntry(
                    other.peer, now - met.heard_s, rtt_s, rtt_s / 8, False, met.failures,
                    met.dead_pings,
                )
            )  # fmt: skip
            if met.young:
                newcomers.append((other.peer, now - met.met_s))
        looked_up_s = now - rng.random() * BUCKET_REFRESH_INTERVAL_S
        buckets.append(BucketSnapshot(index, looked_up_s, tuple(entries)))
    table = TableSnapshot(now - past.neighbours_s, tuple(buckets), tuple(newcomers))
    node = own.member.running
    node.dht.restore_table(table, rng.sample(measured, min(_RTT_SAMPLES, len(measured))))
    own.member.ready = True
    # It counts as announced already, at some time within the last interval.
    population.loop.call_later(rng.random() * REPROVIDE_INTERVAL_S, node.joined.set)


def _heard_first(one: tuple[int, KnownContact]) -> float:
    return -one[1].heard_s
