"""What stands on the disk already is somebody's word: it is verified, or refused, never believed.

Some of these need the right to give files away, which root has.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dhtstore.content.dag.walk import Directory, File, Leaf, Piece
from dhtstore.errors import HomeUnusable, IntegrityFailure, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.files.output import FileOutput
from dhtstore.store.files.tree_output import TreeOutput
from dhtstore.store.home.block_directory import mark_blocks
from dhtstore.store.home.home import KEY_SEED_BYTES, Home
from dhtstore.store.ledger.sqlite import SqliteKeyValue

ROOT = Cid.of(b"root")
OTHER_UID = 54321
DATA = b"verified " * 1000
LEAF = Leaf((), 0, len(DATA))
SEED = bytes(range(KEY_SEED_BYTES))

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to give files away")


def give_away(path: Path) -> None:
    os.chown(path, OTHER_UID, OTHER_UID)


def let_others_write(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o022)


def name_twice(path: Path) -> None:
    os.link(path, path.with_name("another-name"))


def make_a_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def make_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


Spoil = Callable[[Path], None]
SPOILS = [
    pytest.param(give_away, marks=as_root),
    let_others_write,
    name_twice,
    make_a_link,
    make_a_fifo,
]


# --- the data directory ----------------------------------------------------------------------


def use_home(path: Path) -> None:
    """All that a node reads and writes there when it starts."""
    home = Home(path)
    lock = home.lock()
    try:
        home.read_config()
        home.trusted_seeds()
        for name in ("node", "owner"):
            home.key_seed(name, SEED)
        mark_blocks(home)
        DiskBlockStore(home.blocks, None).close()
        SqliteKeyValue(home.ledger).close()
    finally:
        lock.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    use_home(path)
    made = Home(path)
    made.write_config("replicas = 2\n")
    made.save_trusted_seeds({})
    store = DiskBlockStore(made.blocks, None)
    with store.batch() as batch:
        batch.put(Cid.of(DATA), DATA)
        batch.commit()
    store.close()
    use_home(path)
    return path


FILES = (
    *("version", "lock", "config.toml", "seeds", "node.key", "owner.key"),
    *("ledger.sqlite", "blocks/index.sqlite", "blocks/00000001.pack"),
)


@pytest.mark.timeout(20)  # a FIFO must not be waited for
@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_home_that_is_not_ours_alone_is_refused(
    home: Path, name: str, spoil: Spoil
) -> None:
    before = (home / name).read_bytes()
    spoil(home / name)
    with pytest.raises(HomeUnusable) as refused:
        use_home(home)
    if spoil is not make_a_fifo:
        assert (home / name).read_bytes() == before
        mend(str(refused.value))
        use_home(home)


def mend(text: str) -> None:
    """Do as the message says."""
    command = text.split("`")[1].replace("sudo ", "")
    subprocess.run(["/bin/sh", "-c", command], check=True)


@pytest.mark.parametrize("spoil", SPOILS[:2])
@pytest.mark.parametrize("name", ["", "blocks"])
def test_a_directory_that_others_may_write_to_is_refused(
    home: Path, name: str, spoil: Spoil
) -> None:
    spoil(home / name)
    with pytest.raises(HomeUnusable) as refused:
        use_home(home)
    mend(str(refused.value))
    use_home(home)


@pytest.mark.parametrize("name", ["home", "home/blocks"])
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775, 0o1777])
def test_the_root_of_a_fresh_disk_is_used_or_refused_with_what_mends_it(
    tmp_path: Path, mode: int, name: str
) -> None:
    """Named in a way that a shell would take for more than one word."""
    tmp_path = tmp_path / "a b"
    disk = tmp_path / name
    disk.mkdir(parents=True)
    disk.chmod(mode)
    (tmp_path / "home").chmod(mode)
    for _ in range(2 if mode & 0o022 else 0):  # of both directories
        with suppress_and_mend():
            use_home(tmp_path / "home")
    use_home(tmp_path / "home")


@contextmanager
def suppress_and_mend() -> Iterator[None]:
    try:
        yield
    except HomeUnusable as error:
        mend(str(error))


def test_a_key_that_was_made_when_its_process_died_is_used(home: Path) -> None:
    """Its temporary name is still there, as a second one."""
    os.link(home / "node.key", home / ".node.key.abcdefgh")
    use_home(home)
    assert (home / "node.key").stat().st_nlink == 1
    assert not (home / ".node.key.abcdefgh").exists()


def test_a_log_of_sqlite_that_others_may_write_to_is_refused(home: Path) -> None:
    """Its transactions would be believed."""
    for name in ("ledger.sqlite-wal", "blocks/index.sqlite-wal"):
        (home / name).write_bytes(b"")
        let_others_write(home / name)
        with pytest.raises(HomeUnusable):
            use_home(home)
        (home / name).unlink()
    use_home(home)


def test_a_runtime_directory_that_others_may_enter_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 120)
    shared = tmp_path / "run"
    shared.mkdir(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared))
    monkeypatch.setattr("dhtstore.store.home.home._RUNTIME_MAX_BYTES", 200)
    assert Home(long).socket_path.parent == shared
    shared.chmod(0o777)
    assert Home(long).socket_path.parent != shared


# --- outputs ---------------------------------------------------------------------------------


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def partial(tmp_path: Path, dir_fd: int) -> Path:
    """A file that was got and has not been named yet."""
    output = FileOutput(dir_fd, "f", ROOT)
    output.accept([File((), len(DATA)), Piece((), 0, DATA)])
    output.close()
    return tmp_path / "f.part"


def test_changed_bytes_of_a_partial_do_not_count(partial: Path, dir_fd: int) -> None:
    """The journal claims them, and their CID says no."""
    partial.write_bytes(b"X" + DATA[1:])
    output = FileOutput(dir_fd, "f", ROOT)
    output.accept([File((), len(DATA))])
    assert output.claims(LEAF)
    assert output.recall(LEAF, Cid.of(DATA)) is None
    with pytest.raises(IntegrityFailure):
        output.finish()
    output.accept([Piece((), 0, DATA)])
    output.finish()
    assert partial.with_name("f").read_bytes() == DATA


@pytest.mark.timeout(20)
@pytest.mark.parametrize("spoil", [*SPOILS[1:]])
def test_a_partial_that_is_not_ours_alone_is_not_gone_on_with(
    partial: Path, dir_fd: int, spoil: Spoil
) -> None:
    spoil(partial)
    output = FileOutput(dir_fd, "f", ROOT)
    assert not output.claims(LEAF)
    assert output.recall(LEAF, Cid.of(DATA)) is None
    output.accept([File((), len(DATA)), Piece((), 0, DATA)])
    output.finish()
    target = partial.with_name("f")
    assert target.read_bytes() == DATA
    assert not target.is_symlink()
    assert target.stat().st_nlink == 1
    assert not target.stat().st_mode & 0o022


@as_root
@pytest.mark.parametrize("name", ["f.part", "f.part.map"])
def test_a_partial_of_another_user_is_refused(partial: Path, dir_fd: int, name: str) -> None:
    give_away(partial.with_name(name))
    with pytest.raises(TargetUnusable):
        FileOutput(dir_fd, "f", ROOT)
    assert partial.with_name(name).stat().st_uid == OTHER_UID


@pytest.mark.timeout(20)
@pytest.mark.parametrize("spoil", SPOILS[2:])
def test_a_journal_that_is_not_ours_alone_is_refused(
    partial: Path, dir_fd: int, spoil: Spoil
) -> None:
    spoil(partial.with_name("f.part.map"))
    with pytest.raises(TargetUnusable):
        FileOutput(dir_fd, "f", ROOT)


def test_a_planted_partial_without_a_journal_stays_what_it_is(tmp_path: Path, dir_fd: int) -> None:
    (tmp_path / "f.part").write_bytes(b"planted")
    with pytest.raises(TargetUnusable):
        FileOutput(dir_fd, "f", ROOT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.part"]
    assert (tmp_path / "f.part").read_bytes() == b"planted"


@pytest.fixture
def tree(tmp_path: Path, dir_fd: int) -> Path:
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept([Directory(()), Directory(("d",))])
    output.accept([File(("d", "f"), len(DATA)), Piece(("d", "f"), 0, DATA)])
    output.close()
    return tmp_path / "t.part"


def finish_tree(dir_fd: int) -> None:
    output = TreeOutput(dir_fd, "t", ROOT)
    leaf = Leaf(("d", "f"), 0, len(DATA))
    try:
        output.accept([Directory(()), Directory(("d",)), File(("d", "f"), len(DATA))])
        if output.recall(leaf, Cid.of(DATA)) is None:
            output.accept([Piece(("d", "f"), 0, DATA)])
        output.finish()
    finally:
        output.close()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("spoil", [SPOILS[0], *SPOILS[2:]])
def test_a_file_in_a_tree_that_is_not_ours_alone_is_made_anew(
    tree: Path, dir_fd: int, spoil: Spoil
) -> None:
    spoil(tree / "d" / "f")
    for left in ("another-name", "moved"):
        if (tree / "d" / left).exists():
            (tree / "d" / left).rename(tree.with_name(left))
    finish_tree(dir_fd)
    made = tree.with_name("t") / "d" / "f"
    assert made.read_bytes() == DATA
    assert made.lstat().st_uid == os.geteuid()
    assert made.lstat().st_nlink == 1


@pytest.mark.parametrize("spoil", SPOILS[:2])
def test_a_directory_in_a_tree_that_others_may_write_to_is_refused(
    tree: Path, dir_fd: int, spoil: Spoil
) -> None:
    spoil(tree / "d")
    with pytest.raises(TargetUnusable):
        finish_tree(dir_fd)
    assert not tree.with_name("t").exists()


def test_a_link_where_a_directory_was_leads_nowhere(
    tree: Path, dir_fd: int, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (tree / "d").rename(outside)
    (tree / "d").symlink_to(outside)
    before = (outside / "f").read_bytes()
    (outside / "f").write_bytes(b"")
    finish_tree(dir_fd)
    assert (tree.with_name("t") / "d").is_dir()
    assert not (tree.with_name("t") / "d").is_symlink()
    assert (tree.with_name("t") / "d" / "f").read_bytes() == before
    assert (outside / "f").read_bytes() == b""
