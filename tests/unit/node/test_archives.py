"""A tar becomes the directory that unpacking it would have made, and a hostile one costs little."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.errors import DhtstoreError, UnreadableSource, UsageError
from dhtstore.node.context import Disk
from dhtstore.node.importing import archive
from dhtstore.node.importing.archive import Archive
from dhtstore.node.importing.batch import Imported
from dhtstore.node.importing.manner import Manner
from dhtstore.node.importing.source import Source, import_source
from dhtstore.params import CHUNK_SIZE_BYTES, PATTERNS_MAX, TREE_LEVELS_MAX
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.files.sources import effort, tar
from dhtstore.store.files.sources.excluding import NOTHING, Exclusion
from dhtstore.store.files.sources.tree import TreeSource
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking

T = TypeVar("T")
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "two gzips": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
    "two xz": lambda data: lzma.compress(data[:1000]) + lzma.compress(data[1000:]),
}


class Counting(InlineBlocking):
    """Knows how many portions the work was done in."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    async def run(self, function: Callable[..., T], *args: object) -> T:
        self.runs += 1
        return await super().run(function, *args)


def imported(source: Source, manner: Manner, blocking: InlineBlocking | None = None) -> Imported:
    disk = Disk(MemoryBlockStore(), blocking or InlineBlocking())
    work = import_source(disk, source, UNIXFS_V1_2025, lambda done_bytes: None, manner=manner)
    return run(work, VirtualLoop())


def put_tar(
    data: bytes,
    manner: Manner | None = None,
    exclusion: Exclusion = NOTHING,
    step: int = 1 << 18,
    blocking: InlineBlocking | None = None,
) -> Imported:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for at in range(0, len(data), step):
            yield data[at : at + step]

    return imported(Archive(pieces(), "a.tar", exclusion), manner or Manner(), blocking)


def put_tree(path: Path, manner: Manner | None = None, exclusion: Exclusion = NOTHING) -> Imported:
    source = TreeSource(os.open(path, os.O_RDONLY), "tree", exclusion)
    try:
        return imported(source, manner or Manner())
    finally:
        source.close()


def packed(path: Path, how: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=how) as tar:
        tar.add(path, arcname=".")
    return file.getvalue()


