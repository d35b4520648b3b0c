"""Many runs on the processes of a Dask cluster: that of ``local_workers``, or one that is there.

The results are files; only how each run ended travels.  As many runs are handed out as there are
workers, so that memory here does not grow with their number, and a worker that dies takes one run
with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulations.errors import ScenarioError
from simulations.lab.many_runs.one import OTHER_CODE, RunEnd, RunTask, do, finished
from simulations.results.identity import code_digest

if TYPE_CHECKING:
    from distributed import Client, Future

_TRIES = 2
_ANSWER_TIMEOUT_S = 15
_LOOK_EVERY_S = 10  # for workers that came
End = tuple[RunEnd, bool]


@contextlib.contextmanager
def connected(address: str) -> Iterator[Client]:
    """The cluster whose scheduler is at ``address``; raises ScenarioError, also for workers of
    another version of the code."""
    distributed = distributed_package()
    try:
        client = distributed.Client(address, timeout=_ANSWER_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise ScenarioError(f"--scheduler {address}: {error}") from error
    with client:
        _check_workers(client)
        yield client


def _check_workers(client: Client) -> None:
    try:
        client.wait_for_workers(1, timeout=_ANSWER_TIMEOUT_S)
    except TimeoutError as error:
        raise ScenarioError(f"the cluster has no worker: {_HOW}") from error
    try:
        codes: dict[str, str] = client.run(code_digest)
    except Exception as error:  # whatever the import of another version raises
        raise ScenarioError(
            f"a worker cannot run the laboratory ({type(error).__name__}: {error}): {_HOW}"
        ) from error
    others = sorted(worker for worker, code in codes.items() if code != code_digest())
    if others:
        raise ScenarioError(f"{OTHER_CODE} ({', '.join(others)}): {_HOW}")


_HOW = "start workers in a checkout of this commit, with PYTHONPATH naming it"


def ends_of(client: Client, tasks: Sequence[RunTask]) -> Iterator[End]:
    """How each run ended, as they end; True with a failure that is tried once more.  Raises
    ScenarioError if the cluster is lost."""
    runs = _Runs(client, tasks)
    try:
        while runs.hand_out():
            yield from runs.ended()
    except (CancelledError, OSError) as error:
        raise ScenarioError(f"the cluster is lost ({error}): the same command goes on") from error


class _Runs:
    """A run for each worker, and those that wait for one."""

    def __init__(self, client: Client, tasks: Sequence[RunTask]) -> None:
        self._client, self._left = client, iter(tasks)
        self._again, self._tries = list[RunTask](), dict[str, int]()
        self._under_way: dict[Future[RunEnd], RunTask] = {}

    def hand_out(self) -> bool:
        """To workers that have none, also new ones; whether anything is under way."""
        workers = max(1, len(self._client.nthreads()))  # type: ignore[no-untyped-call]
        while len(self._under_way) < workers:
            task = self._again.pop() if self._again else next(self._left, None)
            if task is None:
                break
            self._tries[task.name] = self._tries.get(task.name, 0) + 1
            self._under_way[self._client.submit(do, task, pure=False, retries=0)] = task
        return bool(self._under_way)

    def ended(self) -> list[End]:
        """Those that ended since, once there are any; none for a while, to look for workers."""
        try:
            done, _ = distributed_package().wait(
                list(self._under_way), _LOOK_EVERY_S, return_when="FIRST_COMPLETED"
            )
        except TimeoutError:
            return []
        return [self._judged(self._under_way.pop(future), future) for future in done]

    def _judged(self, task: RunTask, future: Future[RunEnd]) -> End:
        end = _end_of(task, future)
        if end.error and self._tries[task.name] < _TRIES:
            self._again.append(task)
            return end, True
        del self._tries[task.name]
        return end, False


def _end_of(task: RunTask, future: Future[RunEnd]) -> RunEnd:
    from distributed.scheduler import KilledWorker

    try:
        end: RunEnd = future.result()
    except KilledWorker:
        return RunEnd(task.name, task.settings, error="the worker died that did it")
    except Exception as error:  # what could not travel: the run's own is told of
        return RunEnd(task.name, task.settings, error=f"{type(error).__name__}: {error}")
    if not end.error and not finished(Path(task.out)):
        apart = f"{task.out} is not there: workers and this command must share a disk"
        return RunEnd(task.name, task.settings, error=apart)
    return end


def distributed_package() -> Any:
    """The package, which a plain installation has not; raises ScenarioError then."""
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise ScenarioError(f"{error}; pip install 'dhtstore[simulations]' has it") from error
    return distributed
