"""``[adversary]``: who attacks, how, and from when on."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.settings import choices, duration, duration_or, integer, number, setting, share

BEHAVIOURS = ("drop", "lie", "eclipse", "stuff", "replay", "refuse", "forget", "forge")
_OBJECT, _RANDOM = "object", "random"


def _target(value: object) -> int | None:
    """The number of an object, None for a random key."""
    kind, _, spelled = value.partition(" ") if isinstance(value, str) else ("", "", "")
    if kind == _OBJECT and spelled.isdecimal():
        return int(spelled)
    if value != _RANDOM:
        raise ValueError(f"{value!r} is neither '{_RANDOM}' nor an object such as '{_OBJECT} 0'")
    return None


@dataclass(frozen=True, slots=True)
class AdversarySettings:
    """Nodes that attack: ``share`` of the scenario's, chosen at random, and ``ground`` machines
    more, which join when the attack begins with ids near the key of ``target`` ("object 0", as
    soon as that was put, or "random").  Each has one of the ``behaviours``, in turn.

    ``records_per_h``: what one that stuffs, replays or forges publishes; ``identities``: made-up
    nodes that one that stuffs answers for; ``forget_after_s``: how long one that forgets keeps
    the bytes of what it signed for."""

    share: float = share(0)
    ground: int = integer(0, 0, 1000)
    target: int | None = setting(_target, _RANDOM)
    behaviours: tuple[str, ...] = choices(*BEHAVIOURS)
    at_s: float = duration(0)
    lasting_s: float | None = duration_or("to the end", 1.0)
    records_per_h: float = number(60.0, 0.001, 3600.0)
    identities: int = integer(20, 0, 1000)
    forget_after_s: float = duration("1 min")

    @property
    def attacks(self) -> bool:
        """Whether anybody does."""
        return bool(self.share or self.ground)