def members(*infos: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for each in infos:
            info, data = each if isinstance(each, tuple) else (each, b"")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def skipped(*infos: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> dict[str, str]:
    manner = Manner(strict=False)
    put_tar(members(*infos), manner)
    return {each.path: each.why for each in manner.skipped}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "a" / "b").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a" / "small").write_bytes(b"small")
    (root / "a" / "nothing").write_bytes(b"")
    (root / "a" / "leaf").write_bytes(random.Random(1).randbytes(CHUNK_SIZE_BYTES))
    (root / "a" / "large").write_bytes(random.Random(2).randbytes(3 * CHUNK_SIZE_BYTES + 5))
    (root / "a" / "b" / ("long" * 50)).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9")).write_bytes(b"y")
    (root / "link").symlink_to("a/small")
    os.link(root / "a" / "large", root / "z")
    with (root / "holes").open("wb") as file:
        file.truncate(2 * CHUNK_SIZE_BYTES)
        file.seek(CHUNK_SIZE_BYTES)
        file.write(b"in the middle")
    for number in range(300):
        (root / "empty" / f"{number}").write_bytes(b"%d" % number)
        os.utime(root / "empty" / f"{number}", ns=(0, 1_700_000_000_123_456_789 + number))
    (root / "a" / "small").chmod(0o4711)
    return root


@pytest.mark.parametrize("pack", PACKINGS.values(), ids=list(PACKINGS))
def test_a_tar_is_the_directory_that_it_holds(pack: Callable[[bytes], bytes], tree: Path) -> None:
    assert put_tar(pack(packed(tree))) == put_tree(tree)


@pytest.mark.parametrize("how", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_every_format_is_read_in_pieces_of_any_size(how: int, tree: Path) -> None:
    assert put_tar(packed(tree, how), step=4999) == put_tree(tree)


def test_modes_and_times_are_those_of_the_tar(tree: Path) -> None:
    preserving = Manner(preserve=True)
    for path in tree.rglob("*"):
        os.utime(path, ns=(0, 1_700_000_000_000_000_000), follow_symlinks=False)
    os.utime(tree, ns=(0, 5_250_000_000))
    assert put_tar(packed(tree), preserving) == put_tree(tree, Manner(preserve=True))


def test_times_are_exact_to_the_nanosecond(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "file", tmp_path):
        os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    info = member("file")
    info.mode, info.pax_headers = 0o644, {"mtime": "1700000000.123456789"}
    (tmp_path / "file").chmod(0o644)
    root = member(".", tarfile.DIRTYPE)
    root.mode, root.pax_headers = tmp_path.stat().st_mode & 0o7777, dict(info.pax_headers)
    made = put_tar(members(root, (info, b"x")), Manner(preserve=True))
    assert made == put_tree(tmp_path, Manner(preserve=True))


def test_patterns_count_in_a_tar_as_in_the_tree(tree: Path) -> None:
    (tree / "a" / ".dhtstoreignore").write_text("/small\nb/\n")
    given = Exclusion.of(["empty/", "*le*"])
    assert put_tar(packed(tree), exclusion=given) == put_tree(tree, exclusion=given)
    assert put_tar(packed(tree)) != put_tar(packed(tree), exclusion=given)


# --- what an archive may say ----------------------------------------------------------------


def test_the_last_of_a_name_counts(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"new")
    data = members((member("file"), b"old"), (member("./file"), b"new"))
    assert put_tar(data) == put_tree(tmp_path)


def test_what_begins_with_a_slash_lies_in_the_directory(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_bytes(b"x")
    assert put_tar(members((member("/etc/passwd"), b"x"))) == put_tree(tmp_path)


@pytest.mark.parametrize(
    ("infos", "why"),
    [
        ([member("../up")], "leads out by '..'"),
        ([member("a/../../up")], "leads out by '..'"),
        ([member("dev", tarfile.CHRTYPE)], "neither a file"),
        ([member("pipe", tarfile.FIFOTYPE)], "neither a file"),
        ([member("odd", b"Q")], "neither a file"),
        ([member("out", tarfile.SYMTYPE, "/etc/passwd")], "leads out"),
        ([member("about", tarfile.SYMTYPE, "d/../f")], "'..' behind a name"),
        ([member("hard", tarfile.LNKTYPE, "nothing")], "does not stand before it"),
        ([member("hard", tarfile.LNKTYPE, "../x")], "leads out by '..'"),
        ([member("d", tarfile.DIRTYPE), member("hard", tarfile.LNKTYPE, "d")], "does not stand"),
        ([member("l", tarfile.SYMTYPE, "d"), member("l/below")], "no directory"),
        ([member("d/file"), member("d")], "not empty"),
        ([member("x" * 256)], "a name that no file can have"),
        ([member("d/" + "\u00e9" * 128 + "/x")], "a name that no file can have"),
        ([member("l", tarfile.SYMTYPE, "x" * 4096)], "what none can lead to"),
        ([member("l", tarfile.SYMTYPE, "")], "what none can lead to"),
        ([member("d/" * TREE_LEVELS_MAX + "file")], "too deep"),
        ([member("d/" * TREE_LEVELS_MAX, tarfile.DIRTYPE)], "too deep"),
    ],
)
def test_what_cannot_be_stored_is_skipped(infos: list[tarfile.TarInfo], why: str) -> None:
    keep = (member("keep"), b"kept")
    ((_, told),) = skipped(*infos, keep).items()
    assert why in told
    with pytest.raises(UnreadableSource, match=r"a\.tar/"):
        put_tar(members(*infos, keep))


def test_what_a_file_system_just_takes_is_stored() -> None:
    infos = [member("x" * 255), member("l", tarfile.SYMTYPE, "x/" * 2047 + "x")]
    assert skipped(*infos) == {}


def test_content_of_what_is_skipped_is_passed_over() -> None:
    large = bytes(3 * CHUNK_SIZE_BYTES)
    odd = (member("odd", b"Q"), large)
    made = put_tar(members(odd, (member("keep"), b"kept")), Manner(strict=False))
    assert made.cid == put_tar(members((member("keep"), b"kept"))).cid


def test_a_hard_link_is_the_same_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"one")
    data = members((member("a"), b"one"), member("b", tarfile.LNKTYPE, "a"))
    assert put_tar(data) == put_tree(tmp_path)


def test_a_directory_without_an_entry_of_its_own_is_one(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x")
    assert put_tar(members((member("a/b/file"), b"x"))) == put_tree(tmp_path)


# --- hostile and broken ones ----------------------------------------------------------------


def whole() -> bytes:
    return members((member("file"), bytes(100_000)), (member("other"), b"x"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive at all",
        bytes(100),
        whole()[:700],
        whole()[:50_000],
        whole()[: 512 + 100_352],  # between two entries, without an end mark
        whole()[: 512 + 100_352 + 700],
        whole()[: 512 + 100_352] + b"garbage!" * 64 + whole()[512 + 100_352 + 512 :],
        gzip.compress(whole())[:-20],
        gzip.compress(whole())[:200],
        lzma.compress(whole())[:-20],
        bz2.compress(whole())[:-20],
        b"\x1f\x8b" + bytes(200),
        gzip.compress(b"") * 500_000,
    ],
)
def test_what_is_broken_is_no_archive(data: bytes) -> None:
    with pytest.raises(DhtstoreError, match=r"a\.tar"):
        put_tar(data, Manner(strict=False))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_headers_without_end_are_refused(kind: bytes) -> None:
    info = member("x", kind)
    bomb = gzip.compress(members((info, b"20 comment=" + bytes(50_000_000))))
    with pytest.raises(UnreadableSource, match=r"a\.tar is no archive"):
        put_tar(bomb, Manner(strict=False))


def test_headers_upon_headers_are_refused() -> None:
    info = member("x", tarfile.XHDTYPE)
    one = info.tobuf()
    with pytest.raises(UnreadableSource, match=r"a\.tar is no archive"):
        put_tar(one * 20_000, Manner(strict=False))


def test_xz_that_wants_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 << 20}]
    with pytest.raises(UnreadableSource, match="emory"):
        put_tar(lzma.compress(whole(), filters=filters), Manner(strict=False))


@pytest.mark.parametrize("value", ["nonsense", "1e999999", "nan", "9" * 5000, "-1.5"])
def test_any_time_is_no_harm(value: str) -> None:
    info = member("file")
    info.pax_headers = {"mtime": value}
    put_tar(members((info, b"x")), Manner(preserve=True))


def test_bytes_at_random_are_no_archive_and_no_harm() -> None:
    rng, data = random.Random(5), whole()
    for _ in range(300):
        broken = bytearray(data[:2048] + data[-2048:])
        for _ in range(rng.randint(1, 8)):
            broken[rng.randrange(512)] = rng.randrange(256)
        try:
            put_tar(bytes(broken), Manner(strict=False))
        except UsageError:
            continue


def test_what_comes_behind_the_end_is_read_and_means_nothing() -> None:
    assert put_tar(whole() + bytes(1_000_000)) == put_tar(whole())


# --- work and memory ------------------------------------------------------------------------


def ignoring(line: str, count: int = PATTERNS_MAX) -> tuple[tarfile.TarInfo, bytes]:
    lines = "".join(f"{line}{number:x}\n" for number in range(count))
    return member(".dhtstoreignore"), lines.encode()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("line", ["**/*a/**/*a/**/*aX", "**/*a/**/*aX"])
def test_patterns_that_take_too_long_are_refused_and_their_file_named(line: str) -> None:
    deep = member("/".join(["a" * 200] * 29) + "/f")
    with pytest.raises(UsageError, match=r"a\.tar/\.dhtstoreignore"):
        put_tar(members(ignoring(line), deep), Manner(strict=False))


def test_patterns_that_take_long_altogether_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effort, "PATTERN_STEPS_PER_NAME", 0)
    exclusion = Exclusion.of(["*.txt"])
    exclusion = replace(exclusion, effort=effort.Effort(left=1000))
    for _ in range(75):  # each costs 13 steps
        exclusion.excludes(("name",), False)
    for _ in range(2):
        with pytest.raises(UsageError, match="--exclude take too long"):
            exclusion.excludes(("name" * 10,), False)


