"""How many key agreements strangers get: those that prove nothing, and those that proved their
address, each and together.

A flood from few prefixes is cut at each prefix: an IPv4 /24, or an IPv6 /64 within its /56 and /48,
since who has one has all of a /48.  One from many prefixes is cut by what all of them get; a part
of that is kept for prefixes that took nothing lately, so that a newcomer gets in.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from typing import Final

from dhtstore.dht.core.limits import TokenBucket
from dhtstore.params import (
    COLD_KEYS_PER_S,
    COOKIE_KEYS_ALL_PER_S,
    COOKIE_KEYS_PER_S,
    COOKIE_KEYS_QUIET_PER_S,
    COOKIE_QUIET_S,
    STRANGER_KEYS_BURST,
)

_IPV4_BYTES: Final = (3,)
_IPV6_BYTES: Final = (6, 7, 8)  # RIPE-690: a /48 for a company, a /56 for a home, a /64 for a link
_PREFIXES_MAX: Final = 4096


class _Prefix:
    """``taken_s`` is when it last got one, in monotonic seconds."""

    __slots__ = ("bucket", "taken_s")

    def __init__(self, rate_per_s: float) -> None:
        self.bucket = TokenBucket(rate_per_s, 2 * rate_per_s)
        self.taken_s = -math.inf


def _burst(rate_per_s: float) -> TokenBucket:
    return TokenBucket(rate_per_s, rate_per_s * STRANGER_KEYS_BURST)


class AgreementRations:
    """``now`` is monotonic seconds.  The prefixes seen last are remembered."""

    __slots__ = ("_all", "_cold", "_prefixes", "_quiet")

    def __init__(self) -> None:
        self._cold = _burst(COLD_KEYS_PER_S)
        self._all = _burst(COOKIE_KEYS_ALL_PER_S)
        self._quiet = _burst(COOKIE_KEYS_QUIET_PER_S)
        self._prefixes: OrderedDict[bytes, _Prefix] = OrderedDict()

    def __len__(self) -> int:
        return len(self._prefixes)

    def take_cold(self, now: float) -> bool:
        """Take one for whoever proves nothing; False if there is none."""
        return self._cold.take(now)

    def take(self, host: str, now: float) -> bool:
        """Take one for an IP literal that is proved; False if there is none for it."""
        prefixes = [self._prefix(prefix) for prefix in _prefixes(host)]
        if not all(prefix.bucket.take(now) for prefix in prefixes):
            return False
        quiet = now - prefixes[0].taken_s >= COOKIE_QUIET_S
        prefixes[0].taken_s = now
        return self._all.take(now) or (quiet and self._quiet.take(now))

    def _prefix(self, name: bytes) -> _Prefix:
        prefix = self._prefixes.get(name)
        if prefix is None:
            if len(self._prefixes) >= _PREFIXES_MAX:
                self._prefixes.popitem(last=False)
            prefix = self._prefixes[name] = _Prefix(COOKIE_KEYS_PER_S)
        self._prefixes.move_to_end(name)
        return prefix


def _prefixes(host: str) -> list[bytes]:
    """The widest first, so that what a /48 may not have costs its parts nothing."""
    packed = ipaddress.ip_address(host).packed
    return [packed[:size] for size in (_IPV4_BYTES if len(packed) == 4 else _IPV6_BYTES)]
