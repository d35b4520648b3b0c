"""Remote nodes as the DHT handles them: shared, immutable, with everything computed once.

Ten thousand nodes in one process know each other about 150 times over, so a Peer is one object
per (key, address, role) in the process, whichever node learnt of it.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from sys import intern
from typing import Final

from kademlia.node import Node

from dhtstore.errors import RemoteProtocolError
from dhtstore.model.contact import Address, Contact, local_range
from dhtstore.model.identity import solved
from dhtstore.wire.datagram import pack_contact, unpack_contact

_INTERNED_MAX: Final = 32_768  # about 20 MB
IPV4_SUBNET_BYTES: Final = 3
IPV6_SUBNET_BYTES: Final = 6
IPV6_SITE_BYTES: Final = 7  # RIPE-690: a home gets a /56, and with it 256 networks of 2**64 hosts


class Peer(Node):
    """kademlia's Node, computed from a Contact; compare peers by ``id``, not by identity.

    ``site`` is what one line to the internet gets (``site_of``), ``line`` the same and of a local
    address the address itself, ``subnet`` its /24 or /48, ``local_range`` as in
    ``model.contact``, ``solved`` whether its key cost the puzzle."""

    id: bytes
    long_id: int

    def __init__(self, contact: Contact, packed: bytes) -> None:
        super().__init__(contact.node, contact.address.host, contact.address.port)
        ip = ipaddress.ip_address(contact.address.host)
        self.contact = contact
        self.address = contact.address
        self.packed = packed
        self.ipv6 = ip.version == 6
        self.site = _site(ip)
        self.line = self.site or ip.packed
        self.subnet = subnet_of(self.line)
        self.solved = solved(contact.public_key)
        self.local_range = intern(local_range(contact.address.host))


def site_of(host: str) -> bytes:
    """What one line to the internet gets: an IPv4 address, or an IPv6 /56 (RIPE-690); b"" for
    loopback and private addresses, which are nobody's alone."""
    return _site(ipaddress.ip_address(host))


@lru_cache(maxsize=1024)
def line_and_subnet(host: str) -> tuple[bytes, bytes]:
    """``Peer.line`` and ``Peer.subnet`` of an IP literal."""
    ip = ipaddress.ip_address(host)
    line = _site(ip) or ip.packed
    return line, subnet_of(line)


def subnet_of(line: bytes) -> bytes:
    """The /24 or /48 of a line, as ``Peer`` has it."""
    return line[: IPV4_SUBNET_BYTES if len(line) == 4 else IPV6_SUBNET_BYTES]


def _site(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    if ip.is_private or ip.is_loopback:
        return b""
    return ip.packed if ip.version == 4 else ip.packed[:IPV6_SITE_BYTES]


_interned: OrderedDict[bytes, Peer] = OrderedDict()


def peer_of(contact: Contact) -> Peer:
    """The shared Peer of a contact.  Raises ValueError for a host that is no IP literal."""
    packed = pack_contact(contact)
    return _interned.get(packed) or _intern(contact, packed)


def unpack_peer(packed: bytes) -> Peer | None:
    """The shared Peer of a packed contact; None if nothing could be sent to it."""
    known = _interned.get(packed)
    if known is not None:
        return known
    try:
        return _intern(unpack_contact(packed), packed)
    except RemoteProtocolError:
        return None


def unpack_peers(contacts: Iterable[bytes]) -> list[Peer]:
    """The shared Peers of those packed contacts to which something could be sent."""
    shared = _interned.get
    return [peer for one in contacts if (peer := shared(one) or unpack_peer(one)) is not None]


def peer_at(known: Peer, address: Address, *, storage: bool) -> Peer:
    """The same node at the address and in the role in which it was just heard."""
    if known.address == address and known.contact.storage == storage:
        return known
    return peer_of(Contact(known.contact.public_key, address, known.contact.node, storage))


def _intern(contact: Contact, packed: bytes) -> Peer:
    if len(_interned) >= _INTERNED_MAX:
        _interned.popitem(last=False)  # in use it lives on; only sharing is lost
    peer = _interned[packed] = Peer(contact, packed)
    return peer
