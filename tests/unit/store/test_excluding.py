"""What is left out of a tree: as .gitignore says it, and no pattern stalls anybody.

What git says of these was asked of `git check-ignore`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dhtstore.errors import UsageError
from dhtstore.params import PATTERN_MAX_CHARS, PATTERNS_MAX
from dhtstore.store.files.sources.excluding import NOTHING, Exclusion, lines_of
from dhtstore.store.files.sources.tree import TreeSource


def excluded(lines: list[str], path: str) -> bool:
    """A path that ends in / is a directory."""
    return Exclusion.of(lines).excludes(tuple(path.rstrip("/").split("/")), path.endswith("/"))


@pytest.mark.parametrize(
    ("lines", "path", "out"),
    [
        (["*.py"], "x.py", True),
        (["*.py"], "a/b/x.py", True),
        (["*.py"], "x.pyc", False),
        (["/foo"], "foo", True),
        (["/foo"], "a/foo", False),
        (["foo/"], "foo", False),
        (["foo/"], "a/foo/", True),
        (["a/b"], "a/b", True),
        (["a/b"], "x/a/b", False),
        (["a/*"], "a/x", True),
        (["a/*"], "a/x/y", False),  # a/x is not gone into
        (["a/**"], "a/", False),
        (["a/**"], "a/x/y", True),
        (["a/**/"], "a/x", False),
        (["a/**/"], "a/x/", True),
        (["**/b"], "b", True),
        (["a/**/b"], "a/x/y/b", True),
        (["*", "!*/", "!*.py"], "src/", False),
        (["*", "!*/", "!*.py"], "src/x.txt", True),
        (["*", "!*/", "!*.py"], "src/x.py", False),
        (["foo**", "!/a"], "a/foo/", True),
        (["*.py", "!keep.py"], "keep.py", False),
        (["!keep.py", "*.py"], "keep.py", True),
        (["[!a]x"], "ax", False),
        (["[!a]x"], "bx", True),
        (["a?c"], "a/c", False),
        (["\\!x"], "!x", True),
        (["# no pattern", "", "   "], "# no pattern", False),
        (["x  "], "x", True),
        (["x\\ "], "x ", True),
        (["caf\uf7e9"], "caf\uf7e9", True),
        (["*.py"], "a\nb/x.py", True),
        (["x"], "x\n", False),
    ],
)
def test_patterns_are_those_of_gitignore(lines: list[str], path: str, out: bool) -> None:
    assert excluded(lines, path) is out


def test_a_directorys_own_patterns_are_above_those_of_what_it_is_in() -> None:
    outer = NOTHING.below((), b"*.log\n/b\n", "f")
    inner = outer.below(("a",), b"!keep.log\r\n/b\n", "f")
    assert not inner.excludes(("a", "keep.log"), False)
    assert inner.excludes(("a", "other.log"), False)
    assert inner.excludes(("a", "b"), False)
    assert not outer.excludes(("a", "b"), False)


def test_what_was_given_is_above_all_files() -> None:
    given = Exclusion.of(["*.log"]).below((), b"!*.log\n*.tmp", "f")
    assert given.excludes(("x.log",), False)
    assert given.excludes(("x.tmp",), False)


@pytest.mark.parametrize(
    "line",
    [
        "[",
        "a[",
        "/",
        "!",
        "x" * (PATTERN_MAX_CHARS + 1),
        "**/a/**/b/**/c/**",
        "**/a/**/b/**/c",
        "[[:space:]]",
    ],
)
def test_what_is_no_pattern_is_a_usage_error(line: str) -> None:
    with pytest.raises(UsageError, match="--exclude"):
        Exclusion.of([line])


def test_patterns_are_bounded() -> None:
    with pytest.raises(UsageError, match="more than"):
        Exclusion.of(["x"] * (PATTERNS_MAX + 1))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("*a*a*a*a*a*a*a*a*a*a*a*a*b", "a" * 255),
        ("*" * 6 + "b", "a" * 255),
        ("*?*?*?*?*?*?*?*?*?*?*[b]*c", "a" * 255),
        ("**/a/**/b/**", "/".join("a" * 250)),
        ("**/*a/**/*aX", "/".join(["a" * 200] * 30)),
    ],
)
def test_no_pattern_stalls_on_a_hostile_name(line: str, path: str) -> None:
    assert not excluded([line], path)


def test_a_star_shares_a_name_with_others_in_any_way() -> None:
    assert excluded(["*ab*ab*c"], "xabxxabababc")
    assert excluded(["*a?*[bc]*d"], "aaaxbxcxd")
    assert not excluded(["*ab*ab*c"], "xabxxc")


def test_a_tree_leaves_out_what_it_says_itself(tmp_path: Path) -> None:
    for path in ("a/x.tmp", "a/x.txt", "build/deep/file", "keep/x.tmp"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    (tmp_path / ".dhtstoreignore").write_text("*.tmp\nbuild/\n")
    (tmp_path / "keep" / ".dhtstoreignore").write_text("!*.tmp\n")
    os.mkfifo(tmp_path / "pipe.tmp")
    fd = os.open(tmp_path, os.O_RDONLY)
    tree = TreeSource(fd, "tree", Exclusion.of(["x.txt"]))
    found = ["/".join(entry.path) for entry in tree.entries()]
    tree.close()
    assert found == [".dhtstoreignore", "a", "keep", "keep/.dhtstoreignore", "keep/x.tmp"]


@pytest.mark.parametrize(
    "make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/passwd")]
)
def test_only_a_plain_file_is_one_of_patterns(make: object, tmp_path: Path) -> None:
    make(tmp_path / ".dhtstoreignore")  # type: ignore[operator]
    tree = TreeSource(os.open(tmp_path, os.O_RDONLY), "tree")
    assert len(list(tree.entries())) == 1
    tree.close()


def test_a_malformed_file_of_patterns_is_named(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / ".dhtstoreignore").write_text("ok\n[\n")
    tree = TreeSource(os.open(tmp_path, os.O_RDONLY), "tree")
    with pytest.raises(UsageError, match=r"tree/d/\.dhtstoreignore: '\['"):
        list(tree.entries())
    tree.close()


def test_lines_are_names_byte_for_byte() -> None:
    assert lines_of(b"caf\xe9\r\n# x\n\n y ") == ["caf\uf7e9", " y "]
