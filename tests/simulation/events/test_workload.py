"""Workloads: pure, in order, and of the distributions they name."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from simulations.events.workload import (
    ObjectContent,
    OperationKind,
    UserAction,
    Zipf,
    flash_crowd,
    mass_reprovide,
    mix,
    object_size,
    operations,
)
from simulations.scenario import from_tables
from simulations.sections.workload import WorkloadSettings
from simulations.world.ports.contents import PIECE_BYTES


def settings(**values: object) -> WorkloadSettings:
    return from_tables({"workload": values}).workload


@pytest.mark.parametrize("kind", ["mix", "flash_crowd", "lookups", "reprovide", "none"])
def test_a_workload_is_pure_and_in_order(kind: str) -> None:
    chosen = settings(kind=kind, operations_per_s=2)
    one = list(operations(chosen, 50, 600, seed=1))
    assert one == list(operations(chosen, 50, 600, seed=1))
    assert [o.at_s for o in one] == sorted(o.at_s for o in one)
    assert all(0 <= o.client < 50 for o in one)
    if kind != "none":
        assert one != list(operations(chosen, 50, 600, seed=2))


def test_the_mix_has_its_rate_its_share_and_gets_only_what_was_put() -> None:
    chosen = settings(kind="mix", operations_per_s=10, put_share="20 %", objects=2000)
    done = list(mix(chosen, 50, 500, seed=1))
    assert len(done) == pytest.approx(5000, rel=0.06)
    puts = [o for o in done if o.kind is OperationKind.PUT]
    assert len(puts) / len(done) == pytest.approx(0.2, abs=0.02)
    present: dict[int, int] = {}
    for operation in done:
        if operation.kind is OperationKind.PUT:
            assert operation.object not in present
            present[operation.object] = operation.size_bytes
        assert present[operation.object] == operation.size_bytes


def test_when_everything_is_put_only_gets_follow() -> None:
    chosen = settings(kind="mix", operations_per_s=10, put_share=1.0, objects=5)
    kinds = Counter(o.kind for o in mix(chosen, 10, 100, seed=1))
    assert kinds[OperationKind.PUT] == 5
    assert kinds[OperationKind.GET] > 500


@pytest.mark.parametrize("exponent", [0.0, 0.8, 1.2])
def test_zipf_ranks_fall_by_the_exponent(exponent: float) -> None:
    rng, zipf = random.Random(1), Zipf(100, exponent)
    counts = Counter(zipf.sample(rng) for _ in range(40_000))
    assert counts[0] / counts[9] == pytest.approx(10**exponent, rel=0.2)
    assert set(counts) <= set(range(100))


def test_sizes_have_the_median_and_stay_below_the_maximum() -> None:
    chosen = settings(size_median_bytes="16 KiB", size_sigma=2.0, size_max_bytes="1 MiB")
    sizes = sorted(object_size(chosen, 1, number) for number in range(4000))
    assert sizes[2000] == pytest.approx(16 * 1024, rel=0.12)
    assert sizes[-1] == 2**20
    assert sizes[0] >= 1


def test_objects_are_given_by_seed_and_number() -> None:
    assert ObjectContent(1, 2, 100).piece(0) == ObjectContent(1, 2, 100).piece(0)
    some = {ObjectContent(seed, n, 9).piece(0) for seed in range(5) for n in range(5)}
    assert len(some) == 25


def test_objects_are_as_long_as_they_should_be_and_no_piece_is_like_another() -> None:
    content = ObjectContent(1, 2, 2 * PIECE_BYTES + 7)
    pieces = [content.piece(number) for number in range(content.pieces)]
    assert [len(piece) for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, 7]
    assert len({piece[:7] for piece in pieces}) == 3


def test_without_sigma_all_objects_have_the_median() -> None:
    chosen = settings(size_median_bytes="1 MiB", size_sigma=0, size_max_bytes="8 MiB")
    assert {object_size(chosen, 1, number) for number in range(20)} == {2**20}


def test_a_flash_crowd_grows_and_everybody_comes_once() -> None:
    chosen = settings(kind="flash_crowd", crowd=300, ramp_s="10 min")
    put, *gets = flash_crowd(chosen, 1000, seed=1)
    assert put == UserAction(0.0, OperationKind.PUT, 0, 0, put.size_bytes)
    assert len({get.client for get in gets} - {0}) == 300
    middle = 600 + 300
    assert sum(get.at_s < middle for get in gets) / 300 == pytest.approx(0.25, abs=0.07)


def test_a_crowd_larger_than_the_network_is_everybody() -> None:
    gets = list(flash_crowd(settings(kind="flash_crowd", crowd=300), 10, seed=1))[1:]
    assert sorted(get.client for get in gets) == list(range(1, 10))


def test_reproviding_follows_all_puts_by_the_same_clients() -> None:
    done = list(mass_reprovide(settings(kind="reprovide", objects=50), 20, seed=1))
    puts, again = done[:50], done[50:]
    assert {o.kind for o in puts} == {OperationKind.PUT}
    assert {o.kind for o in again} == {OperationKind.REPROVIDE}
    pairs = [(o.object, o.client) for o in puts]
    assert sorted(pairs) == sorted((o.object, o.client) for o in again)


def test_no_rate_means_no_operations() -> None:
    chosen = settings(kind="lookups", operations_per_s=0)
    assert list(itertools.islice(operations(chosen, 10, 1e9, seed=1), 1)) == []
