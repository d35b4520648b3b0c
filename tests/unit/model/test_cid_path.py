"""Paths below a CID: bare ones by the letter, URLs as the URL standard says."""

from __future__ import annotations

import os

import pytest

from dhtstore.errors import InvalidCid
from dhtstore.model.cid import Cid
from dhtstore.model.cid_path import as_one_spelling, file_name, parse_cid_path
from dhtstore.model.names import name_of

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
        (f"{ROOT}?filename=b", ()),
        (f"/ipfs/{ROOT}/a?filename=b", ("a",)),
        (f"ipfs://{ROOT}/a?filename=b\n", ("a",)),
        (f"{ROOT}/caf{os.fsdecode(bytes((0xE9,)))}", (name_of(b"caf\xe9"),)),
        (f"ipfs://{ROOT}/caf%E9", (name_of(b"caf\xe9"),)),
        (f"ipfs://{ROOT}/%ED%B3%BF", (name_of(b"\xed\xb3\xbf"),)),
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
        (f"ipfs://{ROOT}/a?b", "no query"),
        (f"ipfs://{ROOT}/a#b", "no fragment"),
        (f"ipfs://{ROOT}?", "no query"),
        (f"{ROOT}/\ud800", "not UTF-8"),
        (f"ipfs://{ROOT}?format=car", "no query"),
        (f"ipfs://{ROOT}?filename=a#b", "%23"),
        (f"{ROOT}?filename=a&format=car", "%26"),
        (f"{ROOT}?format=car&filename=a", "not a CID"),
        (f"{ROOT}?filename=", "without a name"),
        (f"{ROOT}?filename=a%2Fb", "no name 'a/b'"),
        (f"{ROOT}?filename=/etc/passwd", "no name"),
        (f"{ROOT}?filename=..", "no name"),
        (f"{ROOT}?filename=%2e", "no name"),
        (f"{ROOT}?filename=a%00", "no name"),
        (f"{ROOT}?filename=a%", "%25"),
        (f"{ROOT}?filename={'n' * 256}", "255 bytes"),
        (f"{ROOT}?filename={'%C3%A9' * 128}", "255 bytes"),
    ],
)
def test_what_leads_nowhere(text: str, match: str) -> None:
    with pytest.raises(InvalidCid, match=match):
        parse_cid_path(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (ROOT, ROOT),
        (f"/ipfs/{ROOT}/", ROOT),
        (f"{ROOT}/a/b/", "b"),
        (f"ipfs://{ROOT}/a%20b", "a b"),
        (f"{ROOT}?filename=holiday.iso", "holiday.iso"),
        (f"{ROOT}/a?filename=a+b%20c%2B%3F", "a b c+?"),
        (f"/ipfs/{ROOT}/a?filename=caf\u00e9", "caf\u00e9"),
        (f"ipfs://{ROOT}?filename=%E2%82%AC%FF", name_of(b"\xe2\x82\xac\xff")),
        (f"{ROOT}?filename={os.fsdecode(bytes((0xFF,)))}", name_of(b"\xff")),
        (f"{ROOT}/what?filename=?filename=b", "b"),
        (f"{ROOT}?filename={'n' * 255}", "n" * 255),
        ("photos", "photos"),
        ("photos/2024", "2024"),
        ("photos?filename=p", "p"),
    ],
)
def test_what_it_is_called(text: str, name: str) -> None:
    assert file_name(text) == name


def test_one_spelling_stays_what_it_is() -> None:
    for text in (f"{ROOT}/what?filename=%3F?filename=b", f"{ROOT}/a b?filename=b", f"{ROOT}/a"):
        once = as_one_spelling(text)
        assert as_one_spelling(once) == once
        assert parse_cid_path(once) == parse_cid_path(text)
    assert as_one_spelling("photos/2024?filename=p") == "photos/2024"
