"""Which addresses to tell others, and names to addresses."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from dhtstore.errors import UsageError
from dhtstore.model.contact import Address

T = TypeVar("T")
MAPPED: Final = "::ffff:"  # IPv4 on a socket of IPv6 (RFC 4291 section 2.5.5.2)
_RESOLVE_TIMEOUT_S = 5.0
# Documentation addresses (RFC 5737, RFC 3849): connecting a UDP socket sends nothing, it only
# makes the kernel choose the interface that faces the internet.
_PROBES = {4: (socket.AF_INET, "192.0.2.1"), 6: (socket.AF_INET6, "2001:db8::1")}


def advertised(host: str, port: int) -> tuple[Address, ...]:
    """What to put in tickets and contact records for a node bound to ``host``.

    For a wildcard host: the address of the interface that faces the internet, or loopback on a
    machine without one.
    """
    ip = ipaddress.ip_address(host)
    if not ip.is_unspecified:
        return (Address(host, port),)
    versions = (4, 6) if ip.version == 6 else (4,)
    found = [Address(own, port) for version in versions if (own := _outward(version))]
    return tuple(found) or (Address("127.0.0.1", port),)


def _outward(version: int) -> str | None:
    family, probe = _PROBES[version]
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((probe, 9))
        return str(sock.getsockname()[0])
    return None


def address_of(peer: Any) -> Address:
    """That of a peer as a socket tells it: IPv4 in its own spelling, without a scope."""
    return Address(peer[0].removeprefix(MAPPED), peer[1])


async def resolve(host: str, port: int) -> tuple[Address, ...]:
    """All addresses of a host name; an IP literal is its own.  Raises UsageError for none."""
    with contextlib.suppress(ValueError):
        return (Address(str(ipaddress.ip_address(host)), port),)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        raise UsageError(f"cannot find the address of {host}: {error}") from error
    return tuple(dict.fromkeys(Address(str(info[4][0]), port) for info in found))


def oldest_of_busiest_host(hosts: Mapping[T, str]) -> T:
    """Who gives way when all places are taken: the first of the host that has most of them, so
    that whoever holds many loses its own.  ``hosts`` is in the order of arrival, not empty."""
    busiest = Counter(hosts.values()).most_common(1)[0][0]
    return next(each for each, host in hosts.items() if host == busiest)
