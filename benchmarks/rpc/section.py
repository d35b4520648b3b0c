"""The section ``rpc`` of the benchmarks: what datagrams cost, beside stock kademlia."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from benchmarks.report import Row, at_least, at_most, plain
from benchmarks.rpc import neighbours
from benchmarks.rpc.deaf import deaf
from benchmarks.rpc.flooded import flooded
from benchmarks.rpc.round_trips import ours_per_s, stock_per_s

ROUND_TRIPS: Final = 12_000  # of ours in one go: half a second
STOCK_ROUND_TRIPS: Final = 3_000
KEYS: Final = 60  # provided and found in one go
FLOOD_PER_S: Final = 20_000
FLOOD_S: Final = 10.0
DEAF_S: Final = 20.0
WAYS: Final = {
    # over: (round trips a second of CPU, times stock)
    "in memory": (18_000, 5.0),
    "over loopback UDP": (7_000, 2.5),
}


def round_trips(rounds: int) -> list[Row]:
    """find_node, ours and stock in turn: both ends in one process, ours authenticated."""
    rows = []
    for way, (rate, times) in WAYS.items():
        udp = way != "in memory"
        ours, stock = _in_turn(
            rounds,
            partial(ours_per_s, ROUND_TRIPS, udp=udp),
            partial(stock_per_s, STOCK_ROUND_TRIPS, udp=udp),
        )
        ratio = statistics.median(a / b for a, b in zip(ours, stock, strict=True))
        rows += [
            at_least(f"find_node {way}", statistics.median(ours), rate, "a CPU second"),
            plain(f"find_node {way}, stock kademlia", statistics.median(stock), "a CPU second"),
            at_least(f"find_node {way} / stock", ratio, times, "x"),
        ]
    return rows


def among_neighbours(rounds: int) -> list[Row]:
    """provide and find among 40 nodes, each round of ours after one of stock."""
    stock, ours = [], []
    for _ in range(rounds):
        stock.append(neighbours.stock_s(KEYS))
        ours.append(neighbours.ours_s(KEYS))
    nodes = f"among {neighbours.NODES} nodes on loopback"
    return [
        at_most(f"provide {nodes}", _median_ms(each[0] for each in ours), 8, "ms"),
        plain(f"set {nodes}, stock kademlia", _median_ms(each[0] for each in stock), "ms"),
        at_most(f"find_providers {nodes}", _median_ms(each[1] for each in ours), 1.5, "ms"),
        plain(f"get {nodes}, stock kademlia", _median_ms(each[1] for each in stock), "ms"),
    ]


def _median_ms(rounds: Iterable[list[float]]) -> float:
    return 1000 * statistics.median([took_s for took in rounds for took_s in took])


def under_flood() -> list[Row]:
    """One of those 40 under 20,000 datagrams a second."""
    seen = flooded(FLOOD_PER_S, FLOOD_S)
    name = f"under {seen.sent / FLOOD_S:.0f} datagrams a second"
    rows = [
        at_least(f"lookups {name}: right", 100 * seen.right, 99, f"% of {seen.lookups}"),
        at_most(f"lookups {name}: median", seen.median_s, 1, "s"),
        plain(f"lookups {name}: longest", seen.longest_s, "s"),
        at_least(f"table after {name}", 100 * seen.table, 100, "%"),
        at_most(f"memory grown {name}", seen.grown_bytes / 1e6, 10, "MB"),
        at_most(f"exceptions {name}", seen.exceptions, 0, ""),
        plain(f"CPU of all {neighbours.NODES} nodes {name}", 100 * seen.cpu, "% of a core"),
    ]
    counted = ", ".join(f"{what} {count}" for what, count in sorted(seen.counters.items()))
    return [*rows, Row("counted at that node", counted)]


def after_deafness() -> list[Row]:
    """One of those 40 that heard nothing, or one datagram in twenty, for 20 seconds."""
    rows = []
    for name, hears in (("nothing", 0.0), ("one datagram in 20", 0.05)):
        seen = deaf(DEAF_S, hears)
        heard = f"heard {name} for {DEAF_S:g} s"
        rows += [
            plain(f"contacts of a node that {heard}", seen.left, f"of {seen.before}"),
            at_most(f"all contacts back after it {heard}", seen.back_s, 15, "s"),
        ]
    return rows


def _in_turn(rounds: int, *measures: Callable[[], float]) -> tuple[list[float], ...]:
    """So that what else this machine does meets both alike."""
    measured = [[measure() for measure in measures] for _ in range(rounds)]
    return tuple(map(list, zip(*measured, strict=True)))
