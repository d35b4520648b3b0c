"""Malformed and hostile CARs are refused by the byte, with bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest

from dhtstore.content.car.reader import CarReader, ForeignBlock
from dhtstore.content.car.writer import car_header, section_head, varint
from dhtstore.errors import MalformedCar
from dhtstore.model.cid import Cid
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, CAR_HEADER_MAX_BYTES, CAR_ROOTS_MAX, MIB
from tests.cars import car_of, read_car, wrapped

DATA = b"some bytes"
CID = Cid.of(DATA)
HEADER = car_header([CID])
SECTION = section_head(CID, len(DATA)) + DATA
AT = len(HEADER)
DAG_CBOR = bytes.fromhex("01711220") + bytes(32)


@pytest.mark.parametrize(
    ("raw", "offset", "why"),
    [
        (b"", 0, "ends at byte 0"),
        (HEADER[:20], 20, "within the header"),
        (HEADER + SECTION[:-1], AT + len(SECTION) - 1, "within the block"),
        (HEADER + b"\xff" * 9, AT, "has no end"),
        (HEADER + b"\0", AT, "length of 0, which is not 1 to"),
        (HEADER + varint(1 << 40), AT, "length of 1099511627776"),
        (varint(CAR_HEADER_MAX_BYTES + 1), 0, "length of"),
        (HEADER + varint(2) + b"\x01\x55", AT, "ends too early"),
        (HEADER + varint(36) + CID.raw[:-1] + b"", AT + 36, "within the block"),
        (HEADER + varint(20) + CID.raw[:20], AT, "ends too early"),
        (HEADER + varint(36) + b"\x02" + CID.raw[1:], AT, "CID version 2"),
        (car_of([CID], [(CID, bytes(BLOCK_SIZE_MAX_BYTES + 1))]), AT, "larger than"),
        (HEADER + section_head(CID, 4) + b"none", AT, "wrong"),
        (HEADER + SECTION + HEADER, AT + len(SECTION), "CID"),
        (varint(10) + b"\xa1\x67version\x01", 0, "version 1"),
        (varint(10) + b"\xa1\x67version\x03", 0, "version 3"),
        (varint(1) + b"\xa0", 0, "not understood"),
        (varint(9) + b"\xa2\x65roots\x9b\xff\xff", 0, "not understood"),
        (car_header([CID] * (CAR_ROOTS_MAX + 1)), 0, "names 1,025 roots, more than 1,024"),
        (wrapped(HEADER + SECTION)[:-1], 50 + AT + len(SECTION), "within the block"),
        (wrapped(wrapped(HEADER)), 51, "version 2"),
        (wrapped(HEADER + SECTION[:-1], index=SECTION), 51 + AT, "longer than what holds it"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
def test_refused(raw: bytes, offset: int, why: str, piece_bytes: int) -> None:
    if piece_bytes == 1 and len(raw) > MIB:
        return  # two million steps
    with pytest.raises(MalformedCar, match=why) as refused:
        read_car(raw, piece_bytes)
    assert refused.value.offset == offset


@pytest.mark.parametrize("raw", [b"", b"no CAR at all", b"PK\x03\x04" * 9, b"\xff" * 9])
def test_what_is_no_car_is_not_called_a_damaged_one(raw: bytes) -> None:
    with pytest.raises(MalformedCar) as refused:
        read_car(raw, 1 << 20)
    assert refused.value.hint.startswith("check that it is a CAR")


@pytest.mark.parametrize("numbers", [(0, 1, 0), (51, 0, 0), (50, 9, 0), (51, 100, 52)])
def test_a_header_of_version_2_that_cannot_be(numbers: tuple[int, int, int]) -> None:
    raw = wrapped(b"")[:27] + b"".join(number.to_bytes(8, "little") for number in numbers)
    with pytest.raises(MalformedCar, match="where there is none") as refused:
        read_car(raw + HEADER + SECTION)
    assert refused.value.offset == 11


def test_version_2_may_have_padding_and_an_index() -> None:
    raw = wrapped(HEADER + SECTION, padding=100, index=b"no section")
    assert read_car(raw) == read_car(raw, 1)
    assert [each.offset for each in read_car(raw)[1]] == [151 + AT]


def test_an_empty_list_of_roots_is_read() -> None:
    assert read_car(car_header([]) + SECTION)[0] == ()


def test_blocks_of_other_kinds_are_told_with_their_place() -> None:
    raw = HEADER + varint(len(DAG_CBOR) + 1) + DAG_CBOR + b"\xa0" + SECTION
    foreign, known = read_car(raw)[1]
    assert foreign == ForeignBlock("dag-cbor, hash 0x12", AT)
    assert known.offset == AT + len(DAG_CBOR) + 2


def test_it_holds_one_section_at_most() -> None:
    """64 blocks of the greatest size, in pieces of 64 KiB."""
    data = bytes(BLOCK_SIZE_MAX_BYTES)
    section = section_head(Cid.of(data), len(data)) + data
    reader = CarReader()
    assert list(reader.feed(HEADER)) == []
    tracemalloc.start()
    count = 0
    for _ in range(64):
        for at in range(0, len(section), 65536):
            count += sum(1 for _ in reader.feed(section[at : at + 65536]))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 64
    assert peak_bytes < 10 * MIB
