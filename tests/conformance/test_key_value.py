"""What store/contract.py says of a KeyValue, held against every implementation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.sqlite import SqliteKeyValue


@pytest.fixture(params=["memory", "sqlite"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValue]:
    memory = request.param == "memory"
    opened: KeyValue = MemoryKeyValue() if memory else SqliteKeyValue(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def test_what_was_written_is_read(table: KeyValue) -> None:
    table.write([(b"a", b"1"), (b"b", b"")])
    assert table.get(b"a") == b"1"
    assert table.get(b"b") == b""
    assert table.get(b"c") is None


def test_a_write_replaces_and_deletes(table: KeyValue) -> None:
    table.write([(b"a", b"1"), (b"b", b"2")])
    table.write(iter([(b"a", b"3")]), iter([b"b", b"never there"]))
    assert table.scan(b"") == [(b"a", b"3")]


def test_deletes_come_after_puts(table: KeyValue) -> None:
    table.write([(b"a", b"1")], [b"a"])
    assert table.get(b"a") is None


def test_scan_is_ordered_and_bounded_by_the_prefix(table: KeyValue) -> None:
    keys = [b"p", b"p\x00", b"p\xff", b"p\xff\xff", b"q", b"o\xff", b"", b"\xff", b"\xff\xff"]
    table.write([(key, b"v") for key in keys])
    assert [key for key, _ in table.scan(b"p")] == [b"p", b"p\x00", b"p\xff", b"p\xff\xff"]
    assert [key for key, _ in table.scan(b"p\xff")] == [b"p\xff", b"p\xff\xff"]
    assert [key for key, _ in table.scan(b"\xff")] == [b"\xff", b"\xff\xff"]
    assert [key for key, _ in table.scan(b"")] == sorted(keys)
    assert table.scan(b"nothing") == []


def test_scan_follows_writes(table: KeyValue) -> None:
    table.write([(b"k2", b"")])
    assert len(table.scan(b"k")) == 1
    table.write([(b"k1", b"")])
    assert [key for key, _ in table.scan(b"k")] == [b"k1", b"k2"]
    table.write([], [b"k2"])
    assert [key for key, _ in table.scan(b"k")] == [b"k1"]


def test_a_failed_write_changes_nothing(table: KeyValue) -> None:
    table.write([(b"a", b"1")])

    def puts() -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b"2"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        table.write(puts())
    assert table.scan(b"") == [(b"a", b"1")]


def test_sqlite_keeps_what_was_written(tmp_path: Path) -> None:
    first = SqliteKeyValue(tmp_path / "ledger.sqlite")
    first.write([(b"a", b"1")])
    second = SqliteKeyValue(tmp_path / "ledger.sqlite")  # the first was never closed
    assert second.get(b"a") == b"1"
    first.close()
    second.close()
