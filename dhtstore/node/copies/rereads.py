"""How much of what is here strangers may have read and hashed again, who deliver nothing for it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from dhtstore.params import REREAD_AT_ONCE_BYTES, REREAD_BLOCK_BYTES, REREAD_BYTES_PER_S

_ORIGINS_MAX: Final = 1024


class Rereads:
    """For each origin REREAD_AT_ONCE_BYTES, and REREAD_BYTES_PER_S from then on; those used last
    are remembered.  ``now_s`` is monotonic."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()  # bytes, and when

    def take(self, origin: str, size_bytes: int, blocks: int, now_s: float) -> bool:
        """So much was read again for an origin; False if that was more than it may have."""
        used_bytes, at_s = self._used.pop(origin, (0.0, now_s))
        used_bytes = max(0.0, used_bytes - (now_s - at_s) * REREAD_BYTES_PER_S)
        used_bytes += max(size_bytes, blocks * REREAD_BLOCK_BYTES)
        self._used[origin] = used_bytes, now_s
        if len(self._used) > _ORIGINS_MAX:
            self._used.popitem(last=False)
        return used_bytes <= REREAD_AT_ONCE_BYTES
