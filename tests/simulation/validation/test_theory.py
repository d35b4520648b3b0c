"""The yardsticks against figures that were derived or measured elsewhere."""

from __future__ import annotations

import pytest

from simulations.events.churn import IPFS
from simulations.events.sessions import LogNormal, Weibull
from simulations.validation import theory

YEAR_S = 365.25 * 86_400


@pytest.mark.parametrize(("k", "bits"), [(8, 4.421), (10, 4.726), (16, 5.377), (20, 5.690)])
def test_bits_per_hop(k: int, bits: float) -> None:
    assert theory.bits_per_hop(k) == pytest.approx(bits, abs=0.001)


@pytest.mark.parametrize(
    ("nodes", "k", "hops"),
    [
        (10**4, 8, 3.137),
        (10**5, 8, 3.888),
        (10**6, 8, 4.639),
        (10**7, 8, 5.390),
        (10**4, 20, 2.530),
        (10**5, 20, 3.106),
        (10**6, 20, 3.694),
        (10**7, 20, 4.275),
    ],
)
def test_hops_of_the_recursion(nodes: int, k: int, hops: float) -> None:
    assert theory.expected_hops(nodes, k) == pytest.approx(hops, abs=0.001)
    assert theory.hops_rule_of_thumb(nodes, k) == pytest.approx(hops, rel=0.07)


def test_a_network_within_one_bucket_needs_one_hop() -> None:
    assert theory.expected_hops(5, 20) == pytest.approx(1, abs=1e-6)


def test_routing_tables_as_probelab_found_them() -> None:
    nodes = 15_371  # RFM19
    assert theory.bucket_candidates(nodes, 9) == pytest.approx(15.01, abs=0.01)
    assert theory.bucket_fill(nodes, 20, 13) == pytest.approx(0.938, abs=0.001)
    assert theory.bucket_full(nodes, 20, 7) == pytest.approx(1, abs=1e-4)
    assert theory.bucket_fill(nodes, 20, 0) == 20
    assert theory.table_size(nodes, 20) == pytest.approx(210, abs=1)
    assert theory.closest_prefix_bits(nodes) == pytest.approx(14.24, abs=0.01)
    assert theory.kth_prefix_bits(nodes, 1) == pytest.approx(14.24, abs=0.01)
    assert 9 < theory.kth_prefix_bits(nodes, 20) < 10  # found in bucket 9


def test_tables_of_tiny_networks_hold_everybody() -> None:
    assert theory.table_size(10, 20) == pytest.approx(9, abs=0.01)


def test_residual_life_is_not_session_length() -> None:
    assert theory.all_gone(IPFS.session, 20, 12 * 3600) == pytest.approx(0.0028, abs=0.0001)
    assert theory.all_gone(IPFS.session, 20, 24 * 3600) == pytest.approx(0.102, abs=0.001)
    naive = (1 - IPFS.session.survival(24 * 3600)) ** 20
    assert naive == pytest.approx(0.603, abs=0.005)


def test_residual_life_of_the_memoryless_is_its_own() -> None:
    assert theory.residual_survival(Weibull(1, 50), 70) == pytest.approx(
        Weibull(1, 50).survival(70)
    )
    assert theory.residual_survival(LogNormal(50, 1), 1e6) == pytest.approx(0, abs=1e-3)


def test_who_was_up_long_stays_longer() -> None:
    hours = [theory.stays_another(IPFS.session, up * 3600, 3600) for up in (0, 1, 4, 12)]
    assert hours == sorted(hours)
    assert hours[0] < 0.5 < hours[-1]


@pytest.mark.parametrize(
    ("malicious", "by_paths"),
    [(0.1, (0.695, 0.907, 0.991, 1.0)), (0.2, (0.463, 0.712, 0.917, 0.993))],
)
def test_disjoint_paths(malicious: float, by_paths: tuple[float, ...]) -> None:
    hops = {2: 0.030, 3: 0.491, 4: 0.473, 5: 0.006}
    for paths, success in zip((1, 2, 4, 8), by_paths, strict=True):
        assert theory.disjoint_success(hops, malicious, paths) == pytest.approx(success, abs=0.006)


def test_availability_of_copies_and_codes() -> None:
    assert theory.availability(0.9, 2) == pytest.approx(0.99)
    assert theory.availability(0.5, 10) > 0.999 > theory.availability(0.5, 9)
    assert 1 - theory.coded_availability(0.9, 16, 32) == pytest.approx(1.3e-9, rel=0.05)
    assert theory.coded_availability(0.9, 1, 3) == pytest.approx(theory.availability(0.9, 3))


@pytest.mark.parametrize(
    ("replicas", "parallel_y", "serial_y"),
    [(2, 29.7, 29.7), (3, 14_272, 7_141), (5, 4.45e9, 1.855e8)],
)
def test_time_to_loss(replicas: int, parallel_y: float, serial_y: float) -> None:
    for parallel, years in ((True, parallel_y), (False, serial_y)):
        found_s = theory.mean_time_to_loss_s(replicas, 30 * 86_400, 3600, parallel=parallel)
        assert found_s / YEAR_S == pytest.approx(years, rel=0.002)


def test_without_repair_copies_die_as_a_harmonic_sum() -> None:
    assert theory.mean_time_to_loss_s(3, 60, 1e12) == pytest.approx(60 * (1 + 1 / 2 + 1 / 3))


def test_maintenance_traffic_as_blake_and_rodrigues() -> None:
    rate = theory.maintenance_bytes_per_s(50e9 * 1000, 1000, 30 * 86_400)
    assert rate == pytest.approx(38.6e3, rel=0.01)
