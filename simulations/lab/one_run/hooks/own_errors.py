"""What a scenario's own code raised, for whoever wrote it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import dhtstore

_HERE = Path(__file__).parents[3]
_SCENARIOS = str(_HERE / "scenarios")
_LOOP = str(_HERE / "world" / "loop" / "virtual_loop.py")
_NODE, _PYTHON = Path(dhtstore.__file__).parent, Path(asyncio.__file__).parents[1]
_OTHERS = tuple(map(str, (_HERE, _NODE, _PYTHON)))
_UNAWAITED = "was never awaited"


def told_with_place(error: BaseException) -> str:
    """What was raised, and where the scenario's own code was then: in the last of its lines."""
    told = f"{type(error).__name__}: {error}"
    for each in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_own(each.filename):
            return f"{Path(each.filename).name}, line {each.lineno}, in {each.name}: {told}"
    return told


def _is_own(file: str) -> bool:
    """Whether it is of a scenario, and no part of the laboratory, the node or Python."""
    return file.startswith(_SCENARIOS) or not file.startswith((*_OTHERS, "<frozen"))


@contextlib.contextmanager
def nothing_left_unawaited(tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block ``tell`` is told of each coroutine that ends before anybody awaited it, and
    of the line of a scenario's own code that let go of it, if that was one."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, *where: Any, **options: Any) -> None:
            if _UNAWAITED in str(message):
                tell(f"{_own_line(sys._getframe())}{message}")
            else:
                shown(message, *where, **options)

        warnings.filterwarnings("always", f".*{_UNAWAITED}", RuntimeWarning)
        warnings.showwarning = show
        yield


def _own_line(frame: FrameType | None) -> str:
    while frame is not None and not _is_own(frame.f_code.co_filename):
        started_run = frame.f_code.co_filename == _LOOP  # by whoever stands above
        frame = None if started_run else frame.f_back
    return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}: " if frame else ""
