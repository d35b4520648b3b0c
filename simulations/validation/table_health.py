"""Routing tables of nodes that live under churn, surveyed as ProbeLab surveyed those of IPFS.

ProbeLab RFM19 (2022, 28 crawls, 15,371 reachable nodes, k = 20) read every table of the network
and compared it with the nodes that were reachable.  So does this, with the sessions of IPFS, after
maintenance has kept the tables for long enough that none of the oracle's entries was left alone.
"""

from __future__ import annotations

import asyncio
import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from dhtstore.model.identity import node_id
from dhtstore.node.node import Node
from dhtstore.params import NODE_ID_BYTES, K
from simulations.events.churn import IPFS
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.progress import ProgressDisplay
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member, Population
from simulations.scenario import Scenario, from_tables
from simulations.validation import theory
from simulations.validation.findings import Finding

_BITS = 8 * NODE_ID_BYTES
_ALWAYS_ON = 0.1  # 10.5 % of the nodes of IPFS were online all the time (ProbeLab RFM2)
NEWCOMER_S = 600.0  # who joined within that time is not judged: its table is still being made
_FAR_FULL = 0.95  # a far bucket is one that so many of the nodes can fill
_RFM19 = "ProbeLab RFM19"
_MANY = 10_000


@dataclass(frozen=True, slots=True)
class TableHealth:
    """One node's table: entries and, of these, nodes that are up and joined, by bucket; how many
    of the k nodes closest to it it knows; the prefixes (bits) it shares with the first and the
    last of those k."""

    entries: Sequence[int]
    live: Sequence[int]
    known: int
    closest_bits: int
    kth_bits: int


@dataclass(frozen=True, slots=True)
class Survey:
    """``nodes`` were up and joined, of which ``tables`` were judged; ``violations`` is what the
    checkers found in the whole run, ``messages_per_node_s`` what all that cost."""

    nodes: int
    tables: Sequence[TableHealth]
    violations: Sequence[str] = ()
    messages_per_node_s: float = 0.0


def live(nodes: int, lived_s: float, seed: int, progress: ProgressDisplay | None = None) -> Survey:
    """Let about ``nodes`` nodes live under churn for ``lived_s``, then survey their tables."""
    scenario = scenario_of(nodes, lived_s)
    surveys: list[Survey] = []

    async def survey_later(world: World) -> None:
        surveys.append(await _survey_after(world, lived_s))

    summary = Experiment(
        scenario, seed, None, folder=Path(), progress=progress, companion=survey_later
    ).run()
    if summary["interrupted"]:
        raise KeyboardInterrupt
    found = surveys[0]
    lived_all_s = summary["virtual_s"] * found.nodes
    return Survey(
        found.nodes, found.tables, summary["violations"], summary["messages"] / lived_all_s
    )


def scenario_of(nodes: int, lived_s: float) -> Scenario:
    """Machines enough that about ``nodes`` of them are up at any time."""
    share_up = _ALWAYS_ON + (1 - _ALWAYS_ON) * IPFS.availability
    return from_tables(
        {
            "run": {"nodes": round(nodes / share_up), "duration_s": f"{lived_s} s"},
            "churn": {"preset": "ipfs", "always_on": f"{100 * _ALWAYS_ON} %"},
        }
    )


async def _survey_after(world: World, lived_s: float) -> Survey:
    population = world.population
    await world.until(max(0.0, lived_s - NEWCOMER_S))
    there = {member.number: member.life for member in population.members if member.ready}
    await asyncio.sleep(min(NEWCOMER_S, lived_s))
    return survey(
        population, [m for m in population.members if m.ready and there.get(m.number) == m.life]
    )


def survey(population: Population, judged: Iterable[Member]) -> Survey:
    """Compare the tables of ``judged`` with all nodes that are up and have joined."""
    ids = sorted(_long_id(member) for member in population.members if member.ready)
    up = frozenset(ids)
    tables = [_health(member.node, ids, up) for member in judged if member.node is not None]
    return Survey(len(ids), tables)


def _long_id(member: Member) -> int:
    return int.from_bytes(node_id(member.crypto.node.public_key), "big")


def _health(node: Node, ids: Sequence[int], up: frozenset[int]) -> TableHealth:
    own = int.from_bytes(node.node_id, "big")
    closest = closest_to(own, ids, K)
    table = node.dht.table()
    known = {one.peer.long_id for bucket in table.buckets for one in bucket.entries}
    live = [0] * len(table.sizes())
    for bucket in table.buckets:
        live[bucket.index] = sum(one.peer.long_id in up for one in bucket.entries)
    return TableHealth(
        entries=table.sizes(),
        live=live,
        known=sum(one in known for one in closest),
        closest_bits=_shared_bits(own, closest[0]) if closest else 0,
        kth_bits=_shared_bits(own, closest[-1]) if closest else 0,
    )


def closest_to(own: int, ids: Sequence[int], count: int) -> list[int]:
    """The ``count`` of the sorted ids closest to ``own``, which is not one of them, in order."""
    low, high = 0, len(ids)
    for tail in range(_BITS - 1, -1, -1):
        first = own >> tail << tail
        narrow = bisect.bisect_left(ids, first, low, high)
        wide = bisect.bisect_left(ids, first + (1 << tail), low, high)
        if wide - narrow <= count:
            break
        low, high = narrow, wide
    others = (one for one in ids[low:high] if one != own)
    return sorted(others, key=own.__xor__)[:count]


