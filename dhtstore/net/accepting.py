"""Accepting on a listening socket, through whatever passes, and who of those is let in."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import struct
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from dhtstore.params import (
    HANDSHAKES_AT_ONCE,
    HANDSHAKES_AT_ONCE_PER_ORIGIN,
    HANDSHAKES_PER_S,
    HANDSHAKES_PER_S_PER_ORIGIN,
)

T = TypeVar("T")
ACCEPT_PAUSE_S: Final = 0.1  # after the system refused to accept: out of descriptors, mostly
# accept(2): no connection ever comes through a socket that is closed or does not listen.
_NOT_LISTENING: Final = frozenset((errno.EBADF, errno.EINVAL, errno.ENOTSOCK))
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset and remembers nothing
_ORIGINS_MAX: Final = 4096  # remembered; who came the longest ago has all its tokens again
# Prefixes whose hosts share tokens, and which part of an origin's: one line of an IPv6 site must
# not use up what all of the site has.
_SHARES: Final = {4: ((24, 1.0),), 6: ((48, 1.0), (56, 0.5), (64, 0.25))}


async def next_connection(listener: socket.socket) -> tuple[socket.socket, Any]:
    """The next connection and where it comes from, as ``socket.accept`` gives it.

    Waits while the system cannot accept; raises OSError when this socket never will.
    """
    loop = asyncio.get_running_loop()
    while True:
        try:
            return await loop.sock_accept(listener)
        except OSError as error:
            if error.errno in _NOT_LISTENING:
                raise
            await asyncio.sleep(ACCEPT_PAUSE_S)


def turn_away(sock: socket.socket) -> None:
    """Close a connection so that the system keeps nothing of it either."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


def oldest_of_busiest(origins: Mapping[T, str]) -> T:
    """Who gives way when all places are taken: the first of the origin that has most of them, so
    that whoever holds many loses its own.  ``origins`` is in the order of arrival, not empty."""
    busiest = Counter(origins.values()).most_common(1)[0][0]
    return next(each for each, origin in origins.items() if origin == busiest)


class Tokens:
    """Something that may be done ``at_once`` so often, and then ``per_s`` times a second."""

    __slots__ = ("_at_once", "_at_s", "_left", "_per_s")

    def __init__(self, at_once: float, per_s: float, now_s: float) -> None:
        self._at_once, self._per_s = at_once, per_s
        self._left, self._at_s = at_once, now_s

    def left(self, now_s: float) -> float:
        """How often it may be done now."""
        gained = max(0.0, now_s - self._at_s) * self._per_s
        self._left, self._at_s = min(self._at_once, self._left + gained), now_s
        return self._left

    def wait_s(self, now_s: float) -> float:
        """How long until it may be done once more."""
        return max(0.0, (1 - self.left(now_s)) / self._per_s)

    def take(self) -> None:
        """It is done once; ask ``left`` before."""
        self._left -= 1


class Rations:
    """Tokens for each of many, and some for all of them together."""

    def __init__(
        self, each: tuple[float, float], together: tuple[float, float], now_s: float
    ) -> None:
        """Both are (at once, per second)."""
        self._each, self._all = each, Tokens(*together, now_s)
        self._by_name: OrderedDict[str, Tokens] = OrderedDict()

    def wait_s(self, name: str, now_s: float) -> float:
        """How long ``name`` has to wait for its next token; 0 if there is one."""
        own = self._by_name.pop(name, None) or Tokens(*self._each, now_s)
        self._by_name[name] = own
        while len(self._by_name) > _ORIGINS_MAX:
            self._by_name.popitem(last=False)
        return max(own.wait_s(now_s), self._all.wait_s(now_s))

    def take(self, name: str) -> None:
        """Ask ``wait_s`` before.  Whoever takes more than there is makes all wait the longer."""
        self._by_name[name].take()
        self._all.take()


class Door:
    """Who may begin a TLS handshake, each of which costs the event loop a millisecond, before
    anything is known of a stranger but its address.

    Each origin (the /24 or /48 of an address) has tokens of its own, and all share some.  Whoever
    knocks uses its own, let in or not; and when half of those of all are gone, origins that have
    used half of theirs wait.  So those that knock without end cannot take the turn of those that
    come now and then.
    """

    def __init__(self, now_s: float) -> None:
        self._all = Tokens(HANDSHAKES_AT_ONCE, HANDSHAKES_PER_S, now_s)
        self._by_prefix: OrderedDict[tuple[int, bytes], Tokens] = OrderedDict()

    def admits(self, host: str, now_s: float) -> bool:
        """Whether a stranger at that IP literal may begin one now."""
        left, tokens = self._all.left(now_s), self._tokens_of(host, now_s)
        scarce = left < HANDSHAKES_AT_ONCE / 2
        needed = HANDSHAKES_AT_ONCE_PER_ORIGIN / 2 if scarce else 0
        own = [each.left(now_s) >= max(1, share * needed) for share, each in tokens]
        if all(each.left(now_s) >= 1 for _, each in tokens):
            for _, each in tokens:
                each.take()
        let_in = left >= 1 and all(own)
        if let_in:
            self._all.take()
        return let_in

    def _tokens_of(self, host: str, now_s: float) -> list[tuple[float, Tokens]]:
        ip = ipaddress.ip_address(host)
        found = []
        for bits, share in _SHARES[ip.version]:
            prefix = (bits, ip.packed[: bits // 8])
            tokens = self._by_prefix.pop(prefix, None) or Tokens(
                share * HANDSHAKES_AT_ONCE_PER_ORIGIN, share * HANDSHAKES_PER_S_PER_ORIGIN, now_s
            )
            self._by_prefix[prefix] = tokens
            found.append((share, tokens))
        while len(self._by_prefix) > _ORIGINS_MAX:
            self._by_prefix.popitem(last=False)
        return found
