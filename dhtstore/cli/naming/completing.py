"""What a shell may complete: keys of settings, CIDs and names of what is kept here, known nodes.

It is asked for at each press of a key: it takes COMPLETING_MAX_S at most, and where that does not
do, or anything goes wrong, nothing is offered and nothing said.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer

Offered = list[tuple[str, str]]  # a word, and what it is

COMPLETING_MAX_S: Final = 0.15  # beside 0.12 s for the start: less than a person notices
_OFFERED_MAX: Final = 200
# What no shell reads as anything but itself: zsh evaluates what it is given.
_PLAIN: Final = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


def contents(ctx: typer.Context, incomplete: str) -> Offered:
    """CIDs and names of puts and pins."""
    return offered(incomplete, lambda: [*_puts(ctx), *_pins(ctx)])


def pins_by_hand(ctx: typer.Context, incomplete: str) -> Offered:
    """CIDs and names of what ``pin rm`` can remove."""
    return offered(incomplete, lambda: list(_pins(ctx, kind="user")))


def puts(ctx: typer.Context, incomplete: str) -> Offered:
    """CIDs and names of what ``rm`` can remove."""
    return offered(incomplete, lambda: list(_puts(ctx)))


def nodes(ctx: typer.Context, incomplete: str) -> Offered:
    """Ids of the nodes that the one here knows."""
    from dhtstore.operations.nodes import ListPeers

    def known() -> Offered:
        return [(row.node, row.address) for row in _asked(ctx, ListPeers())]

    return offered(incomplete, known)


def keys(ctx: typer.Context, incomplete: str) -> Offered:
    """Of settings."""
    from dhtstore.config import SETTINGS

    return offered(incomplete, lambda: [(each.key, each.help) for each in SETTINGS])


def _puts(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    from dhtstore.operations.keeping import ListPuts

    for row in reversed(_asked(ctx, ListPuts())):  # the newest first
        yield from _both(row.cid, row.name, "put from here")


def _pins(ctx: typer.Context, kind: str = "") -> Iterator[tuple[str, str]]:
    from dhtstore.operations.keeping import ListPins

    for row in _asked(ctx, ListPins()):
        if not kind or row.kind == kind:
            yield from _both(row.cid, row.name, "pinned here")


def _both(cid: str, name: str, what: str) -> Iterator[tuple[str, str]]:
    if name:
        yield name, what
    yield cid, name if _PLAIN.fullmatch(name) else what


def offered(incomplete: str, find: Callable[[], Offered]) -> Offered:
    found: dict[str, str] = {}
    try:
        with _within(COMPLETING_MAX_S):
            for word, what in find():
                if word.startswith(incomplete) and _PLAIN.fullmatch(word):
                    found.setdefault(word, what)
    except Exception:
        return []
    return list(found.items())[:_OFFERED_MAX]


@contextmanager
def _within(limit_s: float) -> Iterator[None]:
    """Raises TimeoutError when it takes longer, also out of a system call."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _asked(ctx: typer.Context, operation: Any) -> Any:
    """Of the node, or the data directory, that the line so far names."""
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.common import common_of

    given: dict[str, Any] = {"home": ctx.params.get("home") or ""}
    return ask(common_of(given), operation)
