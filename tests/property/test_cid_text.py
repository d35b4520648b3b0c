"""How CIDs are spelled, against the standard library's base32 (RFC 4648)."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from dhtstore.model.cid import Cid


@given(st.binary(min_size=1, max_size=132).map(lambda tail: bytes((1, 0x55)) + tail))
def test_a_cid_is_spelled_as_base32_without_padding(raw: bytes) -> None:
    expected = base64.b32encode(raw).decode().lower().rstrip("=")
    assert str(Cid(raw)) == "b" + expected


@given(st.binary(max_size=200))
def test_what_was_spelled_is_read_back(data: bytes) -> None:
    assert Cid.parse(str(Cid.of(data))) == Cid.of(data)
