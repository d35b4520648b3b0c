"""What became of each holder that a command met."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HolderShare:
    """One holder in the fetches of one command.

    Of the blocks it was ``asked`` for it ``delivered`` some, whole and right, ``delivered_bytes``
    together, and said of others that it ``lacked`` them.  ``refused`` is its own reason for
    turning a request down, ``failed`` what else went wrong with it, "" if nothing did.
    """

    node: str
    asked: int
    delivered: int
    delivered_bytes: int
    lacked: int
    refused: str
    failed: str


@dataclass(slots=True)
class HolderAccount:
    """The same while it is counted."""

    node: str
    connected: bool = False
    unreached: str = ""  # why it could not be connected to, the last time that failed
    asked: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    lacked: int = 0
    refused: str = ""
    failed: str = ""

    def report(self) -> HolderShare:
        return HolderShare(
            node=self.node,
            asked=self.asked,
            delivered=self.delivered,
            delivered_bytes=self.delivered_bytes,
            lacked=self.lacked,
            refused=self.refused,
            failed=self.failed,
        )
