"""How to reach a node: addresses, contacts, and the signed contact record."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple

import msgspec

from dhtstore.errors import UsageError
from dhtstore.model.features import Features
from dhtstore.model.identity import NodeId, PublicKey, node_id
from dhtstore.model.signing import Signed

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_SUBNET_BITS: Final = {4: 24, 6: 48}
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4 in the last 4 bytes
# Where an address means another host to everybody: loopback (RFC 1122, RFC 4291), this network
# (RFC 1122), private use (RFC 1918, RFC 4193), shared by carriers (RFC 6598), one link (RFC 3927,
# RFC 4291).
_LOCAL: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "0.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
        *("100.64.0.0/10", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"),
    )
)


class Address(NamedTuple):
    """An IP literal and a port; UDP and TCP share it.  A tuple, as sockets take it."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def split_host_port(text: str) -> tuple[str, int]:
    """Split HOST:PORT, with brackets around an IPv6 literal; raises UsageError."""
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    named = separator and host and host.isprintable()
    if not named or not port.isascii() or not port.isdigit():
        raise UsageError(f"not an address of the form HOST:PORT: {text[:80]!r}")
    if int(port) > 65535:
        raise UsageError(f"port {port} does not exist (0 to 65535)")
    return host, int(port)


def routable(address: Address) -> bool:
    """Whether a datagram may be sent there: an IP literal that is one host, and a real port."""
    return 0 < address.port < 65536 and _is_one_host(address.host)


@lru_cache(maxsize=4096)  # index nodes ask it again and again of the same
def _is_one_host(host: str) -> bool:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    several = ip.is_multicast or ip.is_unspecified or (ip.version == 4 and ip.is_reserved)
    return not several  # 255.255.255.255 is reserved, too


def followable(address: Address, own_hosts: Iterable[str]) -> bool:
    """Whether others' word that a node is at ``address`` may lead a dial or a datagram there: a
    stranger must not choose what this node touches behind its own router, or on its own machine.

    Loopback and each private range only where this node is itself, by one of ``own_hosts`` (IP
    literals); whatever else is ``routable``.  What a user gives, and where a node has answered
    from, need no such leave.
    """
    if not routable(address):
        return False
    local = _local(address.host)
    return local is None or any(_local(host) == local for host in own_hosts)


def local_range(host: str) -> str:
    """The range of an IP literal that means another host to everybody, as ``followable`` has it;
    "" for what means one host everywhere."""
    network = _local(host)
    return "" if network is None else str(network)


def _local(host: str) -> _Network | None:
    """The local range that an IP literal leads into, in whatever form of IPv6 IPv4 is spelled."""
    ip = _within(ipaddress.ip_address(host))
    return next((network for network in _LOCAL if ip in network), None)


def _within(ip: _Ip) -> _Ip:
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return ipaddress.IPv4Address(ip.packed[-4:])
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip


def subnet(address: Address) -> str:
    """The /24 (IPv4) or /48 (IPv6) an address is in, as text: what one operator is usually
    given."""
    ip = ipaddress.ip_address(address.host)
    return str(ipaddress.ip_network((ip, _SUBNET_BITS[ip.version]), strict=False))


class ContactRecord(Signed, msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a node says of itself; the newest ``sequence`` wins.

    ``capacity_bytes`` > 0 makes it a storage node.  ``domain`` is the operator's label for a
    failure domain ("" when not set).  Times are unix seconds of the signer's clock.
    ``features`` names what it can do beyond the protocol.
    """

    signing_domain: ClassVar[bytes] = b"dhtstore/contact/1\0"

    public_key: bytes
    addresses: tuple[tuple[str, int], ...]
    capacity_bytes: int
    domain: str
    sequence: int
    issued: int
    expires: int
    features: Features = ()

    @property
    def signer(self) -> PublicKey:
        return PublicKey(self.public_key)

    @property
    def node(self) -> NodeId:
        return node_id(self.signer)

    def address_list(self) -> tuple[Address, ...]:
        return tuple(Address(*pair) for pair in self.addresses)


class Contact(msgspec.Struct, frozen=True, gc=False):
    """Who to talk to: a key, where it was last seen, its id (computed once), and whether it
    said it is a storage node (a hint until the node itself answers)."""

    public_key: PublicKey
    address: Address
    node: NodeId
    storage: bool = False

    @classmethod
    def of(cls, public_key: PublicKey, address: Address, *, storage: bool = False) -> Contact:
        return cls(public_key, address, node_id(public_key), storage)
