"""Exchanges as rows: a CSV file, or lines for people."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Final, TextIO

from dhtstore.model.contact import Address
from simulations.messages.exchange import Exchange
from simulations.messages.selection import Selection

MESSAGES_FILE: Final = "messages.csv"
COLUMNS: Final = (
    "start_s", "stop_s", "source", "target", "via", "kind", "about", "ok", "answer", "failure",
)  # fmt: skip
NO_NODE: Final = -1
Numbers = Callable[[Address], int]  # of the node at an address, NO_NODE if there is none
Tell = Callable[[Exchange], None]


def csv_rows(file: TextIO, numbers: Numbers, selection: Selection) -> Tell:
    """Writes a header, then each exchange of the selection as a row."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)

    def tell(exchange: Exchange) -> None:
        source, target = numbers(exchange.source), numbers(exchange.target)
        if selection.takes(exchange, source, target):
            times = (f"{exchange.start_s:.6f}", f"{exchange.stop_s:.6f}")
            what = (exchange.via, exchange.kind, exchange.about, int(exchange.ok))
            row = (*times, source, target, *what, exchange.answer, exchange.failure)
            writer.writerow(row)

    return tell


def lines(print_line: Callable[[str], None], numbers: Numbers, selection: Selection) -> Tell:
    """A line an exchange, for people."""

    def tell(exchange: Exchange) -> None:
        source, target = numbers(exchange.source), numbers(exchange.target)
        if selection.takes(exchange, source, target):
            print_line(
                _line(exchange, _named(source, exchange.source), _named(target, exchange.target))
            )

    return tell


def _line(exchange: Exchange, source: str, target: str) -> str:
    took_ms = 1000 * (exchange.stop_s - exchange.start_s)
    told = exchange.failure or exchange.answer
    question = f"{exchange.kind} {exchange.about}".rstrip()
    return (
        f"{exchange.start_s:12.6f} s  {source} -> {target}  {question}: {told} ({took_ms:.1f} ms)"
    )


def _named(number: int, address: Address) -> str:
    return str(address) if number == NO_NODE else str(number)
