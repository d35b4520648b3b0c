"""As ``fault_child``, of what the store does besides blocks: outputs, ledger and data directory.

Each job is tried with one call of it failing, then once more: that must succeed, in the same
process, and leave no descriptor and no name but those it is to leave.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dhtstore.content.dag.walk import Directory, File, Piece, Symlink
from dhtstore.model.cid import Cid
from dhtstore.store.files.output import FileOutput
from dhtstore.store.files.sources.tree import TreeSource
from dhtstore.store.files.tree_output import TreeOutput
from dhtstore.store.home.block_directory import MARK, mark_blocks
from dhtstore.store.home.home import KEY_SEED_BYTES, Home
from dhtstore.store.home.owner_key import save_owner_key
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from tests.hostile.store.fault_child import ERRORS, LASTS, attempt, descriptors, place

ROOT: Final = Cid.of(b"root")
# A disk that goes on failing after a name was given does not let the journal be removed.
MAY_STAY: Final = (set[str](), {"f.part.map", "t.part.map"})
DATA: Final = bytes(range(256)) * 500


def write_file(directory: Path, fd: int) -> None:
    output = FileOutput(fd, "f", ROOT)
    try:
        output.accept([File((), len(DATA)), Piece((), 0, DATA[:1000])])
        output.checkpoint()
        output.accept([Piece((), 1000, DATA[1000:])])
        output.finish()
    finally:
        output.close()


def check_file(directory: Path) -> str:
    names = {path.name for path in directory.iterdir()} - MAY_STAY[LASTS[0]]
    same = names == {"f"} and (directory / "f").read_bytes() == DATA
    return "" if same else f"the file is not as it was: {names}"


def write_tree(directory: Path, fd: int) -> None:
    output = TreeOutput(fd, "t", ROOT)
    try:
        output.accept([Directory(()), Directory(("d",)), Symlink(("l",), "d")])
        output.accept([File(("d", "f"), len(DATA), 0o600), Piece(("d", "f"), 0, DATA)])
        output.accept([File(("e",), 0)])
        output.finish()
    finally:
        output.close()


def check_tree(directory: Path) -> str:
    found = {str(path.relative_to(directory)) for path in directory.rglob("*")}
    found -= MAY_STAY[LASTS[0]]
    return "" if found == {"t", "t/d", "t/d/f", "t/l", "t/e"} else f"the tree is {sorted(found)}"


def leave_file(directory: Path, fd: int) -> None:
    """A get that ends before anything came."""
    FileOutput(fd, "f", ROOT).close()


def leave_tree(directory: Path, fd: int) -> None:
    TreeOutput(fd, "t", ROOT).close()


def check_empty(directory: Path) -> str:
    left = sorted(path.name for path in directory.iterdir())
    return f"left: {left}" if left else ""


def make_source(directory: Path) -> None:
    (directory / "d" / "e").mkdir(parents=True)
    (directory / "d" / "e" / "f").write_bytes(DATA)
    (directory / "d" / "g").write_bytes(b"small")


def read_source(_: Path, fd: int) -> None:
    source = TreeSource(os.dup(fd))
    try:
        for entry in source.entries():
            if entry.kind == "file":
                file = source.open(entry.path)
                try:
                    file.read_whole(len(DATA))
                finally:
                    file.close()
    finally:
        source.close()


def check_nothing(_: Path) -> str:
    return ""


def use_ledger(directory: Path, _: int) -> None:
    table = SqliteKeyValue(directory / "ledger.sqlite")
    try:
        table.write([(b"a", b"1"), (b"b", b"2")])
        table.write([(b"c", b"3")], [b"b"])
        table.scan(b"")
    finally:
        table.close()


def check_ledger(directory: Path) -> str:
    table = SqliteKeyValue(directory / "ledger.sqlite")
    rows = table.scan(b"")
    table.close()
    return "" if rows == [(b"a", b"1"), (b"c", b"3")] else f"the ledger has {rows}"


def use_home(directory: Path, _: int) -> None:
    home = Home(directory / "home")
    home.lock().close()
    home.key_seed("node", bytes(KEY_SEED_BYTES))
    mark_blocks(home)
    home.write_config("x")
    save_owner_key(home, bytes(KEY_SEED_BYTES))
    home.upgraded()


def check_home(directory: Path) -> str:
    home = Home(directory / "home")
    names = {path.name for path in home.path.iterdir()}
    if LASTS[0]:  # nor temporary names, which only we may read
        names = {name for name in names if not name.startswith(".")}
    wanted = {"blocks", "config.toml", "lock", "node.key", "owner.key", "version"}
    if names != wanted:
        return f"the home has {sorted(names)}"
    keys = {home.key_seed(name, b"") for name in ("node", "owner")}
    right = keys == {bytes(KEY_SEED_BYTES)} and home.read_config() == "x"
    marked = (home.blocks / MARK).exists()
    return "" if right and marked else "the home is not as it was made"


JOBS: Final[dict[str, tuple[Callable[[Path, int], None], Callable[[Path], str]]]] = {
    "file": (write_file, check_file),
    "tree": (write_tree, check_tree),
    "leave file": (leave_file, check_empty),
    "leave tree": (leave_tree, check_empty),
    "source": (read_source, check_nothing),
    "ledger": (use_ledger, check_ledger),
    "home": (use_home, check_home),
}


def run_job(name: str, where: Path) -> None:
    for code in ERRORS:
        at = 1
        while not tried_all(name, where / f"{code}-{at}", at, code):
            at += 1


def tried_all(name: str, directory: Path, at: int, code: int) -> bool:
    """Whether the job has fewer calls than ``at``."""
    job, check = JOBS[name]
    directory.mkdir(parents=True)
    if name == "source":
        make_source(directory)
    fd = os.open(directory, os.O_RDONLY)
    before = descriptors()
    calls = attempt(lambda: job(directory, fd), at, code)
    if descriptors() != before:
        print(place(at, code), "descriptors are left:", sorted(descriptors() - before))
    if check(directory):
        job(directory, fd)
    if problem := check(directory):
        print(place(at, code), problem)
    os.close(fd)
    shutil.rmtree(directory)
    return calls < at


NAMES: Final = tuple(JOBS)
