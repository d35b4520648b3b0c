"""What store/contract.py says of a KeyValue, held against every implementation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.api.home_ledger import DividedKeyValue
from dhtstore.store.ledger.contract import SCAN_PAGE_ROWS, KeyValue, scan_all
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.sqlite import SqliteKeyValue


@pytest.fixture(params=["memory", "sqlite", "divided"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValue]:
    opened: KeyValue
    if request.param == "divided":
        lasting = SqliteKeyValue(tmp_path / "ledger.sqlite")
        opened = DividedKeyValue((b"a", b"p\x00", b"q"), lasting, MemoryKeyValue())
    else:
        memory = request.param == "memory"
        opened = MemoryKeyValue() if memory else SqliteKeyValue(tmp_path / "ledger.sqlite")
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


def test_a_scan_goes_on_after_a_key(table: KeyValue) -> None:
    table.write([(key, b"v") for key in (b"a", b"p", b"p\x00", b"p1", b"p2", b"q")])

    def keys(after: bytes | None, limit: int) -> list[bytes]:
        return [key for key, _ in table.scan(b"p", after=after, limit=limit)]

    assert keys(None, 2) == [b"p", b"p\x00"]
    assert keys(b"p\x00", 2) == [b"p1", b"p2"]
    assert keys(b"p2", 2) == []
    assert keys(b"p", 1) == [b"p\x00"]
    assert keys(b"p0, never there", 9) == [b"p1", b"p2"]
    assert keys(b"", 1) == keys(b"a", 1) == [b"p"]
    assert keys(b"q", 9) == []
    assert keys(b"\xff", 9) == []


def test_a_page_is_bounded(table: KeyValue) -> None:
    table.write([(b"%04d" % number, b"") for number in range(3 * SCAN_PAGE_ROWS)])
    assert len(table.scan(b"")) == SCAN_PAGE_ROWS
    assert len(table.scan(b"", limit=5)) == 5


@pytest.mark.parametrize("rows", [0, 1, SCAN_PAGE_ROWS, SCAN_PAGE_ROWS + 1, 3 * SCAN_PAGE_ROWS])
def test_all_pages_are_everything_once(table: KeyValue, rows: int) -> None:
    pairs = [(b"p%04d" % number, b"%d" % number) for number in range(rows)]
    table.write([*pairs, (b"o", b""), (b"q", b"")])
    assert list(scan_all(table, b"p")) == pairs
    assert table.count(b"p") == rows
    assert table.count(b"") == rows + 2


def test_writes_between_pages_count_from_the_next_page_on(table: KeyValue) -> None:
    table.write([(b"%04d" % number, b"old") for number in range(0, 4 * SCAN_PAGE_ROWS, 2)])
    scan = scan_all(table, b"")
    met = [next(scan) for _ in range(SCAN_PAGE_ROWS)]  # one page
    last = met[-1][0]
    ahead = b"%04d" % (int(last) + 101)
    table.write([(b"0001", b"behind"), (ahead, b"ahead")], [b"%04d" % (int(last) + 2), b"0002"])
    met += scan
    keys = [key for key, _ in met]
    assert keys == sorted(set(keys))
    assert b"0001" not in keys
    assert b"0002" in keys
    assert b"%04d" % (int(last) + 2) not in keys
    assert (ahead, b"ahead") in met
    assert len(keys) == 2 * SCAN_PAGE_ROWS


def test_a_page_may_lose_the_key_it_goes_on_after(table: KeyValue) -> None:
    table.write([(b"%04d" % number, b"") for number in range(SCAN_PAGE_ROWS + 2)])
    scan = scan_all(table, b"")
    last = [next(scan)[0] for _ in range(SCAN_PAGE_ROWS)][-1]
    table.write([], [last])
    assert [key for key, _ in scan] == [b"%04d" % (SCAN_PAGE_ROWS + n) for n in (0, 1)]


def test_counts_follow_writes(table: KeyValue) -> None:
    table.write([(b"a", b""), (b"b1", b""), (b"b2", b"")])
    table.write([(b"b1", b"again")], [b"b2", b"never there"])
    assert (table.count(b""), table.count(b"b"), table.count(b"c")) == (2, 1, 0)


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
