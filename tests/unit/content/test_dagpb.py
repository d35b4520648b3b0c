"""The dag-pb codec takes what the specification allows and nothing else."""

from __future__ import annotations

import pytest

from dhtstore.content.codec import dagpb
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.protobuf import bytes_field, number_field
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.params import LINKS_READ_MAX

CID = Cid.of(b"child")
HASH = bytes_field(1, CID.raw)
NAME = bytes_field(2, b"name")
TSIZE = number_field(3, 300)
LINK = bytes_field(2, HASH + NAME + TSIZE)
DATA = bytes_field(1, b"data")


def test_links_are_written_before_data() -> None:
    block = dagpb.encode([DagLink(CID, "name", 300)], b"data")
    assert block == LINK + DATA
    assert dagpb.decode(block) == ([DagLink(CID, "name", 300)], b"data")


def test_data_before_links_is_read() -> None:
    assert dagpb.decode(DATA + LINK) == dagpb.decode(LINK + DATA)


@pytest.mark.parametrize("link", [HASH, HASH + NAME, HASH + TSIZE])
def test_name_and_size_of_a_link_may_be_absent(link: bytes) -> None:
    ((read,), data) = dagpb.decode(bytes_field(2, link))
    assert read.cid == CID
    assert data == b""


def test_an_empty_block_is_an_empty_node() -> None:
    assert dagpb.decode(b"") == ([], b"")


BAD = {
    "links in two places": LINK + DATA + LINK,
    "data twice": DATA + DATA,
    "unknown field": bytes_field(3, b""),
    "number where bytes belong": number_field(1, 5),
    "group": b"\x0b",
    "cut field": LINK[:-1],
    "cut number": b"\x0a\xff",
    "65-bit number": b"\x0a" + b"\xff" * 10 + b"\x01",
    "link without hash": bytes_field(2, NAME),
    "link with name first": bytes_field(2, NAME + HASH),
    "link with size before name": bytes_field(2, HASH + TSIZE + NAME),
    "link with two hashes": bytes_field(2, HASH + HASH),
    "link with unknown field": bytes_field(2, HASH + NAME + TSIZE + bytes_field(4, b"")),
    "link with cut name": bytes_field(2, HASH + NAME[:-1]),
    "link with a name outside UTF-8": bytes_field(2, HASH + bytes_field(2, b"\xff")),
    "link to no CID": bytes_field(2, bytes_field(1, b"\x01\x55")),
    "link to an unknown codec": bytes_field(2, bytes_field(1, b"\x01\x71" + CID.raw[2:])),
    "link with a cut hash": bytes_field(2, bytes_field(1, CID.raw)[:-1]),
    "empty link": bytes_field(2, b""),
    "too many links": bytes_field(2, bytes_field(1, b"\x01\x55\x00\x00")) * (LINKS_READ_MAX + 1),
    "too large": bytes_field(1, bytes(3 << 20)),
}


@pytest.mark.parametrize("block", BAD.values(), ids=BAD.keys())
def test_a_malformed_block_is_refused(block: bytes) -> None:
    with pytest.raises(MalformedDag):
        dagpb.decode(block)
