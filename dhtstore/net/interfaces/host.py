"""The real ``Interfaces``: this machine's addresses, and word of the kernel when they change."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from dhtstore.errors import UsageError
from dhtstore.net.interfaces.netlink import hosts_in, is_last, question

# Documentation addresses (RFC 5737, RFC 3849): connecting a UDP socket sends nothing, it only
# makes the kernel choose the interface that faces the internet.
_PROBES: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_ADDRESSES_CHANGED: Final = 0x10 | 0x100  # RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR
_UNTOLD: Final = "the system does not tell the addresses of this machine"
_PART_BYTES: Final = 64 * 1024
_ANSWER_TIMEOUT_S: Final = 1.0  # the kernel answers before the call that asks it ends
_SETTLE_S: Final = 1.0  # an old lease goes and a new one comes: told of once


class HostInterfaces:
    """``net.ports.Interfaces`` of this machine."""

    def __init__(self) -> None:
        self._known: tuple[str, ...] | None = None

    def hosts(self) -> tuple[str, ...]:
        """See ``net.ports.Interfaces.hosts``; asks the kernel once, ``changed`` again."""
        if self._known is None:
            try:
                self._known = _read()
            except OSError as error:
                reason = error.strerror or error
                raise UsageError(f"{_UNTOLD} ({reason}): use --advertise") from error
        return self._known

    async def changed(self) -> None:
        """See ``net.ports.Interfaces.changed``; wakes only when the kernel has news."""
        known, loop = self.hosts(), asyncio.get_running_loop()
        while True:
            with _netlink(_ADDRESSES_CHANGED) as news:
                news.setblocking(False)
                found = _read()
                if set(found) != set(known):
                    self._known = found
                    return
                with contextlib.suppress(OSError):  # so much news that some of it was lost
                    await loop.sock_recv(news, _PART_BYTES)
            await asyncio.sleep(_SETTLE_S)


def _read() -> tuple[str, ...]:
    with _netlink() as sock:
        sock.settimeout(_ANSWER_TIMEOUT_S)
        sock.send(question())
        found: dict[str, None] = {}
        part = b""
        while not is_last(part):
            part = sock.recv(_PART_BYTES)
            found.update(dict.fromkeys(hosts_in(part)))
    outward = [host for probe in _PROBES if (host := _outward(*probe)) in found]
    return tuple(dict.fromkeys((*outward, *found)))


def _netlink(groups: int = 0) -> socket.socket:
    """For questions, and for news of ``groups``."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        sock.bind((0, groups))
    except OSError:
        sock.close()
        raise
    return sock


def _outward(family: int, probe: str) -> str:
    """The address that faces the internet; "" without a route to it."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((probe, 9))
        return str(sock.getsockname()[0])
    return ""
