"""What is text at the ends of a command is UTF-8, whatever the locale says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Network
from tests.cli.terminal import COMMAND_TIMEOUT_S, ENVIRONMENT, Ran, run

NAME = "caf\u00e9 \u65e5\u672c"
CONTENT = b"content under a name that not every locale can spell"
LOCALES = {
    "C": {"LC_ALL": "C"},  # which POSIX is another name of
    "C that wants no UTF-8": {"LC_ALL": "C", "PYTHONUTF8": "0"},
    "Latin-1": {"LC_ALL": "en_US.ISO-8859-1"},
    "UTF-8, printing ASCII": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii:strict"},
}


@pytest.fixture(scope="session")
def locale_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a Latin-1 locale is, as LOCPATH takes it."""
    path = tmp_path_factory.mktemp("locales")
    localedef = shutil.which("localedef")
    if localedef is None:
        pytest.skip("no localedef here")
    name = str(path / "en_US.ISO-8859-1")
    subprocess.run([localedef, "-i", "en_US", "-f", "ISO-8859-1", name], check=True)
    return path


@pytest.fixture(params=LOCALES)
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    chosen = LOCALES[request.param]
    if "ISO" in chosen["LC_ALL"]:
        return {**chosen, "LOCPATH": str(request.getfixturevalue("locale_path"))}
    return chosen


def make_tree(path: Path) -> Path:
    (path / NAME).mkdir(parents=True)
    (path / NAME / NAME).write_bytes(CONTENT)
    (path / "link").symlink_to(f"{NAME}/{NAME}")
    return path


def done(ran: Ran) -> str:
    assert ran.code == 0, ran.err
    return ran.text


def test_the_same_tree_has_the_same_cid_and_comes_back_in_every_locale(
    network: Network, environment: dict[str, str], tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / f"tree {NAME}")
    seed = ("--seed", network.ticket)
    there = done(run("put", *seed, tree)).strip()
    here = done(run("put", *seed, tree, environment=environment)).strip()
    assert here == there
    listed = run("ls", *seed, "--json", here, environment=environment)
    assert [row["name"] for row in listed.json] == [NAME, "link"]
    assert NAME in done(run("ls", *seed, here, environment=environment))
    target = tmp_path / f"got {NAME}"
    told = run("get", *seed, "--json", here, "-o", target, environment=environment)
    assert told.json["output"] == str(target)
    assert os.listdir(os.fsencode(target / NAME)) == [NAME.encode()]
    assert os.readlink(os.fsencode(target / "link")) == f"{NAME}/{NAME}".encode()
    path = f"{here}/{NAME}/{NAME}"
    assert done(run("cat", *seed, path, environment=environment)) == CONTENT.decode()
    stat = run("stat", *seed, "--json", path, environment=environment)
    assert stat.json["size"] == len(CONTENT)


def test_names_given_and_listed_are_the_same_in_every_locale(
    network: Network, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / NAME).write_bytes(repr(environment).encode())
    home = ("--home", network.client.home)
    cid = done(run("put", *home, tmp_path / NAME, environment=environment)).strip()
    named = done(run("put", *home, "-", "--name", NAME, environment=environment)).strip()
    rows = run("list", *home, "--json", environment=environment).json
    assert {row["name"] for row in rows if row["cid"] in (cid, named)} == {NAME}
    assert NAME in done(run("list", *home, environment=environment))


def test_a_message_shows_the_name_it_is_about(
    network: Network, environment: dict[str, str], tmp_path: Path
) -> None:
    ran = run("put", "--home", network.client.home, tmp_path / NAME, environment=environment)
    assert ran.code == 2
    assert f"cannot read {tmp_path / NAME}: " in ran.err


LIBRARY = """
import os, sys
import dhtstore.sync

ticket, tree, target = sys.argv[1:]
with dhtstore.sync.open(None, seeds=[ticket]) as client:
    cid = client.put(tree).cid
    names = [entry.name for entry in client.ls(cid)]
    client.get(cid, target)
    path = cid + "/" + names[0] + "/" + names[0]
    sys.stdout.buffer.write("\\n".join([cid, names[0], str(len(client.cat(path)))]).encode())
"""


def test_the_library_takes_names_for_what_they_are_in_every_locale(
    network: Network, environment: dict[str, str], tmp_path: Path
) -> None:
    tree, target = make_tree(tmp_path / f"tree {NAME}"), tmp_path / f"got {NAME}"
    told = subprocess.run(
        [sys.executable, "-c", LIBRARY, network.ticket, tree, target],
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        check=True,
        timeout=COMMAND_TIMEOUT_S,
    )
    cid = done(run("put", "--seed", network.ticket, tree)).strip()
    assert told.stdout.decode().split("\n") == [cid, NAME, str(len(CONTENT))]
    assert (target / NAME / NAME).read_bytes() == CONTENT
    assert os.readlink(target / "link") == f"{NAME}/{NAME}"


NOT_TEXT = os.fsdecode(b"no\xfftext")
BAD_ARGUMENTS = {
    "a CID": ("cat", NOT_TEXT),
    "a root": ("status", NOT_TEXT),
    "a name": ("put", "-", "--name", NOT_TEXT),
    "a node": ("ping", NOT_TEXT),
    "a seed": ("ls", "--seed", f"{NOT_TEXT}:1", "bafkqaaa"),
    "a network": ("ls", "--seed", "127.0.0.1:1", "--network", NOT_TEXT, "bafkqaaa"),
    "a setting": ("config", "domain", NOT_TEXT),
    "addresses": ("config", "advertise", f"{NOT_TEXT}:1"),
    "no setting": ("config", NOT_TEXT),
    "a source": ("put", f"missing/{NOT_TEXT}"),
    "a key": ("owner", "import", NOT_TEXT),
    "a duration": ("list", "--timeout", NOT_TEXT),
    "a level": ("list", "--log-level", NOT_TEXT, "--seed", "127.0.0.1:1"),
    "an option": ("list", f"--{NOT_TEXT}"),
    "a command": (NOT_TEXT,),
}


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS.keys())
def test_arguments_that_are_no_text_are_told(
    network: Network, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    environment = {"DHTSTORE_HOME": str(network.client.home), "LC_ALL": "C"}
    ran = run(*arguments, environment=environment, cwd=tmp_path)
    assert ran.code == 2, ran.err
    assert "Traceback" not in ran.err
    assert "error: " in ran.err
