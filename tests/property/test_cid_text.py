"""How CIDs are spelled, against the standard library's base32 (RFC 4648)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.errors import InvalidCid
from dhtstore.model.cid import Cid, spelled

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


@given(st.binary(min_size=1, max_size=132).map(lambda tail: bytes((1, 0x55)) + tail))
def test_a_cid_is_spelled_as_base32_without_padding(raw: bytes) -> None:
    expected = base64.b32encode(raw).decode().lower().rstrip("=")
    assert str(Cid(raw)) == "b" + expected


@given(st.binary(max_size=200))
def test_what_was_spelled_is_read_back(data: bytes) -> None:
    assert Cid.parse(str(Cid.of(data))) == Cid.of(data)


@given(st.binary(max_size=40), st.sampled_from(_BASE32))
def test_bits_that_say_nothing_are_no_second_spelling(data: bytes, last: str) -> None:
    for cid in (Cid.of(data), Cid(bytes((1, 0x55, 0, len(data))) + data)):
        typo = str(cid)[:-1] + last
        try:
            assert str(Cid.parse(typo)) == typo
        except InvalidCid:
            assert typo != str(cid)


_ONE = Cid.of(b"one")


@pytest.mark.parametrize(
    "text",
    [
        f"{_ONE}=",
        "f" + _ONE.raw.hex(" "),
        "f" + _ONE.raw.hex().upper(),
        "F" + _ONE.raw.hex(),
        "b" + _ONE.raw.hex(),
    ],
)
def test_nothing_else_is_a_second_spelling(text: str) -> None:
    with pytest.raises(InvalidCid):
        Cid.parse(text)


@pytest.mark.parametrize("slip", ["f", "g", "h"])
def test_the_last_character_is_named_if_it_is_none(slip: str) -> None:
    text = str(Cid.of(b"x"))
    assert text[-1] == "e"
    problem = f"'{slip}' at place 59 ends no such CID: .* y and 4 do"
    with pytest.raises(InvalidCid, match=problem) as raised:
        Cid.parse(text[:-1] + slip)
    assert "copy it whole" in raised.value.hint


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
