"""How to reach a node: addresses, contacts, and the signed contact record."""

from __future__ import annotations

import ipaddress
from typing import ClassVar, Final, NamedTuple

import msgspec

from dhtstore.errors import UsageError
from dhtstore.model.features import Features
from dhtstore.model.identity import NodeId, PublicKey, node_id
from dhtstore.model.signing import Signed

_SUBNET_BITS: Final = {4: 24, 6: 48}


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
    try:
        ip = ipaddress.ip_address(address.host)
    except ValueError:
        return False
    several = ip.is_multicast or ip.is_unspecified or (ip.version == 4 and ip.is_reserved)
    return 0 < address.port < 65536 and not several  # 255.255.255.255 is reserved, too


def subnet(address: Address) -> str:
    """The /24 (IPv4) or /48 (IPv6) an address is in, as text: what one operator is usually
    given."""
    ip = ipaddress.ip_address(address.host)
    return str(ipaddress.ip_network((ip, _SUBNET_BITS[ip.version]), strict=False))


class ContactRecord(Signed, msgspec.Struct, frozen=True, array_like=True):
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