def _shared_bits(a: int, b: int) -> int:
    return _BITS - (a ^ b).bit_length()


# --- beside what it should be ----------------------------------------------------------------


def findings(survey: Survey) -> list[Finding]:
    """What RFM19 measured and theory says, held against a survey."""
    nodes, tables = survey.nodes, survey.tables
    edge = edge_bucket(nodes)
    edge_theory = theory.bucket_fill(nodes, K, edge)
    # One seed's ids fall unevenly, the fewer the more so; not for as many as RFM19 saw.
    uneven = 0.6 / math.sqrt(nodes) if nodes < _MANY else 0.0
    far = mean(at(table.entries, bucket) for table in tables for bucket in range(edge))
    return [
        Finding.at_least(f"buckets 0-{edge - 1} full", _full(tables, edge), 0.98, _RFM19),
        Finding(f"contacts in buckets 0-{edge - 1}", far, 19.88, _RFM19),
        Finding(
            f"live contacts in bucket {edge}",
            mean(at(table.live, edge) for table in tables),
            edge_theory,
            f"binomial; {_RFM19}: 14.16 of 15.01",
            low=edge_theory * (14 / 15.01 - uneven),
            high=edge_theory * (15.1 / 15.01 + uneven),
        ),
        Finding.at_least("know all of their k closest", _know(tables, K, K), 0.6, _RFM19),
        Finding("know fewer than 18 of them", _know(tables, 0, 17), 0.0479, _RFM19),
        Finding("know fewer than 5 of them", _know(tables, 0, 4), 0.00102, _RFM19),
        *_sizes(nodes, tables),
        *_dead(tables, edge),
        Finding.within("violations found by checkers", len(survey.violations), 0, 0, "checkers"),
    ]


def _sizes(nodes: int, tables: Sequence[TableHealth]) -> list[Finding]:
    closest, kth = mean(t.closest_bits for t in tables), mean(t.kth_bits for t in tables)
    size = mean(sum(table.live) for table in tables)
    room = max(0.01, 0.6 / math.sqrt(nodes))  # one seed's ids fall unevenly, fewer the more so
    return [
        Finding("live contacts in a table", size, theory.table_size(nodes, K), "binomial"),
        Finding.within(
            "prefix shared with the closest", closest, theory.closest_prefix_bits(nodes), room,
            "log2 N + 0.3327",
        ),
        Finding.within(
            "prefix shared with the k-th closest", kth, theory.kth_prefix_bits(nodes, K), room,
            "binomial",
        ),
    ]  # fmt: skip


def _dead(tables: Sequence[TableHealth], edge: int) -> list[Finding]:
    """Shares of entries that are not up."""
    beyond = max(len(table.entries) for table in tables)
    return [
        Finding("dead entries of bucket 0", dead_share(tables, 0, 1), 0.0378, _RFM19),
        Finding(f"dead entries of buckets 0-{edge - 1}", dead_share(tables, 0, edge), 0.0378,
                f"{_RFM19}, bucket 0"),
        Finding("dead entries of buckets beyond", dead_share(tables, edge, beyond), 0.15, _RFM19),
    ]  # fmt: skip


def edge_bucket(nodes: int) -> int:
    """The first bucket that not nearly all nodes can fill; those before it are the far ones."""
    buckets = range(_BITS)
    return next(bucket for bucket in buckets if theory.bucket_full(nodes, K, bucket) < _FAR_FULL)


def dead_share(tables: Sequence[TableHealth], first: int, end: int) -> float:
    """Of the entries in buckets ``first`` to ``end - 1``, those not up and joined."""
    entries = sum(sum(table.entries[first:end]) for table in tables)
    live = sum(sum(table.live[first:end]) for table in tables)
    return 1 - live / entries if entries else 0.0


def _full(tables: Sequence[TableHealth], end: int) -> float:
    """Of the buckets before ``end``, those with k entries, dead ones included, as in RFM19."""
    full = sum(entries >= K for table in tables for entries in table.entries[:end])
    return full / (end * len(tables))


def _know(tables: Sequence[TableHealth], low: int, high: int) -> float:
    return mean(low <= table.known <= high for table in tables)


def at(counts: Sequence[int], bucket: int) -> int:
    """A count of a bucket that may not be there."""
    return counts[bucket] if bucket < len(counts) else 0


def buckets_of(survey: Survey) -> str:
    """Means by bucket, for a terminal."""
    tables = survey.tables
    lines = [f"{'bucket':>6} {'entries':>8} {'live':>8} {'theory':>8} {'full':>7} {'dead':>7}"]
    for bucket in range(max(len(table.entries) for table in tables)):
        expected = theory.bucket_fill(survey.nodes, K, bucket)
        if expected < 0.1:
            break  # too few for a mean
        entries = mean(at(table.entries, bucket) for table in tables)
        living = mean(at(table.live, bucket) for table in tables)
        full = mean(at(table.entries, bucket) >= K for table in tables)
        dead = dead_share(tables, bucket, bucket + 1)
        lines.append(
            f"{bucket:6} {entries:8.2f} {living:8.2f} {expected:8.2f} {full:7.2%} {dead:7.2%}"
        )
    return "\n".join(lines)
