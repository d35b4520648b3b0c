"""Every name of a file comes back byte for byte, and no two become one."""

from __future__ import annotations

import os

from hypothesis import example, given
from hypothesis import strategies as st

from dhtstore.model.names import bytes_of, name_of, name_of_argument

# Bytes at random are hardly ever UTF-8, and never what stands for a byte.
parts = st.one_of(
    st.binary(max_size=4),
    st.text(max_size=4).map(str.encode),
    st.integers(0xF77F, 0xF800).map(lambda code: chr(code).encode()),
)
names = st.lists(parts, max_size=6).map(b"".join)


@given(names)
def test_a_name_comes_back_byte_for_byte(raw: bytes) -> None:
    name = name_of(raw)
    name.encode()  # text that can be written
    assert bytes_of(name) == raw


@given(names)
def test_a_name_is_given_back_as_it_was_printed(raw: bytes) -> None:
    assert name_of_argument(name_of(raw)) == name_of(raw)


@given(st.binary(max_size=12))
@example("\uf780".encode())
def test_a_name_is_given_by_its_bytes(raw: bytes) -> None:
    """But for characters that stand for bytes: those are how a name was printed."""
    given_text = os.fsdecode(raw)
    if any("\uf780" <= each <= "\uf7ff" for each in given_text):
        assert bytes_of(name_of_argument(given_text)) != raw
    else:
        assert bytes_of(name_of_argument(given_text)) == raw


@given(names)
def test_nothing_becomes_a_slash_or_a_nul(raw: bytes) -> None:
    assert [name_of(raw).count(each) for each in "/\0."] == _counts(raw)


@given(st.text())
def test_whatever_text_a_directory_of_others_has_is_bytes(name: str) -> None:
    assert _counts(bytes_of(name)) == [name.count(each) for each in "/\0."]


@given(st.text().filter(lambda text: not any("\uf780" <= each <= "\uf7ff" for each in text)))
def test_text_is_spelled_as_by_ipfs_tools(text: str) -> None:
    assert name_of(text.encode()) == text
    assert bytes_of(text) == text.encode()


def _counts(raw: bytes) -> list[int]:
    return [raw.count(each) for each in (b"/", b"\0", b".")]
