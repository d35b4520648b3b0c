"""Names of what was put here, and beginnings of CIDs, in place of CIDs."""

from __future__ import annotations

import pytest

from dhtstore.errors import AmbiguousName, InvalidCid
from dhtstore.model.cid import Cid
from dhtstore.model.cid_path import as_one_spelling
from dhtstore.operations.short_names import Known, resolved

ONE, TWO, THREE = (str(Cid.of(data)) for data in (b"one", b"two", b"three"))
KNOWN = (
    Known(ONE, "photos", "put 2026-11-24T10:00:00Z"),
    Known(TWO, "notes", "put 2026-11-24T11:00:00Z"),
    Known(THREE, "notes", "put 2026-11-25T11:00:00Z"),
    Known(TWO, "a/b"),
    Known(ONE, "a"),
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("photos", ONE),
        ("photos/", f"{ONE}/"),
        ("photos/2024/beach.jpg", f"{ONE}/2024/beach.jpg"),
        ("a/b", TWO),  # the longest name
        ("a/b/c", f"{TWO}/c"),
        ("a/c", f"{ONE}/c"),
        (ONE[:12], ONE),
        (f"{TWO[:12]}/x", f"{TWO}/x"),
    ],
)
def test_what_is_unique_stands_for_its_cid(text: str, meant: str) -> None:
    assert resolved(text, KNOWN) == meant


def test_one_cid_put_and_pinned_under_a_name_is_one() -> None:
    assert resolved("photos", (*KNOWN, Known(ONE, "photos"))) == ONE


def test_of_several_all_are_told() -> None:
    with pytest.raises(AmbiguousName) as raised:
        resolved("notes", KNOWN)
    assert raised.value.causes == {
        TWO: "notes put 2026-11-24T11:00:00Z",
        THREE: "notes put 2026-11-25T11:00:00Z",
    }
    many = [Known(str(Cid.of(bytes([n]))), "x") for n in range(100)]
    with pytest.raises(AmbiguousName, match="100") as raised:
        resolved("x", many)
    assert list(raised.value.causes) == [each.cid for each in many[-20:]]


def test_a_beginning_that_all_cids_have_is_none() -> None:
    with pytest.raises(InvalidCid):
        resolved(ONE[:9], KNOWN[:1])


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("bafkrei" + ONE[8:], "58 characters, 1 less", "did you mean " + ONE),
        (ONE + "a", "60 characters, 1 more", "did you mean " + ONE),
        (ONE[:20] + "1" + ONE[21:], "'1' at place 21", "did you mean " + ONE),
        (ONE[:20] + ONE[20:].upper(), "mixes small and capital", ""),
        ("Qm0" + "1" * 43, "'0' at place 3", ""),
        ("photso", "nothing that was put or pinned here has that name", "did you mean photos?"),
        ("something else", "has that name", ""),
        (ONE[:13] + "x", "14 characters, 45 less", "a CID looks like"),
        ("bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", "codec 0x71", "dag-pb"),
    ],
)
def test_a_slip_of_the_pen_is_named(text: str, problem: str, hint: str) -> None:
    with pytest.raises(InvalidCid) as raised:
        resolved(text, KNOWN)
    assert problem in str(raised.value)
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        (f"ipfs://{ONE}/a%20b", f"{ONE}/a b"),
        (f"/ipfs/{ONE}", ONE),
        ("photos/2024", "photos/2024"),
        ("bafybroken", "bafybroken"),
    ],
)
def test_other_spellings_of_a_cid_are_one_and_names_stay(text: str, spelled: str) -> None:
    assert as_one_spelling(text) == spelled
