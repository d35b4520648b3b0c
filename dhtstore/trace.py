"""Trace events as data: what a node did, stamped with its loop's time.

A ``Tracer`` is handed to the Node; the default drops everything.  The same events come from a
real node and a simulated one.
"""

from __future__ import annotations

from typing import Protocol


class Tracer(Protocol):
    def __call__(self, event: str, **fields: object) -> None:
        """Record one event; must be cheap and must not raise."""


def no_trace(event: str, **fields: object) -> None:
    """The default tracer."""
