"""Which exchanges somebody wants to see."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.messages.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Selection:
    """All that is given must hold; nodes are told by their numbers, -1 is what is no node.
    ``about`` is the beginning of a key or CID; ``kinds`` are as the table shows them."""

    node: int | None = None
    source: int | None = None
    target: int | None = None
    kinds: tuple[str, ...] = ()
    about: str = ""
    after_s: float = 0.0
    before_s: float = float("inf")
    failed: bool = False

    def takes(self, exchange: Exchange, source: int, target: int) -> bool:
        """Whether it is one of them; ``source`` and ``target`` are the numbers of its nodes."""
        return (
            self.after_s <= exchange.start_s < self.before_s
            and not (self.failed and exchange.ok)
            and (not self.kinds or exchange.kind in self.kinds)
            and exchange.about.startswith(self.about)
            and self._among(source, target)
        )

    def _among(self, source: int, target: int) -> bool:
        return (
            self.node in (None, source, target)
            and self.source in (None, source)
            and self.target in (None, target)
        )
