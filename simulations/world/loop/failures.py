"""The part of an event loop that keeps what failed unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from simulations.errors import EscapedSimulation
from simulations.world.loop.isolated_loop import IsolatedLoop

Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class FailureKeepingLoop(IsolatedLoop):
    """``unhandled`` is what failed without anybody taking its error, in order."""

    def __init__(self) -> None:
        self._handler: Handler | None = None
        self.unhandled: list[BaseException] = []

    def set_exception_handler(self, handler: Handler | None) -> None:
        self._handler = handler

    def get_exception_handler(self) -> Handler | None:
        return self._handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what failed; ``run`` raises it at the end."""
        error = context.get("exception")
        if not isinstance(error, BaseException):
            error = RuntimeError(str(context.get("message")))
        self.unhandled.append(error)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._handler is None:
            self.default_exception_handler(context)
        else:
            self._handler(self, context)

    def _report(self, message: str, error: BaseException) -> None:
        self.call_exception_handler({"message": message, "exception": error})

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        if enabled:
            raise EscapedSimulation("asyncio's debug mode reads the real clock")
