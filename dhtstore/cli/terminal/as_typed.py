"""What of a command line needs no conversion is taken as it was typed: text, counts, words.

typer has every value converted by pydantic, which takes 90 ms of processor time to load: as much as
all else that a command does before its first byte.  It still gets what may be wrong, and says so.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

_TEXT: Final[tuple[Any, ...]] = (str, list[str])


def keep_typed(params: list[Any]) -> list[Any]:
    """Let values of a command that need no conversion be taken as they are; all else is typer's."""
    for param in params:
        convert = getattr(param, "get_runtime_param", None)  # a typer that converts by pydantic
        if inspect.ismethod(convert) and not isinstance(convert.__self__, _Conversion):
            param.get_runtime_param = _Conversion(param, convert).itself
    return params


class _Conversion:
    """What typer asks to convert one parameter."""

    def __init__(self, param: Any, convert: Callable[[], Any]) -> None:
        self._wanted, self._about = param.type_descriptor.annotation, param.type_descriptor
        self._convert = convert

    def itself(self) -> _Conversion:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        if several:
            if self._wanted in _TEXT and isinstance(value, list | tuple):
                return list(value)
        elif isinstance(value, str) and (taken := self._taken(value)) is not None:
            return taken
        elif isinstance(self._wanted, type) and isinstance(value, self._wanted):
            return value  # a flag, or a default
        return self._convert().coerce(value, param=param, ctx=ctx)

    def _taken(self, text: str) -> str | int | None:
        """None for what may be wrong."""
        if self._wanted is int and text.isascii() and text.isdigit():
            count, bounds = int(text), self._about.parameter_info
            return count if (bounds.min or 0) <= count <= (bounds.max or count) else None
        if isinstance(self._wanted, type) and issubclass(self._wanted, StrEnum):
            return next((each for each in self._wanted if each == text), None)
        return text if self._wanted is str else None
