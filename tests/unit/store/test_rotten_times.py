"""Times of the ledger that no clock can have shown: what would be reckoned with them is none."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.health.fellows import FellowRow, Fellows, ForgottenRow
from dhtstore.store.ledger.health.holders import HolderRow, HolderRows, HoldersRow
from dhtstore.store.ledger.health.own_times import OwnTimes, OwnTimesRow
from dhtstore.store.ledger.health.running import RunningRow, RunningTime
from dhtstore.store.ledger.health.spent import Spent, SpentRow
from dhtstore.store.ledger.memory import MemoryKeyValue

UNIT = b"u" * 32, False
ROTTEN = [math.nan, math.inf, -math.inf, -1e300, 1e300]


def own_times(table: KeyValue, value: float) -> object:
    OwnTimes(table).save(OwnTimesRow(1.0, 2.0, 3.0, value))
    return OwnTimes(table).load()


def silent(table: KeyValue, value: float) -> object:
    Fellows(table).save({b"k": FellowRow(1.0, 2.0, 3.0, value, ())})
    return next(iter(Fellows(table).all()), None)


def absences(table: KeyValue, value: float) -> object:
    Fellows(table).save({b"k": FellowRow(1.0, 2.0, 3.0, 0.0, (5.0, value))})
    return next(iter(Fellows(table).all()), None)


def forgotten(table: KeyValue, value: float) -> object:
    Fellows(table).save({}, [], ForgottenRow(value, 1))
    row = Fellows(table).forgotten()
    return None if row == ForgottenRow() else row


def short(table: KeyValue, value: float) -> object:
    HolderRows(table).save({UNIT: HoldersRow(short_since_unix_s=value)})
    row = HolderRows(table).get(UNIT)
    return None if row == HoldersRow() else row


def proven(table: KeyValue, value: float) -> object:
    HolderRows(table).save({UNIT: HoldersRow(holders=(HolderRow(b"k", value),))})
    row = HolderRows(table).get(UNIT)
    return None if row == HoldersRow() else row


def running(table: KeyValue, value: float) -> object:
    RunningTime(table).save(RunningRow(value))
    row = RunningTime(table).load()
    return None if row == RunningRow() else row


def spent(table: KeyValue, value: float) -> object:
    Spent(table).save(SpentRow(value, 1))
    row = Spent(table).load()
    return None if row == SpentRow() else row


SPANS = [own_times, silent, absences, forgotten, running]
DATES = [short, proven, spent]


@pytest.mark.parametrize("kind", SPANS + DATES, ids=lambda kind: kind.__name__)
def test_a_time_that_cannot_be_is_a_damaged_row(kind: Callable[[KeyValue, float], object]) -> None:
    """Of a holder whose silence is not a number none would ever be taken for lost."""
    for value in [*ROTTEN, *([-1.0] if kind in SPANS else [])]:
        assert kind(MemoryKeyValue(), value) is None, value
    for value in (1.0, 1_700_000_000.0):
        assert kind(MemoryKeyValue(), value) is not None


def test_less_than_nothing_was_never_sent() -> None:
    """It would be as much more that repairs may send that day."""
    table = MemoryKeyValue()
    Spent(table).save(SpentRow(1.0, -1))
    assert Spent(table).load() == SpentRow()
