"""Names of files that are not UTF-8, as text."""

from __future__ import annotations

import os

import pytest

from dhtstore.model.names import bytes_of, name_of, name_of_argument, quoted


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"plain", "plain"),
        ("Käse 🧀".encode(), "Käse 🧀"),
        (b"caf\xe9", "caf\uf7e9"),
        (b"\xff\x80", "\uf7ff\uf780"),
        (b"\xc3", "\uf7c3"),  # the first byte of a character, alone
        (b"\xc3\xa9", "é"),
        (b"\xc3/\xa9", "\uf7c3/\uf7a9"),
        ("\uf7e9".encode(), "\uf7ef\uf79f\uf7a9"),  # what stands for a byte, itself
        ("\uf77f\uf800".encode(), "\uf77f\uf800"),  # their neighbours
        (b"\xed\xb3\xbf", "\uf7ed\uf7b3\uf7bf"),  # a surrogate is no UTF-8
    ],
)
def test_a_name_is_text_and_comes_back(raw: bytes, name: str) -> None:
    assert name_of(raw) == name
    assert bytes_of(name) == raw
    assert name_of_argument(name) == name


def test_what_no_name_of_a_file_becomes_is_no_name() -> None:
    with pytest.raises(UnicodeEncodeError):
        bytes_of("\udce9")
    with pytest.raises(UnicodeEncodeError):
        bytes_of("\udce9\uf7e9")


def test_an_argument_may_hold_the_bytes_themselves() -> None:
    assert name_of_argument(f"CID/{os.fsdecode(b'caf' + bytes((0xE9,)))}") == "CID/caf\uf7e9"


def test_messages_show_such_bytes_as_bytes() -> None:
    assert quoted(name_of(b"caf\xe9 it's\n")) == """"caf\\xe9 it's\\n\""""
