"""Quantities are read exactly or refused with what was expected."""

from __future__ import annotations

import pytest

from simulations.units import bytes_per_s, seconds, share, size_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("50 ms", 0.05), ("8 h", 28800), ("1.5min", 90), (0, 0), ("0", 0), ("1e3 us", 0.001)],
)
def test_durations(text: object, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"), [("64 KiB", 65536), ("1 GB", 10**9), ("0.5 KiB", 512), ("7 B", 7)]
)
def test_sizes(text: str, expected: int) -> None:
    assert size_bytes(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("1 MiB/s", 2**20), ("100 Mbit/s", 12_500_000)])
def test_rates(text: str, expected: float) -> None:
    assert bytes_per_s(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("5 %", 0.05), (0.25, 0.25), (1, 1), ("100%", 1)])
def test_shares(text: object, expected: float) -> None:
    assert share(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("read", "value", "complaint"),
    [
        (seconds, 50, "not a duration"),
        (seconds, "50", "no unit"),
        (seconds, "50 MiB", "unknown unit 'MiB'; one of us, ms"),
        (seconds, True, "not a duration"),
        (seconds, "fast", "not a duration"),
        (seconds, "nan s", "not a duration"),
        (seconds, "1e999 s", "more than any"),
        (bytes_per_s, "1e308 kB/s", "more than any"),
        (size_bytes, "0.3 B", "whole number"),
        (size_bytes, "1 s", "unknown unit"),
        (bytes_per_s, "1 MiB", "unknown unit"),
        (share, "150 %", "outside"),
        (share, -0.1, "outside"),
        (share, True, "not a share"),
        (share, float("nan"), "not a share"),
    ],
)
def test_what_is_refused(read: object, value: object, complaint: str) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match=complaint):
        read(value)
