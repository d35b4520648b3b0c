"""The same that ``python -m tests.fuzz`` does a million times, a few thousand times."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.fuzz.corpus import INPUT_MAX_BYTES, KINDS, entries, outcome_of
from tests.fuzz.datagrams import fuzz_datagrams
from tests.fuzz.findings import Report
from tests.fuzz.frames import fuzz_frames

DATAGRAMS = int(os.environ.get("DHTSTORE_FUZZ_DATAGRAMS", "6000"))
FRAMES = int(os.environ.get("DHTSTORE_FUZZ_FRAMES", "3000"))
SEED = int(os.environ.get("DHTSTORE_FUZZ_SEED", "1"))


def test_mutated_datagrams_break_nothing() -> None:
    report = fuzz_datagrams(DATAGRAMS, SEED)
    assert [*map(str, report.findings)] == []
    assert report.inputs >= DATAGRAMS
    told = {"malformed", "forged", "unasked", "unsupported", "other_network", "cookies_shown"}
    assert told <= report.outcomes.keys(), "it got to each of these"


def test_mutated_frames_break_nothing() -> None:
    report = fuzz_frames(FRAMES, SEED)
    assert [*map(str, report.findings)] == []
    assert report.inputs >= FRAMES
    assert {"refused", "judged", "over links", "as answers"} <= report.outcomes.keys()


def test_a_finding_is_told() -> None:
    report = Report()

    def fragile(data: bytes) -> None:
        raise KeyError(data)

    report.feed("frame", b"\x01", fragile)
    assert [*map(str, report.findings)] == ["frame: KeyError(b'\\x01'): 01"]


def test_the_corpus_is_small_and_of_every_kind() -> None:
    known = {one["kind"] for one in entries()}
    assert known == KINDS.keys(), "python -m tests.fuzz --distil 60000 adds what is new"
    assert len(entries()) <= 400
    for one in entries():
        assert len(one["hex"]) <= 2 * INPUT_MAX_BYTES or "broke" in one


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_found_once_is_still_made_of_it(kind: str) -> None:
    """Whether it is refused, and else what it is; why, says a library in its own words."""
    ours = [one for one in entries() if one["kind"] == kind]
    told: dict[str, Any] = {one["hex"]: _coarse(one["outcome"]) for one in ours}
    made = {one["hex"]: _coarse(outcome_of(kind, bytes.fromhex(one["hex"]))) for one in ours}
    assert made == told


def _coarse(outcome: str) -> str:
    return outcome.partition(":")[0]
