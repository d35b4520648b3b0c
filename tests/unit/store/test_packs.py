"""Packs: a scan finds what is whole, byte by byte of damage; a sync that failed never counts."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from dhtstore.errors import HomeUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.packs import PackWriter, header, scan

SIZE = 60
DATA = [random.Random(number).randbytes(SIZE) for number in range(3)]
RECORDS = [header(Cid.of(data), SIZE) + data for data in DATA]
RAW = b"".join(RECORDS)
LENGTH = len(RECORDS[0])


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return tmp_path / "00000001.pack"


def found(pack: Path, raw: bytes, start: int = 0) -> list[bytes]:
    pack.write_bytes(raw)
    records = list(scan(pack, start))
    for record in records:
        assert record.cid.matches(raw[record.offset : record.offset + record.length])
    return [raw[record.offset : record.offset + record.length] for record in records]


def test_every_record_is_found_from_where_the_scan_starts(pack: Path) -> None:
    assert found(pack, RAW) == DATA
    assert found(pack, RAW, LENGTH) == DATA[1:]
    assert found(pack, RAW, len(RAW)) == []
    assert found(pack, b"") == []


def test_a_pack_torn_at_any_length(pack: Path) -> None:
    for size in range(len(RAW)):
        assert found(pack, RAW[:size]) == DATA[: size // LENGTH]


def test_any_byte_wrong_costs_its_own_record_only(pack: Path) -> None:
    for at in range(len(RAW)):
        raw = RAW[:at] + bytes((RAW[at] ^ 0x40,)) + RAW[at + 1 :]
        assert found(pack, raw) == [data for n, data in enumerate(DATA) if n != at // LENGTH]


def test_a_length_that_lies_hides_nothing(pack: Path) -> None:
    """A header whose data was never written claims the records behind it."""
    torn = header(Cid.of(b"never written"), 2 * LENGTH)
    assert found(pack, torn + RAW) == DATA
    assert found(pack, torn[:7] + RAW) == DATA


def test_the_magic_in_data_confuses_nobody(pack: Path) -> None:
    data = RECORDS[0][:4] * 20
    assert found(pack, header(Cid.of(data), len(data)) + data + RAW) == [data, *DATA]
    assert found(pack, data + RAW) == DATA


def test_a_gap_longer_than_one_look_is_crossed(pack: Path) -> None:
    for gap in (1 << 20, (1 << 20) - 2, (1 << 20) + 1):
        assert found(pack, RECORDS[0] + bytes(gap) + RAW[LENGTH:]) == DATA


def test_a_pack_that_a_put_has_synced_and_closed_may_be_synced_by_a_commit(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path, 1, 0, create=True)
    writer.write(writer.reserve(5), [b"bytes"])
    writer.sync()
    writer.close()
    writer.sync()


def test_a_sync_after_one_that_failed_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages may be gone, and the system says so once."""

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    writer = PackWriter(tmp_path, 1, 0, create=True)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(HomeUnusable):
            writer.sync()
    with pytest.raises(HomeUnusable):
        writer.sync()
    writer.close()
