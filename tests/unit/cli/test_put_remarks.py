"""What a put says of its results: as the command prints it, of results that a node would send."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dhtstore.cli.content import put as command
from dhtstore.cli.main import run
from dhtstore.errors import QuorumNotReached
from dhtstore.operations.content import HolderReport, PutResult, SkippedEntry

CID = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"
ONE = PutResult(CID, 5, 3, 1, 1, [], {}, hosts=1, subnets=1)


def _said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    paths: Sequence[str],
    *results: PutResult | QuorumNotReached,
) -> list[str]:
    coming = iter(results)

    def sent(*_: object, **__: object) -> PutResult:
        result = next(coming)
        if isinstance(result, QuorumNotReached):
            raise result
        return result

    monkeypatch.setattr(command, "_sent", sent)
    run(["put", *paths])
    return capsys.readouterr().err.splitlines()


def test_of_several_paths_each_line_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = PutResult(
        CID, 5, 1, 1, 1, [], {}, skipped=[SkippedEntry("outin", "leads out")], skipped_count=1
    )
    short = QuorumNotReached("too few", copies=1, replicas=3, min_acks=2, partial=None)
    said = _said(monkeypatch, capsys, ["g1", "tree/", "g2"], ONE, tree, short.hinted("more"))
    assert said[0] == "g1: 1 of 3 copies on 1 host in 1 subnet"
    assert "skipped tree/outin: leads out" in said
    assert "tree/: 1 copy on 0 hosts in 0 subnets" in said
    assert "error: g2: too few" in said


def test_of_one_path_nobody_has_to_be_told_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _said(monkeypatch, capsys, ["g1"], ONE)[0] == "1 of 3 copies on 1 host in 1 subnet"


def test_fewer_copies_than_wanted_have_a_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = [HolderReport(CID, node, "held", "", 5) for node in "abcd"]
    result = PutResult(CID, 5, 5, 4, 2, [], {}, held, hosts=4, subnets=4)
    said = _said(monkeypatch, capsys, ["g1"], result)
    assert said[0].startswith("4 of 5 copies")
    assert said[1] == "  only 4 storage nodes known here: more copies need more nodes"


def test_what_nobody_keeps_yet_of_what_is_wanted_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = PutResult(CID, 5, 1, 1, 1, [], {}, policy_stored=False)
    said = _said(monkeypatch, capsys, ["g1"], result)
    assert said[1].startswith("the network does not know yet how many copies are wanted")


def test_what_stays_of_an_earlier_put_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = PutResult(CID, 5, 2, 2, 2, [], {}, replicas_kept=True, name_kept="holiday")
    said = _said(monkeypatch, capsys, ["g1"], result)
    assert "2 copies wanted, as when it was put before; --replicas N changes that" in said
    assert "already put as holiday; --name NAME changes that" in said
