"""How much of what is here is read for audits.  Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from dhtstore.params import (
    AUDIT_ORIGIN_DIVISOR,
    AUDIT_READ_FREE_BYTES,
    AUDIT_READ_SAVED_S,
    AUDIT_READ_SHARE_PER_DAY,
    DAY_S,
)

_ORIGINS_MAX: Final = 1024


class AuditRation:
    """AUDIT_READ_SHARE_PER_DAY of what is kept, of which some may be saved up; an origin that has
    had a part of all that is there waits until others had theirs.  ``now_s`` is monotonic."""

    def __init__(self) -> None:
        self._used_bytes = self._at_s = 0.0
        self._by_origin: OrderedDict[str, float] = OrderedDict()

    def has(self, origin: str, kept_bytes: int, now_s: float) -> bool:
        """Whether something may be read for an origin now."""
        per_s = (kept_bytes * AUDIT_READ_SHARE_PER_DAY + AUDIT_READ_FREE_BYTES) / DAY_S
        whole_bytes = per_s * AUDIT_READ_SAVED_S
        self._pay_back(per_s * max(0.0, now_s - self._at_s))
        self._at_s = now_s
        own_bytes = self._by_origin.get(origin, 0.0)
        return self._used_bytes < whole_bytes and own_bytes < whole_bytes / AUDIT_ORIGIN_DIVISOR

    def took(self, origin: str, read_bytes: int) -> None:
        """So much was read for it."""
        if not read_bytes:
            return
        self._used_bytes += read_bytes
        self._by_origin[origin] = self._by_origin.pop(origin, 0.0) + read_bytes
        if len(self._by_origin) > _ORIGINS_MAX:
            self._by_origin.popitem(last=False)

    def _pay_back(self, grown_bytes: float) -> None:
        """What has grown again is given to all alike."""
        if not self._used_bytes:
            return
        left = max(0.0, 1 - grown_bytes / self._used_bytes)
        self._used_bytes *= left
        for origin in self._by_origin:
            self._by_origin[origin] *= left