def test_many_names_and_patterns_are_matched_in_portions(tmp_path: Path) -> None:
    names = [f"{number:03}" + "n" * 200 for number in range(200)]
    for name in names:
        (tmp_path / name).touch()
    info, lines = ignoring("nope*")
    (tmp_path / ".dhtstoreignore").write_bytes(lines)
    of_tar, of_tree = Counting(), Counting()
    made = put_tar(members((info, lines), *map(member, names)), blocking=of_tar)
    tree = TreeSource(os.open(tmp_path, os.O_RDONLY), "tree")
    assert imported(tree, Manner(), of_tree) == made
    tree.close()
    assert of_tar.runs > 30
    assert of_tree.runs > 30


def test_directories_that_are_only_named_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "TAR_ENTRIES_MAX", 100)
    deep = [member(f"{number}/" + "a/" * 29 + "f") for number in range(4)]
    put_tar(members(*deep[:3]))
    with pytest.raises(UnreadableSource, match="too many entries"):
        put_tar(members(*deep))
    put_tar(members(*(member(f"{number}", tarfile.DIRTYPE) for number in range(100))))


def test_many_directories_are_built_at_once() -> None:
    counting = Counting()
    put_tar(members(*(member(f"{number}/a/b/f") for number in range(300))), blocking=counting)
    assert counting.runs < 20


def sparse(claimed_bytes: int) -> bytes:
    """An old sparse entry of GNU tar that is one hole."""
    header = bytearray(member("hole", tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    claimed = b"\x80" + claimed_bytes.to_bytes(11, "big")
    header[386:410] = claimed + b"00000000000\0"
    header[483:495] = claimed
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "bomb",
    [sparse(2**60), bz2.compress(members((member("zeros"), bytes(40 << 20))))],
    ids=["hole", "zeros"],
)
def test_content_without_end_is_refused(bomb: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "TAR_CONTENT_FREE_BYTES", 16 << 20, raising=False)
    with pytest.raises(UnreadableSource, match="1000 times as much content"):
        put_tar(bomb, Manner(strict=False))


def test_a_hole_is_content_within_reason() -> None:
    made = put_tar(sparse(3 * CHUNK_SIZE_BYTES))
    assert made == put_tar(members((member("hole"), bytes(3 * CHUNK_SIZE_BYTES))))
