"""How CIDs are spelled, against the standard library's base32 (RFC 4648)."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from dhtstore.model.cid import Cid, spelled


@given(st.binary(min_size=1, max_size=132).map(lambda tail: bytes((1, 0x55)) + tail))
def test_a_cid_is_spelled_as_base32_without_padding(raw: bytes) -> None:
    expected = base64.b32encode(raw).decode().lower().rstrip("=")
    assert str(Cid(raw)) == "b" + expected


@given(st.binary(max_size=200))
def test_what_was_spelled_is_read_back(data: bytes) -> None:
    assert Cid.parse(str(Cid.of(data))) == Cid.of(data)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=9), st.integers(0, 300))
def test_many_are_spelled_as_each(digests: list[bytes], more: int) -> None:
    cids = [Cid(bytes((1, 0x70, 0x12, 32)) + digest) for digest in digests]
    cids += [Cid.of(number.to_bytes(2, "big")) for number in range(more)]
    assert spelled(cids) == [str(cid) for cid in cids]


@given(st.lists(st.binary(max_size=40), max_size=9))
def test_those_of_other_lengths_too(contents: list[bytes]) -> None:
    inlined = [Cid(bytes((1, 0x55, 0, len(each))) + each) for each in contents]
    old = [Cid(Cid.of(each).multihash) for each in contents]
    for cids in (inlined, old, [*inlined, *old]):
        assert spelled(cids) == [str(cid) for cid in cids]
