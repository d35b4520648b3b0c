"""How many copies a put must reach, by whose word, and what stands in the way where it did not.

The number is fixed by what was asked for, never by who happens to be there: whoever believes that
two copies were made must not be left with one because nobody else was known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dhtstore.config import counted, format_size
from dhtstore.params import MIN_ACKS_DEFAULT
from dhtstore.replication.ranking import Stage


class Word(StrEnum):
    """Who says how many copies must be reached."""

    ASKED = "asked"  # whoever asked for this put
    SETTING = "setting"  # the node's operator
    DEFAULT = "default"  # nobody


@dataclass(frozen=True, slots=True)
class Quorum:
    """``copies`` must be reached of every unit."""

    copies: int
    word: Word

    @classmethod
    def of(cls, replicas: int, asked: int | None = None, setting: int | None = None) -> Quorum:
        """By default 2, so that no single loss is the last; never more than ``replicas``."""
        if asked is not None:
            return cls(asked, Word.ASKED)
        if setting is not None:
            return cls(min(setting, replicas), Word.SETTING)
        return cls(min(MIN_ACKS_DEFAULT, replicas), Word.DEFAULT)

    def said(self) -> str:
        """The number and whose word it is, for people."""
        if self.word is Word.ASKED:
            return f"the {self.copies} asked for"
        if self.word is Word.SETTING:
            return f"the {self.copies} of this node's setting min_acks"
        return f"the {self.copies} that every put needs unless --min-acks says otherwise"


class Obstacle(StrEnum):
    """Why a node that was asked holds no copy; in the order in which they are told."""

    ROOM = "had no room for it"
    SHARE = "had no share left for it"
    BUSY = "had too many offers open"
    OWNER = "took no data of this owner"
    UNREACHED = "could not be reached"
    REFUSED = "refused it"
    FAILED = "began and gave no receipt"


_BY_CODE: Final = {
    "room": Obstacle.ROOM,
    "no-room": Obstacle.ROOM,
    "units": Obstacle.ROOM,
    "quota": Obstacle.SHARE,
    "origin": Obstacle.SHARE,
    "newcomer": Obstacle.SHARE,
    "claims": Obstacle.SHARE,
    "busy": Obstacle.BUSY,
    "owner": Obstacle.OWNER,
    "client": Obstacle.OWNER,
}
_REMEDIES: Final = {
    Obstacle.ROOM: "give those nodes more room (`dhtstore config capacity SIZE` there{whole}) or"
    " let others join",
    Obstacle.SHARE: "have those nodes give you more (`dhtstore config owner_quota SIZE` there, or a"
    " larger capacity), remove with `dhtstore rm` what you need no more, or let others join",
    Obstacle.BUSY: "wait a minute",
    Obstacle.OWNER: "let nodes join that take it (`--accept`), or have those list your owner key"
    " (`dhtstore id`)",
    Obstacle.UNREACHED: "see with `dhtstore ping NODE` whether they run, and check the connection"
    " between here and there",
    Obstacle.REFUSED: "see above what they said",
    Obstacle.FAILED: "see above what went wrong with them",
}
_NOBODY: Final = (
    "start another storage node with `dhtstore join TICKET`, where `dhtstore id` here prints the"
    " TICKET"
)
_TOO_FEW: Final = "let more storage nodes join"


def obstacle(stage: Stage, code: str) -> Obstacle | None:
    """What kept a node that came to ``stage`` from holding a copy; ``code`` is that of its refusal.
    None where it holds one, or was never asked."""
    if stage is Stage.REFUSED:
        return _BY_CODE.get(code, Obstacle.REFUSED)
    return {Stage.UNREACHED: Obstacle.UNREACHED, Stage.FAILED: Obstacle.FAILED}.get(stage)


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why there are only ``copies`` of the ``replicas`` wanted: one of ``obstacles`` for each node
    that was asked in vain; ``asked`` counts all others that were, also those that hold a copy, and
    ``here`` is whether this node is to hold one itself.  A copy takes ``part_bytes``."""

    copies: int
    replicas: int
    quorum: Quorum
    asked: int
    obstacles: Sequence[Obstacle]
    here: bool = True
    part_bytes: int = 0

    def message(self) -> str:
        """What happened, each reason once."""
        said = f"{self.copies} of {self.replicas} copies, fewer than {self.quorum.said()}"
        return f"{said}: {self._reasons()}"

    def hint(self) -> str:
        """What to do about just these reasons."""
        steps = self._steps()
        enough = self._enough()
        return (
            f"keep the original; {'; '.join(steps)}; then put it again, which adds only what is"
            f" missing{enough}"
        )

    def _reasons(self) -> str:
        if not self.asked:
            return "no other storage node is known here"
        reasons = [self._too_few()] if self._are_too_few() else []
        counts = Counter(self.obstacles)
        if told := [f"{counts[each]} {each}" for each in Obstacle if counts[each]]:
            reasons.append(f"of {_nodes(self.asked)} that could hold it {', '.join(told)}")
        return "; ".join(reasons) or self._too_few()

    def _are_too_few(self) -> bool:
        """Whatever becomes of those that are known."""
        return self.asked + self.here < self.quorum.copies

    def _too_few(self) -> str:
        """Those that were asked are all that is known: more are asked while there are any."""
        with_own = ", this one included" if self.here else ""
        known = f"only {_nodes(self.asked + self.here)} known here{with_own}"
        return f"{known}, and {self.quorum.copies} are needed"

    def _steps(self) -> list[str]:
        if not self.asked:
            return [_NOBODY]
        whole = f"; each holds {format_size(self.part_bytes)} of it whole" * bool(self.part_bytes)
        seen = [_REMEDIES[each].format(whole=whole) for each in Obstacle if each in self.obstacles]
        return [_TOO_FEW, *seen] if self._are_too_few() or not seen else seen

    def _enough(self) -> str:
        """Whoever gave the number knows how to give another."""
        if self.quorum.word is Word.ASKED or not self.copies:
            return ""
        is_enough = "one copy is" if self.copies == 1 else f"{self.copies} copies are"
        return f" (or say with --min-acks {self.copies} that {is_enough} enough)"


def obstacles_of(stages: Iterable[tuple[Stage, str]]) -> list[Obstacle]:
    """One for each node that holds no copy."""
    found = (obstacle(stage, code) for stage, code in stages)
    return [each for each in found if each is not None]


def _nodes(count: int) -> str:
    return counted(count, "storage node")
