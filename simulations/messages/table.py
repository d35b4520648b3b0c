"""Exchanges as rows: a CSV file, or lines for people."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TextIO

from dhtstore.model.contact import Address
from simulations.messages.exchange import Exchange
from simulations.messages.selection import Selection

COLUMNS: Final = (
    "start_s", "stop_s", "source", "target", "via", "kind", "about", "ok", "answer", "failure",
)  # fmt: skip
NO_NODE: Final = -1
Numbers = Callable[[Address], int]  # of the node at an address, NO_NODE if there is none
Tell = Callable[[Exchange], None]
Show = Callable[[Exchange, int, int], None]  # with the numbers of its nodes


@dataclass(slots=True)
class Count:
    """How many exchanges there were, how many of them were shown, and which kinds and nodes."""

    seen: int = 0
    told: int = 0
    kinds: set[str] = field(default_factory=set)
    nodes: set[int] = field(default_factory=set)


def chosen_of(show: Show, selection: Selection, count: Count, numbers: Numbers) -> Tell:
    """Shows those of the selection, and counts."""

    def tell(exchange: Exchange) -> None:
        source, target = numbers(exchange.source), numbers(exchange.target)
        count.seen += 1
        count.kinds.add(exchange.kind)
        count.nodes.update((source, target))
        if selection.takes(exchange, source, target):
            count.told += 1
            show(exchange, source, target)

    return tell


def csv_rows(file: TextIO) -> Show:
    """Writes a header, then each exchange as a row."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)

    def show(exchange: Exchange, source: int, target: int) -> None:
        times = (f"{exchange.start_s:.6f}", f"{exchange.stop_s:.6f}")
        what = (exchange.via, exchange.kind, exchange.about, int(exchange.ok))
        writer.writerow((*times, source, target, *what, exchange.answer, exchange.failure))

    return show


def lines(print_line: Callable[[str], None]) -> Show:
    """A line an exchange, for people."""

    def show(exchange: Exchange, source: int, target: int) -> None:
        ends = _named(source, exchange.source), _named(target, exchange.target)
        print_line(_line(exchange, *ends))

    return show


def _line(exchange: Exchange, source: str, target: str) -> str:
    took_ms = 1000 * (exchange.stop_s - exchange.start_s)
    told = exchange.failure or exchange.answer
    question = f"{exchange.kind} {exchange.about}".rstrip()
    return (
        f"{exchange.start_s:12.6f} s  {source} -> {target}  {question}: {told} ({took_ms:.1f} ms)"
    )


def _named(number: int, address: Address) -> str:
    return str(address) if number == NO_NODE else str(number)
