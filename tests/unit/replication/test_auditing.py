"""What audits look at, and what they find."""

from __future__ import annotations

import hashlib
import random

import pytest

from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.params import (
    AUDIT_EVERY_S,
    AUDIT_READ_FREE_BYTES,
    AUDIT_READ_SAVED_S,
    AUDIT_READ_SHARE_PER_DAY,
    AUDIT_SAMPLES_MAX,
    DAY_S,
    GIB,
    MIB,
)
from dhtstore.replication.audit_ration import AuditRation
from dhtstore.replication.auditing import (
    Answer,
    deadline_s,
    sample,
    samples,
    slot_unix_s,
    undetected,
)

BLOCKS = [hashlib.sha256(bytes([i])).digest() for i in range(50)]
A, B, C = (PublicKey(bytes([i]) * 32) for i in range(3))
NAME = b"a unit"


def test_a_sample_depends_on_the_nonce_and_not_on_the_order_of_the_walk() -> None:
    there = sample(b"n" * 32, NAME, BLOCKS, 5)
    assert sample(b"n" * 32, NAME, reversed(BLOCKS), 5) == there
    assert sample(b"m" * 32, NAME, BLOCKS, 5) != there
    assert sample(b"n" * 32, b"another", BLOCKS, 5) != there
    assert sorted(sample(b"n" * 32, NAME, [*BLOCKS, *BLOCKS], 99)) == sorted(BLOCKS)


def test_each_block_is_as_likely_as_any_other() -> None:
    met = dict.fromkeys(BLOCKS, 0)
    for nonce in range(2000):
        for block in sample(nonce.to_bytes(32, "big"), NAME, BLOCKS, 5):
            met[block] += 1
    assert all(130 < count < 280 for count in met.values()), "200 each, standard deviation 13"


def proof(nonce: bytes, auditor: PublicKey, holder: PublicKey, name: bytes, block: bytes) -> bytes:
    answer = Answer(Network("main"), nonce, auditor, holder, name)
    answer.take(BLOCKS[0], block)
    return answer.proof


def test_an_answer_serves_for_one_question_of_one_auditor_to_one_holder() -> None:
    right = proof(b"n" * 32, A, B, NAME, b"block")
    others = [
        proof(b"m" * 32, A, B, NAME, b"block"),
        proof(b"n" * 32, C, B, NAME, b"block"),
        proof(b"n" * 32, A, C, NAME, b"block"),  # what another holder of it answers
        proof(b"n" * 32, A, B, b"another", b"block"),
        proof(b"n" * 32, A, B, NAME, b"blocc"),
    ]
    assert right not in others
    assert right == proof(b"n" * 32, A, B, NAME, b"block")


def test_one_percent_of_rotten_blocks_is_found_within_a_month() -> None:
    """1 GiB in blocks of 1 MiB at one of three holders: two auditors, the default period."""
    blocks, rotten = GIB // MIB, 10
    audits = int(30 * DAY_S / AUDIT_EVERY_S)
    rng = random.Random(1)
    taken = [samples(blocks, 3, AUDIT_EVERY_S, rng) for _ in range(1000)]
    mean = sum(taken) / len(taken)
    assert undetected(blocks, rotten, int(mean), 2 * audits) < 1e-3
    asked_and_answered = 2 * 2 * mean / (AUDIT_EVERY_S / DAY_S)  # blocks a day, as each of both
    assert asked_and_answered / blocks <= 0.05


def test_that_is_so_when_it_is_tried() -> None:
    """A thousand months, with the sample as audits draw it."""
    blocks = [hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(100)]
    rotten, missed, rng = {blocks[7]}, 0, random.Random(2)
    for _month in range(400):
        found = False
        for _ in range(14):
            chosen = sample(rng.randbytes(32), NAME, blocks, 5)
            found = found or not rotten.isdisjoint(chosen)
        missed += not found
    expected = undetected(100, 1, 5, 14)
    assert abs(missed / 400 - expected) < 3 * (expected * (1 - expected) / 400) ** 0.5


def test_of_small_units_few_audits_read_anything() -> None:
    rng = random.Random(3)
    taken = [samples(1, 3, AUDIT_EVERY_S, rng) for _ in range(10_000)]
    assert set(taken) == {0, 1}
    assert 0.03 < sum(taken) / len(taken) < 0.06
    assert samples(10**7, 3, AUDIT_EVERY_S, rng) == AUDIT_SAMPLES_MAX


def test_two_nodes_audit_each_other_at_the_same_times() -> None:
    now = 1_700_000_000.0
    slot = slot_unix_s(A, B, AUDIT_EVERY_S, now)
    assert slot == slot_unix_s(B, A, AUDIT_EVERY_S, now)
    assert now - AUDIT_EVERY_S < slot <= now
    assert slot_unix_s(A, B, AUDIT_EVERY_S, now + AUDIT_EVERY_S) == pytest.approx(
        slot + AUDIT_EVERY_S
    )
    assert slot != slot_unix_s(A, C, AUDIT_EVERY_S, now)


def test_a_slow_line_has_more_time() -> None:
    assert deadline_s(0.3, 10) > deadline_s(0.01, 10)
    assert deadline_s(0.01, 100) > deadline_s(0.01, 10)


def test_all_who_ask_have_one_ration_and_no_origin_takes_all_of_it() -> None:
    ration, kept = AuditRation(), 10 * GIB
    a_day = kept * AUDIT_READ_SHARE_PER_DAY + AUDIT_READ_FREE_BYTES
    whole = int(a_day * AUDIT_READ_SAVED_S / DAY_S)
    assert ration.has("one", kept, 0.0)
    ration.took("one", whole // 2 + MIB)
    assert not ration.has("one", kept, 1.0)
    assert ration.has("another", kept, 2.0)
    ration.took("another", whole // 2 + MIB)
    assert not ration.has("a third", kept, 3.0)
    assert ration.has("a third", kept, 3.0 + DAY_S)
    assert ration.has("one", kept, 3.0 + 30 * DAY_S)
