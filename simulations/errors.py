"""What can go wrong with an experiment, as opposed to with a node."""

from __future__ import annotations

import errno

INTERRUPTED = 130  # the exit code of who was: 128 + SIGINT, as shells report it


def unwritable(path: object, error: OSError) -> ScenarioError:
    """For whoever named a path that cannot be written, or whose disk is full."""
    why = error.strerror or str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        why = "a file is in the way"
    return ScenarioError(f"cannot write to {path}: {why}; choose another folder, or make room")


class SimulationError(Exception):
    """Base of the laboratory's own errors."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what systems say then


class EscapedSimulation(SimulationError):
    """Code inside the simulation reached for the real world: threads, sockets, clocks, signals."""


class Deadlock(SimulationError):
    """Nothing is left to run, yet a task still waits.  The message lists who waits for what."""


class Livelock(SimulationError):
    """Callbacks run for ever without virtual time moving."""


class UnhandledErrors(SimulationError):
    """Callbacks or tasks failed and nobody looked; ``causes`` holds what they raised."""

    def __init__(self, message: str, causes: list[BaseException]) -> None:
        super().__init__(message)
        self.causes = causes


class NoRoomHere(SimulationError):
    """The machine that runs this has no room left for the disks of the simulated ones."""


class ModuleFailed(SimulationError):
    """A scenario's own code raised; the message says where, the cause what."""


class ScenarioError(SimulationError):
    """A scenario that cannot be run as written; the message names the key."""
