"""Failure domains without power, and which of their machines start when it is back."""

from __future__ import annotations


class Power:
    """Of all failure domains; a machine without one always has power."""

    def __init__(self) -> None:
        self._cuts: dict[str, int] = {}
        self._waiting: dict[int, bool] = {}

    def has(self, domain: str) -> bool:
        return domain not in self._cuts

    def cut(self, domain: str) -> None:
        """It may be cut several times, and is back when each has ended."""
        self._cuts[domain] = self._cuts.get(domain, 0) + 1

    def restore(self, domain: str) -> bool:
        """End one cut; whether the power is back."""
        left = self._cuts.pop(domain) - 1
        if left:
            self._cuts[domain] = left
        return not left

    def wait(self, number: int, *, with_data: bool = True) -> None:
        """That machine starts when its power is back."""
        self._waiting[number] = with_data and self._waiting.get(number, True)

    def forget(self, number: int) -> None:
        """It does not: it was switched off."""
        self._waiting.pop(number, None)

    def take(self, number: int) -> bool | None:
        """Whether that machine's disk survived, if it is to start; None if it is not."""
        return self._waiting.pop(number, None)
