"""Sweeps on a cluster: as runs end, tried once more, refused to other code, killed and gone on."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simulations.errors import ScenarioError
from simulations.lab.many_runs import cluster, local_workers, sweep
from simulations.lab.many_runs.one import finished
from simulations.scenario import from_tables
from tests.simulation.lab.test_sweeping import TRIPPING, WORLD, tasks
from tests.source_tree import ROOT

if TYPE_CHECKING:
    from distributed import Client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_workers.local(2) as found:
        yield found


def test_workers_are_forked_from_a_process_that_has_imported_what_a_run_needs(
    client: Client,
) -> None:
    """Else each would import it for itself, which takes as long as a short run."""
    parents = set(client.run(os.getppid).values())
    assert len(parents) == 1
    assert os.getpid() not in parents


def test_runs_are_told_as_they_end_and_few_are_handed_out(client: Client, tmp_path: Path) -> None:
    """The first takes by far the longest, and is not told first."""
    scenario, out = from_tables(WORLD), tmp_path / "out"
    given = tasks(out, scenario, 1, run__duration_s="20 min,1 min,2 min")
    told, most = list[str](), 0
    for end, again in cluster.ends_of(client, given):
        assert (end.error, again) == ("", False)
        told.append(end.name)
        most = max(most, len(client.futures))
    assert sorted(told) == [task.name for task in given]
    assert told[0] != given[0].name
    assert most <= 2, "as many as there are workers"
    assert not tasks(out, scenario, 1, run__duration_s="20 min,1 min,2 min"), "all are finished"


@pytest.mark.parametrize(
    ("how", "told"), [("raise", "on purpose"), ("die", "worker died"), ("always", "on purpose")]
)
def test_a_run_that_fails_or_kills_its_worker_is_tried_once_more(
    client: Client, tmp_path: Path, how: str, told: str
) -> None:
    (tmp_path / "tripping.py").write_text(TRIPPING)
    once = tmp_path / "once"
    once.touch()
    run = {"nodes": 10, "duration_s": "1 min", "module": "tripping.py"}
    scenario = from_tables({"run": run, "parameters": {"how": how, "once": str(once)}})
    ends = list(cluster.ends_of(client, tasks(tmp_path / "out", scenario, 1)))
    assert told in ends[0][0].error
    assert [again for _, again in ends] == [True, False]
    assert bool(ends[1][0].error) == (how == "always")
    assert bool(finished(tmp_path / "out" / "001")) == (how != "always")


def test_workers_of_another_version_are_refused(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tasks(tmp_path / "out", from_tables(WORLD), 1)[0]
    ends = list(cluster.ends_of(client, [dataclasses.replace(task, code_sha256="other")]))
    assert all("another version of the code" in end.error for end, _ in ends)
    assert client.scheduler is not None
    address = str(client.scheduler.address)
    with cluster.connected(address) as same:
        assert same.run(os.getpid)
    monkeypatch.setattr(cluster, "code_digest", _of_this_process)
    with (
        pytest.raises(ScenarioError, match=r"another version of the code.*PYTHONPATH"),
        cluster.connected(address),
    ):
        pass


def test_a_cluster_without_workers_is_told_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_ANSWER_TIMEOUT_S", 0.5)
    local_cluster = cluster.distributed_package().LocalCluster
    with (
        local_cluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as empty,
        pytest.raises(ScenarioError, match=r"has no worker: start workers in a checkout"),
        cluster.connected(str(empty.scheduler_address)),
    ):
        pass


def _of_this_process() -> str:
    return str(os.getpid())


def test_a_sweep_is_killed_or_interrupted_and_goes_on(tmp_path: Path) -> None:
    """Killed after its first run, interrupted after the next, then to its end: none twice."""
    (tmp_path / "world.toml").write_text(
        '[run]\nnodes = 15\nduration_s = "5 min"\n[workload]\nkind = "lookups"\n'
    )
    arguments = ["sweep", "world.toml", "--seeds", "6", "--jobs", "2", "--out", "out"]
    command = [sys.executable, "-m", "simulations", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    made: set[str] = set()
    for end, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130), (None, 0)):
        told = list[str]()
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                told.append(line)
                if end is not None and "trace sha256" in line:
                    process.send_signal(end)
                    end = None
            assert process.wait() == code
        names = {line.split("out/")[1][:3] for line in told if "trace sha256" in line}
        assert not names & made, "a finished run is not made again"
        made |= names
    assert len(sweep.load(tmp_path / "out").runs) == 6
