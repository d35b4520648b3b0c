"""Files cut by content: exactly where Kubo's buzhash cuts, and a change moves few cuts."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dhtstore.content.builders.buzhash import TABLE, WINDOW_BYTES, cut
from dhtstore.content.builders.importer import UNIXFS_BUZHASH
from dhtstore.params import BUZHASH_MAX_BYTES, BUZHASH_MIN_BYTES, KIB, MIB

LARGE_BYTES = 64 * MIB
SAID_OF = (1 << 17) - 1


def rotated(word: int) -> int:
    return (word << 1 | word >> 31) & 0xFFFFFFFF


def cut_by_byte(data: bytes) -> int:
    """``NextBytes`` of chunker/buzhash.go, step for step, of what its buffer holds."""
    if len(data) < BUZHASH_MIN_BYTES:
        return len(data)
    state, at = 0, BUZHASH_MIN_BYTES - WINDOW_BYTES
    for byte in data[at:BUZHASH_MIN_BYTES]:
        state = rotated(state) ^ TABLE[byte]
    while at < len(data) - WINDOW_BYTES and state & SAID_OF:
        state = rotated(state) ^ TABLE[data[at]] ^ TABLE[data[at + WINDOW_BYTES]]
        at += 1
    return at + WINDOW_BYTES


FOREIGN: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "buzhash.json").read_text()
)["vectors"]


def stream(seed: int, size_bytes: int, mask: int) -> bytes:
    """The input of a vector: see ``input`` there."""
    out = bytearray()
    for number in range(-(-size_bytes // 32)):
        out += hashlib.sha256(seed.to_bytes(8, "big") + number.to_bytes(8, "big")).digest()
    return bytes(out[:size_bytes]).translate(bytes(byte & mask for byte in range(256)))


def chunks(data: bytes) -> list[bytes]:
    return list(UNIXFS_BUZHASH.chunks(data, ended=True))


@pytest.mark.parametrize("vector", FOREIGN, ids=lambda vector: str(vector["seed"]))
def test_cuts_where_the_code_of_kubo_itself_did(vector: dict[str, Any]) -> None:
    data = stream(vector["seed"], vector["size_bytes"], vector["mask"])
    assert [len(chunk) for chunk in chunks(data)] == vector["chunks"]


@given(
    st.integers(0, BUZHASH_MAX_BYTES) | st.just(BUZHASH_MAX_BYTES),
    st.integers(0, 2**32),
    st.sampled_from([2, 3, 17, 256]),
)
@example(BUZHASH_MIN_BYTES, 1, 256)
@example(BUZHASH_MIN_BYTES + 1, 1, 256)
@settings(max_examples=20, deadline=None)
def test_cuts_where_the_reference_does(size_bytes: int, seed: int, kinds: int) -> None:
    rng = random.Random(seed)
    data = bytes(rng.choices(rng.sample(range(256), kinds), k=size_bytes))
    assert cut(memoryview(data)) == cut_by_byte(data)


@pytest.mark.parametrize("byte", range(0, 256, 37))
def test_one_byte_all_over_is_cut_as_by_the_reference(byte: int) -> None:
    data = bytes([byte]) * BUZHASH_MAX_BYTES
    assert cut(memoryview(data)) == cut_by_byte(data)


def test_many_cuts_in_a_row_are_those_of_the_reference() -> None:
    data, offset = random.Random(9).randbytes(4 * MIB), 0
    for chunk in chunks(data):
        assert len(chunk) == cut_by_byte(data[offset : offset + BUZHASH_MAX_BYTES])
        offset += len(chunk)
    assert offset == len(data)


def test_a_byte_more_at_the_front_costs_less_than_a_fiftieth() -> None:
    data = random.Random(2).randbytes(LARGE_BYTES)
    before, after = chunks(data), chunks(b"\0" + data)
    assert b"".join(after) == b"\0" + data
    assert chunks(data) == before, "the same each time"
    known = set(before)
    new_bytes = sum(len(chunk) for chunk in after if chunk not in known)
    assert new_bytes < LARGE_BYTES / 50
    for chunk in (*before[:-1], *after[:-1]):
        assert BUZHASH_MIN_BYTES <= len(chunk) <= BUZHASH_MAX_BYTES


@pytest.mark.parametrize("size_bytes", [0, 1, 127 * KIB, 128 * KIB])
def test_what_is_small_is_one_chunk(size_bytes: int) -> None:
    data = bytes(size_bytes)
    assert chunks(data) == ([data] if data else [])
