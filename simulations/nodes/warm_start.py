"""Warm start: routing tables filled by an oracle, so that large runs do not pay for joining.

Every node knows, in each bucket, k random nodes of those that belong there, or all of them if
there are fewer; it has measured their round trips; its refreshes are spread over the hour and its
announcements over their interval, as in a network that has run for long.
``tests/simulation`` checks the result against nodes that joined through the protocol.
"""

from __future__ import annotations

import asyncio
import bisect
import random
from collections.abc import Sequence
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
from simulations.seeds import derived_seed

_BITS = 8 * NODE_ID_BYTES
_RTT_SAMPLES = 16


async def start_all(population: Population, numbers: Sequence[int]) -> None:
    """Start these nodes and fill their tables; they count as joined."""
    for number in numbers:
        await population.start(number)
    fill_tables(population, [population.members[number] for number in numbers])
    await asyncio.sleep(0)


async def start_known(population: Population, number: int) -> None:
    """Start one node more, with a table filled by those that have joined; it makes itself known by
    a lookup of its own id, and counts as joined then."""
    node = await population.start(number)
    member, network = population.members[number], population.network
    joined = [one for one in population.members if one.ready and one is not member]
    rng = random.Random(derived_seed(population.seed, f"warm/{number}"))
    known = [_Known(_peer(one), network.machine(one.address).place, one) for one in joined]
    known.sort(key=lambda one: one.peer.long_id)
    own = _Known(_peer(member), network.machine(member.address).place, member)
    ids = [one.peer.long_id for one in known]
    chosen = [
        (index, [known[at] for at in _some(rng, low, high)])
        for index, low, high in _buckets(own.peer.long_id, ids)
    ]
    _fill(population, own, chosen, rng)
    member.changed_s = population.loop.time()
    await population.run(number, node.dht.lookup(own.peer.id, timeout_s=LOOKUP_TIMEOUT_S))


@dataclass(frozen=True, slots=True)
class _Known:
    """A running member as others know it; ``place`` is where the latency model has it."""

    peer: Peer
    place: Any
    member: Member


def fill_tables(population: Population, members: Sequence[Member]) -> None:
    """Fill the tables of running members with each other."""
    rng, network = random.Random(derived_seed(population.seed, "warm")), population.network
    known = [_Known(_peer(one), network.machine(one.address).place, one) for one in members]
    known.sort(key=lambda one: one.peer.long_id)
    ids = [one.peer.long_id for one in known]
    for one, own in zip(known, ids, strict=True):
        chosen = [
            (index, [known[at] for at in _some(rng, low, high)])
            for index, low, high in _buckets(own, ids)
        ]
        _fill(population, one, chosen, rng)


def _peer(member: Member) -> Peer:
    key = member.crypto.node.public_key
    return peer_of(Contact.of(key, member.address, storage=member.settings.storage))


def _buckets(own: int, ids: Sequence[int]) -> list[tuple[int, int, int]]:
    """(bucket, first, last + 1) of each non-empty range of the sorted ids."""
    found, low, high = [], 0, len(ids)
    for index in range(_BITS):
        tail = _BITS - index - 1
        middle = bisect.bisect_left(ids, ((own >> tail) | 1) << tail, low, high)
        ours_above = bool(own >> tail & 1)
        other = (low, middle) if ours_above else (middle, high)
        low, high = (middle, high) if ours_above else (low, middle)
        if other[0] < other[1]:
            found.append((index, *other))
        if high - low <= 1:
            break
    return found


def _some(rng: random.Random, low: int, high: int) -> Sequence[int]:
    return rng.sample(range(low, high), K) if high - low > K else range(low, high)


def _fill(
    population: Population,
    own: _Known,
    chosen: Sequence[tuple[int, list[_Known]]],
    rng: random.Random,
) -> None:
    now, measured, one_way_s = population.loop.time(), [], population.network.latency.one_way_s
    neighbours_updated_s, buckets = now - _lately(rng), list[BucketSnapshot]()
    for index, others in chosen:
        looked_up_s = now - _lately(rng)
        heard_s = sorted(now - _lately(rng) for _ in others)
        rtts_s = [2 * one_way_s(own.place, other.place) for other in others]
        entries = tuple(
            TableEntry(other.peer, at_s, rtt_s, rtt_s / 8, trusts=True)
            for other, at_s, rtt_s in zip(others, heard_s, rtts_s, strict=True)
        )
        measured += rtts_s
        buckets.append(BucketSnapshot(index, looked_up_s, entries))
    table = TableSnapshot(neighbours_updated_s, tuple(buckets))
    node = own.member.running
    node.dht.restore_table(table, rng.sample(measured, min(_RTT_SAMPLES, len(measured))))
    own.member.ready = True
    # It counts as announced already, at some time within the last interval.
    population.loop.call_later(rng.random() * REPROVIDE_INTERVAL_S, node.joined.set)


def _lately(rng: random.Random) -> float:
    """How long ago, in seconds, something was done that is done every hour."""
    return rng.random() * BUCKET_REFRESH_INTERVAL_S
