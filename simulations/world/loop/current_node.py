"""Which node the running code belongs to.  Whoever starts a node sets it; tasks inherit it."""

from __future__ import annotations

from contextvars import ContextVar

NOBODY = -1
CURRENT_NODE: ContextVar[int] = ContextVar("current_node", default=NOBODY)
