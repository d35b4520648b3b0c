"""What each holder that a command met did for it, while it is counted."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.operations.content import HolderShare


@dataclass(slots=True)
class HolderAccount:
    """``unreached`` is why the holder could not be connected to, the last time that failed; the
    other fields are those of HolderShare."""

    node: str
    connected: bool = False
    unreached: str = ""
    asked: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    lacked: int = 0
    refused: str = ""
    failed: str = ""

    @property
    def hopeless(self) -> bool:
        """Whether it never let us in, or turned us down then."""
        return bool(self.refused) or (bool(self.unreached) and not self.connected)

    def share(self) -> HolderShare:
        """As it stands now."""
        return HolderShare(
            node=self.node,
            asked=self.asked,
            delivered=self.delivered,
            delivered_bytes=self.delivered_bytes,
            lacked=self.lacked,
            refused=self.refused,
            failed=self.failed,
        )
