"""Directories as people have them, through the command line and back."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import Network
from tests.cli.terminal import run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "d").mkdir(parents=True)
    (root / "d" / "file").write_bytes(b"content of a file")
    (root / "d" / "junk.tmp").write_bytes(b"junk")
    (root / "link").symlink_to("d/file")
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9")).write_bytes(b"no text")
    return root


def test_a_tree_with_odd_things_is_stored_without_them(
    network: Network, tree: Path, tmp_path: Path
) -> None:
    clean = network.client.run("put", str(tree)).last_line
    os.mkfifo(tree / "d" / "pipe")
    (tree / "python").symlink_to("/usr/bin/python3")
    ran = network.client.run("put", str(tree))
    assert (ran.code, ran.last_line) == (11, clean)
    lines = ran.err.splitlines()
    assert "skipped d/pipe: is neither a file, a directory nor a link but a pipe" in lines
    assert any(line.startswith("skipped python: is a symbolic link to ") for line in lines)
    assert "error: stored, but for 2 entries that had to be skipped" in lines
    told = network.client.run("put", str(tree), "--json")
    result = json.loads(told.text)
    assert [each["path"] for each in result["skipped"]] == ["d/pipe", "python"]
    assert (result["skipped_count"], result["cid"]) == (2, clean)
    assert json.loads(told.err)["error"]["exit_code"] == 11
    strict = network.client.run("put", str(tree), "--strict")
    assert (strict.code, strict.text) == (2, "")
    out = tmp_path / "out"
    assert network.client.run("get", clean, "-o", str(out)).code == 0
    names = sorted(os.listdir(os.fsencode(out)))
    assert names == [b"caf\xe9", b"d", b"link"]
    spelled = f"{clean}/{os.fsdecode(b'caf' + bytes((0xE9,)))}"
    assert network.client.run("cat", spelled).text == "no text"


def test_a_venv_can_be_put_and_got(network: Network, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (venv / "bin" / "absolute").symlink_to("/usr/bin/python3")
    ran = network.client.run("put", str(venv), "--preserve", "--exclude", "*.pyc")
    assert ran.code == 11
    out = tmp_path / "out"
    assert network.client.run("get", ran.last_line, "-o", str(out)).code == 0
    assert (out / "bin" / "activate").read_bytes() == (venv / "bin" / "activate").read_bytes()
    here, there = (each / "pyvenv.cfg" for each in (out, venv))
    assert here.stat().st_mtime_ns == there.stat().st_mtime_ns


def test_patterns_leave_out_more_than_fits_one_message_of_old(
    network: Network, tree: Path, tmp_path: Path
) -> None:
    patterns = tmp_path / "patterns"
    patterns.write_text("".join(f"{number:03}{'x' * 50}\n" for number in range(3000)) + "*.tmp\n")
    left_out = network.client.run("put", str(tree), "--exclude-from", str(patterns))
    assert left_out.code == 0
    assert "junk" not in network.client.run("ls", f"{left_out.last_line}/d").text
    same = network.client.run("put", str(tree), "--exclude", "junk*")
    assert same.last_line == left_out.last_line


def test_several_paths_are_a_put_each_and_with_wrap_one(
    network: Network, tree: Path, tmp_path: Path
) -> None:
    file, missing = tree / "d" / "file", str(tmp_path / "missing")
    ran = network.client.run("put", str(file), missing, str(tree))
    assert ran.code == 2
    first, second = ran.text.split()
    told = network.client.run("put", str(file), missing, str(tree), "--json").text.splitlines()
    assert [line and json.loads(line) and json.loads(line)["cid"] for line in told] == [
        first,
        None,
        second,
    ]
    assert json.loads(told[0])["link"] == f"{first}?filename=file"
    wrapped = network.client.run("put", "--wrap", str(file), str(tree)).last_line
    listed = network.client.run("ls", wrapped).text
    assert [line.split()[-1] for line in listed.splitlines()] == ["file", "tree"]
    assert first in listed
    assert second in listed


def test_a_tar_from_a_file_or_a_pipe_is_its_directory(
    network: Network, tree: Path, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(tree, arcname=".")
    path = tmp_path / "tree.tar.gz"
    path.write_bytes(packed.getvalue())
    cid = network.client.run("put", str(tree)).last_line
    assert network.client.run("put", "--tar", str(path)).last_line == cid
    home = network.client.home
    piped = run("put", "--tar", "-", "--home", home, stdin=packed.getvalue())
    assert (piped.code, piped.last_line) == (0, cid)
    cut = run("put", "--tar", "-", "--home", home, stdin=packed.getvalue()[:200])
    assert (cut.code, cut.text) == (2, "")
    assert "no archive" in cut.err
