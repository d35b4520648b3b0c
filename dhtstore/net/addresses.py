"""Which addresses to tell others, and names to addresses."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from itertools import zip_longest
from typing import Any, Final

from dhtstore.errors import AddressInUse, UsageError
from dhtstore.model.contact import Address
from dhtstore.params import ADDRESSES_PER_TICKET_MAX

MAPPED: Final = "::ffff:"  # IPv4 on a socket of IPv6 (RFC 4291 section 2.5.5.2)
_RESOLVE_TIMEOUT_S = 5.0
_LOOPBACK: Final = "127.0.0.1"


def cannot_listen(where: Address, error: OSError) -> AddressInUse:
    """What to say of an address that cannot be bound."""
    problem = AddressInUse(f"cannot listen on {where}: {error.strerror or error}")
    if error.errno == errno.EADDRNOTAVAIL:
        return problem.hinted("this machine has no such address; --listen 0.0.0.0:PORT takes all")
    if error.errno == errno.EACCES:
        return problem.hinted("ports below 1024 are for root: choose another with --listen")
    return problem


def is_wide(local: Address) -> bool:
    """Whether a socket bound there takes what comes to any address of this machine."""
    return ipaddress.ip_address(local.host).is_unspecified


def is_here(host: str) -> bool:
    """Whether an IP literal means this machine, to whomever."""
    return ipaddress.ip_address(host).is_loopback


def is_elsewhere(host: str) -> bool:
    """Whether an IP literal is an address that this machine has not; a name is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
        with socket.socket(family, socket.SOCK_DGRAM) as tried:
            tried.bind((host, 0))
    except OSError as error:
        return error.errno == errno.EADDRNOTAVAIL
    return False


def advertised(local: Address, hosts: Iterable[str]) -> tuple[Address, ...]:
    """What to put in tickets and contact records for a node bound to ``local``, on a machine
    that has ``hosts``.

    Of a wildcard all that others can reach, at most ADDRESSES_PER_TICKET_MAX: global ones before
    private ones, IPv4 before IPv6, and in ``hosts``' order.  Where that is not room for all, the
    second of a kind comes after the first of every other.  Loopback is told only if there is
    nothing else; what is good on one link only, never.
    """
    if not is_wide(local):
        return (local,)
    family = [host for host in hosts if ":" in local.host or ":" not in host]
    kinds: dict[tuple[_Scope, int], list[str]] = {}
    for host in _farthest_reaching(family):
        kinds.setdefault(_kind(host), []).append(host)
    turns = zip_longest(*(kinds[kind] for kind in sorted(kinds)))
    chosen = [host for turn in turns for host in turn if host][:ADDRESSES_PER_TICKET_MAX]
    return tuple(Address(host, local.port) for host in sorted(chosen, key=_kind))


def own_hosts(
    local: Address, told: Iterable[Address], hosts: Callable[[], Iterable[str]]
) -> list[str]:
    """Where a node bound to ``local`` is itself, told to others or not: it may be behind a router.
    Of a wildcard ``hosts``, without loopback, on which every machine is."""
    found = [address.host for address in told]
    if not is_wide(local):
        return [*found, local.host]
    with contextlib.suppress(UsageError):  # the system does not tell: what was told, then
        found += [host for host in hosts() if not is_here(host)]
    return found


class _Scope(IntEnum):
    GLOBAL = 0
    PRIVATE = 1
    HERE = 2  # this machine only
    LINK = 3  # of no use without saying which


def _farthest_reaching(hosts: Sequence[str]) -> Sequence[str]:
    """Those that others can reach; only where there are none, those of loopback."""
    for scopes in ((_Scope.GLOBAL, _Scope.PRIVATE), (_Scope.HERE,)):
        if found := [host for host in hosts if _kind(host)[0] in scopes]:
            return found
    return (_LOOPBACK,)


def _kind(host: str) -> tuple[_Scope, int]:
    """Scope and family, those told first the lowest."""
    ip = ipaddress.ip_address(host)
    if ip.is_loopback:
        return _Scope.HERE, ip.version
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return _Scope.LINK, ip.version
    return (_Scope.GLOBAL if ip.is_global else _Scope.PRIVATE), ip.version


def address_of(peer: Any) -> Address:
    """That of a peer as a socket tells it: IPv4 in its own spelling, without a scope."""
    return Address(peer[0].removeprefix(MAPPED), peer[1])


def in_reach(local: Address, to: Address) -> bool:
    """Whether a datagram socket bound to ``local`` can send to addresses of ``to``'s family."""
    return (":" in local.host) == (":" in to.host) or local.host == "::"


def _reason(error: OSError | TimeoutError | UnicodeError) -> str:
    told = getattr(error, "strerror", None) or str(error)
    return told or "no answer in time"


async def resolve(host: str, port: int) -> tuple[Address, ...]:
    """All addresses of a host name; an IP literal is its own, and IPv4 within IPv6 is IPv4.  Raises
    UsageError for none."""
    with contextlib.suppress(ValueError):
        return (Address(_plain(host), port),)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:  # the last is of IDNA (RFC 3490)
        raise UsageError(f"cannot find the address of {host}: {_reason(error)}").hinted(
            "check the name and this machine's resolver, or give the address itself"
        ) from error
    return tuple(dict.fromkeys(Address(_plain(str(info[4][0])), port) for info in found))


def _plain(literal: str) -> str:
    """An IP literal in its usual spelling; raises ValueError for what is none."""
    ip = ipaddress.ip_address(literal)
    return str((ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip)
