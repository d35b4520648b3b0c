"""dag-pb: a node of a Merkle DAG as protobuf (IPLD dag-pb specification).

Encoding is canonical: links first, then data, each link as hash, name, size.  Decoding is as
strict as the specification's own codecs: no unknown field, no field twice, links in one run
(which may stand before or after the data, as both exist in the wild), link fields in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from dhtstore.content.codec.protobuf import (
    BYTES,
    VARINT,
    bytes_field,
    fields,
    number_field,
    read_varint,
)
from dhtstore.errors import InvalidCid, MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, LINKS_READ_MAX

_DATA: Final = 1
_LINKS: Final = 2
_HASH, _NAME, _TSIZE = 1, 2, 3


class DagLink(msgspec.Struct, frozen=True, gc=False):
    """A link to a child.  ``tsize_bytes`` is the claimed size of everything below, blocks
    included; 0 when nothing is claimed."""

    cid: Cid
    name: str
    tsize_bytes: int


def encode(links: Iterable[DagLink], data: bytes | memoryview | None) -> bytes:
    """The canonical block of a node.  The caller gives the links in their order."""
    parts = [bytes_field(_LINKS, encode_link(link)) for link in links]
    if data is not None:
        parts.append(bytes_field(_DATA, data))
    return b"".join(parts)


def encode_link(link: DagLink) -> bytes:
    return (
        bytes_field(_HASH, link.cid.raw)
        + bytes_field(_NAME, link.name.encode())
        + number_field(_TSIZE, link.tsize_bytes)
    )


def decode(block: bytes | memoryview) -> tuple[list[DagLink], bytes]:
    """The links and the data of a block (absent data reads as empty).  Raises MalformedDag."""
    if len(block) > BLOCK_SIZE_MAX_BYTES:
        raise MalformedDag(f"a block of {len(block)} bytes is too large")
    links: list[DagLink] = []
    data: bytes | None = None
    links_ended = False
    for field, wire_type, value in fields(bytes(block), LINKS_READ_MAX + 1):
        if wire_type != BYTES or field not in (_DATA, _LINKS):
            raise MalformedDag(f"a dag-pb node with unknown field {field}")
        assert isinstance(value, bytes)
        if field == _LINKS:
            if links_ended or len(links) == LINKS_READ_MAX:
                raise MalformedDag("a dag-pb node with too many links or links in two places")
            links.append(_decode_link(value))
            continue
        if data is not None:
            raise MalformedDag("a dag-pb node with two data fields")
        data, links_ended = value, bool(links)
    return links, data or b""


def _decode_link(raw: bytes) -> DagLink:
    """One link: hash, then optionally a name, then optionally a size."""
    try:
        length = raw[1]
        if raw[0] != _HASH << 3 | BYTES:
            raise MalformedDag("a dag-pb link that does not begin with its hash")
        if length < 0x80:
            at = 2 + length
        else:
            length, start = read_varint(raw, 1)
            at = start + length
        cid = Cid.decode(raw[at - length : at])
        name, at = _decode_name(raw, at)
        return DagLink(cid, name, _decode_tsize(raw, at))
    except (IndexError, UnicodeDecodeError) as error:
        raise MalformedDag("a dag-pb link that ends early or has a name outside UTF-8") from error
    except InvalidCid as error:
        raise MalformedDag(f"a dag-pb link to something unreadable: {error}") from error


def _decode_name(raw: bytes, at: int) -> tuple[str, int]:
    if at >= len(raw) or raw[at] != _NAME << 3 | BYTES:
        return "", at
    length, start = raw[at + 1], at + 2
    if length >= 0x80:
        length, start = read_varint(raw, at + 1)
    end = start + length
    if end > len(raw):
        raise MalformedDag("a dag-pb link that ends inside its name")
    return raw[start:end].decode(), end


def _decode_tsize(raw: bytes, at: int) -> int:
    if at == len(raw):
        return 0
    if raw[at] != _TSIZE << 3 | VARINT:
        raise MalformedDag("a dag-pb link with a field that is unknown or out of order")
    tsize, end = read_varint(raw, at + 1)
    if end != len(raw):
        raise MalformedDag("a dag-pb link with a field that is unknown or out of order")
    return tsize
