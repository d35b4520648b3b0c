"""What a scenario's own code raised, for whoever wrote it."""

from __future__ import annotations

import traceback
from pathlib import Path

_LABORATORY = str(Path(__file__).parents[3])


def told_with_place(error: BaseException) -> str:
    """What was raised, and where the scenario's own code was then: in the last of its lines."""
    told = f"{type(error).__name__}: {error}"
    for each in reversed(traceback.extract_tb(error.__traceback__)):
        if not each.filename.startswith(_LABORATORY):
            return f"{Path(each.filename).name}, line {each.lineno}, in {each.name}: {told}"
    return told
