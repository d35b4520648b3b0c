"""Paths below a CID: bare ones by the letter, URLs as the URL standard says."""

from __future__ import annotations

import os

import pytest

from dhtstore.errors import InvalidCid
from dhtstore.model.cid import Cid
from dhtstore.model.cid_path import parse_cid_path

ROOT = str(Cid.of(b"root"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (ROOT, ()),
        (f" {ROOT}\n", ()),
        (f"{ROOT}/", ()),
        (f"{ROOT}/a/b", ("a", "b")),
        (f"{ROOT}//a/", ("a",)),
        (f"/ipfs/{ROOT}/a", ("a",)),
        (f"{ROOT}/ends in a space ", ("ends in a space ",)),
        (f"{ROOT}/ / a", (" ", " a")),
        (f"{ROOT}/line\n", ("line\n",)),
        (f"{ROOT}/100%25.txt", ("100%25.txt",)),
        (f"{ROOT}/what?#1", ("what?#1",)),
        (f"/ipfs/{ROOT}/100%.txt", ("100%.txt",)),
        (f"ipfs://{ROOT}", ()),
        (f"IPFS://{ROOT}/", ()),
        (f"ipfs://{ROOT}/100%25.txt", ("100%.txt",)),
        (f"ipfs://{ROOT}/caf%C3%a9/caf\u00e9", ("caf\u00e9", "caf\u00e9")),
        (f"ipfs://{ROOT}/a%20b%20/my file", ("a b ", "my file")),
        (f"ipfs://{ROOT}/%3Fquery%23fragment", ("?query#fragment",)),
        (f" ipfs://{ROOT}/a\n ", ("a",)),
        (f"ipfs://{ROOT}/a/./b/%2e%2E/../c", ("c",)),
        (f"ipfs://{ROOT}/../a", ("a",)),
    ],
)
def test_what_leads_somewhere(text: str, names: tuple[str, ...]) -> None:
    assert parse_cid_path(text) == (Cid.of(b"root"), names)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not a CID"),
        ("ipfs://", "not a CID"),
        (f"ipfs:///ipfs/{ROOT}", "not a CID"),
        (f"{ROOT}/a/../b", "no name '..'"),
        (f"{ROOT}/.", "no name '.'"),
        (f"{ROOT}/a\0b", "no name"),
        (f"ipfs://{ROOT}/a%2Fb", "no name 'a/b'"),
        (f"ipfs://{ROOT}/a%00", "no name"),
        (f"ipfs://{ROOT}/100%.txt", "%25"),
        (f"ipfs://{ROOT}/%e", "%25"),
        (f"ipfs://{ROOT}/%ff", "no UTF-8"),
        (f"ipfs://{ROOT}/%ED%B3%BF", "no UTF-8"),
        (f"ipfs://{ROOT}/a?b", "no query"),
        (f"ipfs://{ROOT}/a#b", "no fragment"),
        (f"ipfs://{ROOT}?", "no query"),
        (f"{ROOT}/{os.fsdecode(bytes((0xFF,)))}", "not UTF-8"),
    ],
)
def test_what_leads_nowhere(text: str, match: str) -> None:
    with pytest.raises(InvalidCid, match=match):
        parse_cid_path(text)
