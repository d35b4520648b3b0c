"""When the blocks here are verified again: in passes by multihash, from one to the next, so that
what comes next is what was verified longest ago.

A pass is spread over SCRUB_SPREAD_S, by how much of it is left and how long: so it catches up after
a node was down, and is no slower for a restart.  Where much is stored it goes as fast as it
may: at SCRUB_RATE_MAX_BYTES_PER_S, and with SCRUB_SHARE of the time that its reads take,
which grows with what others want of the disk.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from dhtstore.params import (
    SCRUB_EVERY_S,
    SCRUB_PAUSE_MAX_S,
    SCRUB_RATE_MAX_BYTES_PER_S,
    SCRUB_SHARE,
    SCRUB_SPREAD_S,
)

_SHA2_256: Final = b"\x12\x20"  # before the digest: all but few blocks are named by one
_FRACTION_BYTES: Final = 4


class ScrubPass(NamedTuple):
    """One pass, begun at ``began_unix_s``; blocks up to the multihash ``at`` are verified, all if
    it is ``over``.  ``whole_unix_s`` is when the last began that came to its end, 0 for none."""

    began_unix_s: int = 0
    at: bytes = b""
    over: bool = True
    whole_unix_s: int = 0

    def due_in_s(self, now_unix_s: float) -> float:
        """Until the next step; a clock that was set back makes nobody wait."""
        if not self.over or self.began_unix_s > now_unix_s:
            return 0.0
        return max(0.0, self.began_unix_s + SCRUB_EVERY_S - now_unix_s)

    def begun(self, now_unix_s: float) -> ScrubPass:
        """This one, or the next where it is over or began in the future."""
        if self.over or self.began_unix_s > now_unix_s:
            return ScrubPass(int(now_unix_s), b"", over=False, whole_unix_s=self.whole_unix_s)
        return self

    def advanced(self, at: bytes) -> ScrubPass:
        return self._replace(at=at)

    def ended(self) -> ScrubPass:
        return ScrubPass(self.began_unix_s, b"", over=True, whole_unix_s=self.began_unix_s)

    def pause_s(
        self, now_unix_s: float, read_bytes: int, took_s: float, stored_bytes: int
    ) -> float:
        """After a step that read so much in ``took_s``, of all that is stored."""
        slow_s = max(read_bytes / SCRUB_RATE_MAX_BYTES_PER_S, took_s * (1 / SCRUB_SHARE - 1))
        left_bytes = max(1.0, stored_bytes * (1 - _fraction(self.at)))
        left_s = max(0.0, self.began_unix_s + SCRUB_SPREAD_S - now_unix_s)
        return max(slow_s, min(SCRUB_PAUSE_MAX_S, left_s * read_bytes / left_bytes))


def whole_pass(began_unix_s: float) -> ScrubPass:
    """All blocks were verified in one go."""
    return ScrubPass(int(began_unix_s)).ended()


def _fraction(at: bytes) -> float:
    """How much lies below: digests are spread evenly."""
    if not at.startswith(_SHA2_256):
        return float(at > _SHA2_256)
    digest = at[len(_SHA2_256) :][:_FRACTION_BYTES]
    return int.from_bytes(digest.ljust(_FRACTION_BYTES, b"\0")) / 256**_FRACTION_BYTES
