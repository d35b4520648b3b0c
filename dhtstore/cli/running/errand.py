"""One operation that a command has carried out, and what goes with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dhtstore.net.local.client import Abort
from dhtstore.operations.operation import Operation, Watch, unwatched

R = TypeVar("R")


def _nobody_waits(abort: Abort) -> None:
    """For operations without a pipe."""


@dataclass(frozen=True, slots=True)
class Errand(Generic[R]):
    """``descriptors`` are closed once the node has them; then ``sent`` is called with what ends
    the operation from any thread.  ``rows`` gets those of a list as they come, which then are not
    in the result; whatever follows waits for it."""

    operation: Operation[R]
    descriptors: Sequence[int] = ()
    watch: Watch = unwatched
    sent: Callable[[Abort], None] = _nobody_waits
    rows: Callable[[list[Any]], None] | None = None
