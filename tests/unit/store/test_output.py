"""Writing what is got: nothing but a partial until it is whole, and resumable at any moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.content.dag.walk import Directory, File, Leaf, Piece
from dhtstore.errors import IntegrityFailure, MalformedDag, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.files.output import FileOutput

ROOT, OTHER = Cid.of(b"root"), Cid.of(b"other")
DATA = os.urandom(300_000)


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def pieces(*numbers: int) -> list[Piece]:
    return [Piece((), n * 100_000, DATA[n * 100_000 : (n + 1) * 100_000]) for n in numbers]


def leaf(start: int, end: int) -> Leaf:
    return Leaf((), start, end - start)


def recalled(output: FileOutput, start: int, end: int) -> bool:
    """Whether what an earlier run wrote there is claimed, and still right."""
    one = leaf(start, end)
    return output.claims(one) and output.recall(one, Cid.of(DATA[start:end])) is not None


def interrupted(dir_fd: int, *numbers: int) -> None:
    """A run that wrote these pieces and no more."""
    output = FileOutput(dir_fd, "f", ROOT)
    output.accept([File((), len(DATA)), *pieces(*numbers)])
    output.close()


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path, dir_fd: int) -> None:
    output = FileOutput(dir_fd, "f", ROOT)
    output.accept([File((), len(DATA), 0o4751), *pieces(2, 0)])
    assert names(tmp_path) == ["f.part", "f.part.map"]
    with pytest.raises(IntegrityFailure):
        output.finish()
    output.accept(pieces(1))
    output.finish()
    output.close()
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == DATA
    assert (tmp_path / "f").stat().st_mode & 0o7777 == 0o751


def test_an_empty_file(tmp_path: Path, dir_fd: int) -> None:
    output = FileOutput(dir_fd, "f", ROOT)
    output.accept([File((), 0)])
    output.finish()
    assert (tmp_path / "f").read_bytes() == b""


def test_the_next_run_goes_on(tmp_path: Path, dir_fd: int) -> None:
    interrupted(dir_fd, 1)
    second = FileOutput(dir_fd, "f", ROOT)
    assert recalled(second, 100_000, 200_000)
    assert not second.claims(leaf(0, 1))
    second.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    second.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_what_is_only_claimed_is_not_whole(dir_fd: int) -> None:
    interrupted(dir_fd, 0, 1, 2)
    second = FileOutput(dir_fd, "f", ROOT)
    second.accept([File((), len(DATA)), *pieces(0, 2)])
    with pytest.raises(IntegrityFailure):
        second.finish()
    second.close()


def test_what_was_changed_meanwhile_is_written_again(tmp_path: Path, dir_fd: int) -> None:
    interrupted(dir_fd, 0, 1, 2)
    with (tmp_path / "f.part").open("r+b") as part:
        part.seek(150_000)
        part.write(bytes([DATA[150_000] ^ 1]))
    second = FileOutput(dir_fd, "f", ROOT)
    assert recalled(second, 0, 100_000)
    assert not recalled(second, 100_000, 200_000)
    second.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    second.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_what_was_appended_meanwhile_is_cut_off(tmp_path: Path, dir_fd: int) -> None:
    interrupted(dir_fd, 0, 1, 2)
    with (tmp_path / "f.part").open("ab") as part:
        part.write(b"more")
    second = FileOutput(dir_fd, "f", ROOT)
    second.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    second.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_what_is_recalled_is_not_written_again(tmp_path: Path, dir_fd: int) -> None:
    interrupted(dir_fd, 0, 1, 2)
    second = FileOutput(dir_fd, "f", ROOT)
    for start in (0, 100_000, 200_000):
        assert recalled(second, start, start + 100_000)
    before = (tmp_path / "f.part").stat().st_mtime_ns
    second.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    assert (tmp_path / "f.part").stat().st_mtime_ns == before
    second.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_partial_that_is_not_ours_alone_is_made_anew(tmp_path: Path, dir_fd: int) -> None:
    """A link to a file elsewhere, hard or symbolic, and what others may write to."""
    victim = tmp_path / "victim"
    for plant in ("hard", "symbolic", "mode", "directory"):
        victim.write_bytes(DATA)
        interrupted(dir_fd, 0, 1, 2)
        part = tmp_path / "f.part"
        part.chmod(0o666) if plant == "mode" else part.unlink()
        if plant == "hard":
            part.hardlink_to(victim)
        elif plant == "symbolic":
            part.symlink_to("victim")
        elif plant == "directory":
            (part / "sub").mkdir(parents=True)
        second = FileOutput(dir_fd, "f", ROOT)
        assert not second.claims(leaf(0, 100_000))
        second.accept([File((), len(DATA)), *pieces(0, 1)])
        assert victim.read_bytes() == DATA
        assert part.stat().st_mode & 0o777 == victim.stat().st_mode & 0o777
        second.accept(pieces(2))
        second.finish()
        assert (tmp_path / "f").stat().st_nlink == 1
        (tmp_path / "f").unlink()


def test_a_partial_of_another_user_is_refused(tmp_path: Path, dir_fd: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs to give a file away")
    for name, message in (("f.part", "another user"), ("f.part.map", "not ours alone")):
        interrupted(dir_fd, 0)
        os.chown(tmp_path / name, 12345, 12345)
        with pytest.raises(TargetUnusable, match=message):
            FileOutput(dir_fd, "f", ROOT)
        assert names(tmp_path) == ["f.part", "f.part.map"]
        os.chown(tmp_path / name, 0, 0)


def test_a_journal_that_has_another_name_is_refused(tmp_path: Path, dir_fd: int) -> None:
    interrupted(dir_fd, 0)
    (tmp_path / "elsewhere").hardlink_to(tmp_path / "f.part.map")
    with pytest.raises(TargetUnusable, match="not ours alone"):
        FileOutput(dir_fd, "f", ROOT)


def test_a_journal_of_a_later_version_is_refused_and_told(tmp_path: Path, dir_fd: int) -> None:
    interrupted(dir_fd, 0)
    journal = tmp_path / "f.part.map"
    journal.write_bytes(journal.read_bytes().replace(b"partial 1", b"partial 2"))
    with pytest.raises(TargetUnusable, match=r"another version.*remove it and f\.part"):
        FileOutput(dir_fd, "f", ROOT)


def test_entries_of_another_shape_claim_nothing(dir_fd: int) -> None:
    first = FileOutput(dir_fd, "f", ROOT)
    first.accept([File((), len(DATA)), *pieces(0)])
    first._partial.journal.append([b"short", b"rather longer than a span is"])
    first.close()
    second = FileOutput(dir_fd, "f", ROOT)
    assert recalled(second, 0, 100_000)
    assert not second.claims(leaf(0, 100_001))
    second.close()


def test_a_journal_left_behind_after_the_rename_is_harmless(tmp_path: Path, dir_fd: int) -> None:
    """A crash between the two; the file is whole, and may be got again elsewhere or here."""
    interrupted(dir_fd, 0, 1, 2)
    (tmp_path / "f.part").rename(tmp_path / "f")
    with pytest.raises(TargetUnusable, match="exists already"):
        FileOutput(dir_fd, "f", ROOT)
    (tmp_path / "f").unlink()
    output = FileOutput(dir_fd, "f", ROOT)
    assert not output.claims(leaf(0, 1))
    output.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    output.finish()
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_partial_that_was_replaced_meanwhile_gets_no_name(tmp_path: Path, dir_fd: int) -> None:
    output = FileOutput(dir_fd, "f", ROOT)
    output.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "other").rename(tmp_path / "f.part")
    with pytest.raises(TargetUnusable, match="replaced"):
        output.finish()
    output.close()
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("length", [246, 247, 255])
def test_names_of_any_length_can_be_got(tmp_path: Path, dir_fd: int, length: int) -> None:
    name = "n" * length
    first = FileOutput(dir_fd, name, ROOT)
    first.accept([File((), len(DATA)), *pieces(0)])
    first.close()
    assert all(len(os.fsencode(each)) <= 255 for each in names(tmp_path))
    second = FileOutput(dir_fd, name, ROOT)
    assert recalled(second, 0, 100_000)
    second.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    second.finish()
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == DATA


def test_a_name_that_is_too_long_for_the_file_system_is_told(dir_fd: int) -> None:
    with pytest.raises(TargetUnusable, match="too long"):
        FileOutput(dir_fd, "n" * 256, ROOT)


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path, dir_fd: int) -> None:
    output = FileOutput(dir_fd, "f", ROOT)
    output.accept([File((), len(DATA))])
    output.close()
    output.close()
    assert names(tmp_path) == []


def test_the_partial_of_another_content_is_not_mixed_in(tmp_path: Path, dir_fd: int) -> None:
    first = FileOutput(dir_fd, "f", OTHER)
    first.accept([File((), 400_000), Piece((), 0, b"x" * 400_000)])
    first.close()
    second = FileOutput(dir_fd, "f", ROOT)
    assert not second.claims(leaf(0, 1))
    second.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    second.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_torn_journal_claims_less_never_more(tmp_path: Path, dir_fd: int) -> None:
    first = FileOutput(dir_fd, "f", ROOT)
    first.accept([File((), len(DATA)), *pieces(0)])
    first.checkpoint()
    first.accept(pieces(2))
    first.close()
    journal = tmp_path / "f.part.map"
    whole, part = journal.read_bytes(), (tmp_path / "f.part").read_bytes()
    for size in range(len(b"dhtstore partial 1\n"), len(whole)):
        journal.write_bytes(whole[:size])
        output = FileOutput(dir_fd, "f", ROOT)
        assert not output.claims(leaf(100_000, 100_001))
        assert not output.claims(leaf(200_000, 300_000))
        output.accept([File((), len(DATA)), *pieces(0, 1, 2)])
        output.finish()
        assert (tmp_path / "f").read_bytes() == DATA
        (tmp_path / "f").unlink()
        (tmp_path / "f.part").write_bytes(part)


def test_a_partial_that_lost_its_end_is_not_believed(tmp_path: Path, dir_fd: int) -> None:
    first = FileOutput(dir_fd, "f", ROOT)
    first.accept([File((), len(DATA)), *pieces(0)])
    first.checkpoint()
    first.accept(pieces(2))
    first.close()
    os.truncate(tmp_path / "f.part", 250_000)
    second = FileOutput(dir_fd, "f", ROOT)
    assert recalled(second, 0, 100_000)
    assert not recalled(second, 200_000, 300_000)
    second.close()


def test_an_existing_target_is_refused_before_anything_is_made(tmp_path: Path, dir_fd: int) -> None:
    (tmp_path / "f").write_bytes(b"precious")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("f", "dangling"):
        with pytest.raises(TargetUnusable, match=name):
            FileOutput(dir_fd, name, ROOT)
    assert names(tmp_path) == ["dangling", "f"]


def test_force_replaces_a_file_but_no_directory(tmp_path: Path, dir_fd: int) -> None:
    (tmp_path / "f").write_bytes(b"old")
    (tmp_path / "d").mkdir()
    output = FileOutput(dir_fd, "f", ROOT, force=True)
    output.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    assert (tmp_path / "f").read_bytes() == b"old"
    output.finish()
    assert (tmp_path / "f").read_bytes() == DATA
    with pytest.raises(TargetUnusable):
        FileOutput(dir_fd, "d", ROOT, force=True)


def test_a_target_that_came_to_be_meanwhile_is_kept(tmp_path: Path, dir_fd: int) -> None:
    output = FileOutput(dir_fd, "f", ROOT)
    output.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    (tmp_path / "f").write_bytes(b"precious")
    with pytest.raises(TargetUnusable, match="meanwhile"):
        output.finish()
    output.close()
    assert (tmp_path / "f").read_bytes() == b"precious"
    assert (tmp_path / "f.part").read_bytes() == DATA


@pytest.mark.parametrize("name", ["f.part", "f.part.map"])
def test_a_strangers_partial_is_kept(tmp_path: Path, dir_fd: int, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(TargetUnusable, match=name):
        FileOutput(dir_fd, "f", ROOT)
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


def test_a_link_in_place_of_the_partial_is_not_followed(tmp_path: Path, dir_fd: int) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "f.part").symlink_to("victim")
    with pytest.raises(TargetUnusable):
        FileOutput(dir_fd, "f", ROOT)
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_two_writers_of_one_target_are_refused(tmp_path: Path, dir_fd: int) -> None:
    first = FileOutput(dir_fd, "f", ROOT)
    with pytest.raises(TargetUnusable, match="another process"):
        FileOutput(dir_fd, "f", ROOT)
    first.accept([File((), len(DATA)), *pieces(0, 1, 2)])
    first.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_pieces_outside_the_file_are_refused(tmp_path: Path, dir_fd: int) -> None:
    output = FileOutput(dir_fd, "f", ROOT)
    with pytest.raises(MalformedDag):
        output.accept(pieces(0))
    output.accept([File((), 10)])
    with pytest.raises(MalformedDag):
        output.accept([Piece((), 5, b"123456")])
    with pytest.raises(MalformedDag):
        output.accept([Directory(())])
    output.close()
    assert names(tmp_path) == []


def test_a_thread_that_comes_late_writes_nowhere(tmp_path: Path, dir_fd: int) -> None:
    """Its descriptor's number may be another file's by then."""
    output = FileOutput(dir_fd, "f", ROOT)
    output.accept([File((), len(DATA)), *pieces(0)])
    output.close()
    bystander = os.open(tmp_path / "bystander", os.O_RDWR | os.O_CREAT)
    with pytest.raises(TargetUnusable, match="closed"):
        output.accept(pieces(1))
    output.checkpoint()
    assert os.fstat(bystander).st_size == 0
    os.close(bystander)
