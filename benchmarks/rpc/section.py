"""The section ``rpc`` of the benchmarks: what datagrams cost, beside stock kademlia."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Final

from benchmarks.report import Row, at_least, plain
from benchmarks.rpc.round_trips import ours_per_s, stock_per_s

ROUND_TRIPS: Final = 12_000  # of ours in one go: half a second
STOCK_ROUND_TRIPS: Final = 3_000
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


def _in_turn(rounds: int, *measures: Callable[[], float]) -> tuple[list[float], ...]:
    """So that what else this machine does meets both alike."""
    measured = [[measure() for measure in measures] for _ in range(rounds)]
    return tuple(map(list, zip(*measured, strict=True)))
