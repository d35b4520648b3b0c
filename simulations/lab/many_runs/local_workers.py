"""A cluster of this machine's own, for as long as a sweep takes.

Its workers are forked from one process that has imported what a run needs, and which does so while
this one imports what a cluster needs: otherwise each worker would begin with a second of imports.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from typing import TYPE_CHECKING

from simulations.lab.many_runs.cluster import distributed_package

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # tries are counted and told elsewhere
    "distributed.scheduler.work-stealing": False,  # no worker has more than one run
    "distributed.scheduler.active-memory-manager.start": False,  # what runs return is tiny
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.worker.profile.enabled": False,  # it would look at each run 100 times a second
    # Every look at a loop or at the machine takes a core from a run, 50 times a second by default.
    "distributed.admin.tick.interval": "1 s",
    "distributed.admin.tick.limit": "1 min",  # a run holds the interpreter for long, which is well
    "distributed.admin.system-monitor.interval": "10 s",
}
_RUNS = "simulations.lab.many_runs.one"


@contextlib.contextmanager
def local(workers: int) -> Iterator[Client]:
    """That many processes of one thread each.  They are gone at the end, at once if it is an
    interruption; should this process be killed, they end by themselves.  Raises ScenarioError."""
    _import_ahead()
    distributed = distributed_package()
    import dask

    options = {"n_workers": workers, "threads_per_worker": 1}
    with (
        dask.config.set(_SETTINGS),
        distributed.LocalCluster(
            **options,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # the usual port may be another sweep's
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.register_worker_callbacks(_leave_interrupts_to_the_command)
        try:
            yield client
        except BaseException:
            _kill(cluster)
            raise


def _import_ahead() -> None:
    """Start the process that workers are forked from, unless one runs already."""
    own = getattr(sys.modules["__main__"].__spec__, "name", None)  # each worker asks for it
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["distributed", _RUNS, *([own] if own else [])])
    forkserver.ensure_running()


def _leave_interrupts_to_the_command() -> None:
    """Ctrl-C on a terminal reaches every process of the command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _kill(cluster: LocalCluster) -> None:
    """A run in a thread cannot be asked to stop."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        if nanny.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)
