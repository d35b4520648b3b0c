"""Text of a command line that is wanted as text stays what was typed.

typer has every value converted by pydantic, which takes 90 ms of processor time to load: as much as
all else that a command does before its first byte.  Few of our options are anything but text.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

_TEXT: Final[tuple[Any, ...]] = (str, list[str])


def keep_text(params: list[Any]) -> list[Any]:
    """Let those of a command that are text be taken as they are; all else is typer's to convert."""
    for param in params:
        convert = getattr(param, "get_runtime_param", None)  # a typer that converts by pydantic
        if inspect.ismethod(convert) and not isinstance(convert.__self__, _Conversion):
            param.get_runtime_param = _Conversion(param, convert).itself
    return params


class _Conversion:
    """What typer asks to convert one parameter."""

    def __init__(self, param: Any, convert: Callable[[], Any]) -> None:
        self._text = param.type_descriptor.annotation in _TEXT
        self._convert = convert

    def itself(self) -> _Conversion:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        if self._text and isinstance(value, list | tuple if several else str):
            return list(value) if several else value
        return self._convert().coerce(value, param=param, ctx=ctx)
