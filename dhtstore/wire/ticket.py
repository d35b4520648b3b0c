"""Tickets: one string that makes another node a seed.

``dht1`` and then lowercase base32 (RFC 4648, no padding) of: the network's name, the public key,
up to four addresses, and a CRC-32 of everything before it.  A CRC-32 finds every error burst of
up to 32 bits, so no single wrong character (5 bits) can pass.  It holds no secret and no time:
the same node with the same addresses has the same ticket for ever.
"""

from __future__ import annotations

import base64
import ipaddress
import zlib
from dataclasses import dataclass
from typing import Final

from dhtstore.errors import InvalidTicket
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.params import ADDRESSES_PER_TICKET_MAX, NETWORK_NAME_MAX_BYTES, PUBLIC_KEY_BYTES

TICKET_PREFIX: Final = "dht1"  # the digit is the version
_CRC_BYTES: Final = 4
_IP_BYTES: Final = (4, 16)
_TEXT_MAX_CHARS: Final = 512


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where one node of a network listens, and the key it proves there."""

    network: str
    public_key: PublicKey
    addresses: tuple[Address, ...]

    def __str__(self) -> str:
        body = _encode_body(self)
        sealed = body + zlib.crc32(body).to_bytes(_CRC_BYTES, "big")
        return TICKET_PREFIX + base64.b32encode(sealed).decode().lower().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """The ticket in ``text``; raises InvalidTicket if a single character of it is wrong."""
        text = text.strip()
        try:
            ticket = _decode_body(_unseal(text))
        except (ValueError, IndexError) as error:
            raise InvalidTicket(f"not a ticket: {text[:24]!r}... ({error})") from error
        if str(ticket) != text:
            raise InvalidTicket(f"not a ticket: {text[:24]!r}... (not in its one spelling)")
        return ticket

    def contacts(self) -> list[Contact]:
        return [Contact.of(self.public_key, address) for address in self.addresses]


def looks_like_ticket(text: str) -> bool:
    """Whether ``text`` was meant as a ticket; HOST:PORT always has a colon."""
    return ":" not in text


def _encode_body(ticket: Ticket) -> bytes:
    name = ticket.network.encode()
    if not name or len(name) > NETWORK_NAME_MAX_BYTES:
        raise InvalidTicket(f"a network's name has 1 to {NETWORK_NAME_MAX_BYTES} bytes")
    if len(ticket.public_key) != PUBLIC_KEY_BYTES:
        raise InvalidTicket(f"a public key has {PUBLIC_KEY_BYTES} bytes")
    if not 0 < len(ticket.addresses) <= ADDRESSES_PER_TICKET_MAX:
        raise InvalidTicket(f"a ticket holds 1 to {ADDRESSES_PER_TICKET_MAX} addresses")
    addresses = b"".join(_encode_address(address) for address in ticket.addresses)
    return bytes((len(name),)) + name + ticket.public_key + addresses


def _encode_address(address: Address) -> bytes:
    packed = ipaddress.ip_address(address.host).packed
    return bytes((len(packed),)) + packed + address.port.to_bytes(2, "big")


def _unseal(text: str) -> bytes:
    if not text.startswith(TICKET_PREFIX) or len(text) > _TEXT_MAX_CHARS:
        raise ValueError(f"it must begin with {TICKET_PREFIX}")
    encoded = text.removeprefix(TICKET_PREFIX).upper()
    try:
        sealed = base64.b32decode(encoded + "=" * (-len(encoded) % 8))
    except ValueError as error:  # whose words are about its padding
        raise ValueError("a character is wrong or missing") from error
    body, crc = sealed[:-_CRC_BYTES], sealed[-_CRC_BYTES:]
    if zlib.crc32(body).to_bytes(_CRC_BYTES, "big") != crc:
        raise ValueError("a character is wrong or missing")
    return body


def _decode_body(body: bytes) -> Ticket:
    key_at = 1 + body[0]
    addresses_at = key_at + PUBLIC_KEY_BYTES
    name, key = body[1:key_at], body[key_at:addresses_at]
    return Ticket(name.decode(), PublicKey(key), _decode_addresses(body[addresses_at:]))


def _decode_addresses(data: bytes) -> tuple[Address, ...]:
    addresses: list[Address] = []
    while data:
        end = 1 + data[0]
        if data[0] not in _IP_BYTES or len(data) < end + 2:
            raise ValueError("an address in it is malformed")
        host = str(ipaddress.ip_address(data[1:end]))
        addresses.append(Address(host, int.from_bytes(data[end : end + 2], "big")))
        data = data[end + 2 :]
    return tuple(addresses)
