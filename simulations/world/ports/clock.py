"""Clock in virtual time (``dhtstore.net.ports``)."""

from __future__ import annotations

from dhtstore.net.ports import Jump, OnJump
from dhtstore.params import CLOCK_LOOK_S
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop

EPOCH_UNIX_S = 1_800_000_000.0  # what wall clocks show when virtual time is 0


class SimClock:
    """Virtual time; ``skew_s`` is how far this machine's wall clock is off (its loop's is not).

    It does not look for jumps: ``set_wall`` and whoever puts the machine to sleep tell of them,
    as late as a real watch may."""

    def __init__(self, loop: VirtualLoop, skew_s: float = 0.0) -> None:
        self._loop, self.skew_s = loop, skew_s
        self._on_jump: OnJump = _nobody

    def monotonic_s(self) -> float:
        return self._loop.time()

    def unix_s(self) -> float:
        return EPOCH_UNIX_S + self._loop.time() + self.skew_s

    def local_minute(self) -> tuple[int, int]:
        """Machines live where UTC is the local time."""
        days, seconds = divmod(int(self.unix_s()), 86_400)
        return (days + 3) % 7, seconds // 60  # 1970 began on a Thursday

    def watch(self, on_jump: OnJump, duties: Supervisor) -> None:
        """Without a task: whoever moves the clock tells."""
        self._on_jump = on_jump

    def unwatch(self) -> None:
        """What watched runs no more."""
        self._on_jump = _nobody

    def set_wall(self, skew_s: float) -> None:
        """Somebody sets the wall clock."""
        set_s, self.skew_s = skew_s - self.skew_s, skew_s
        self.jumped(Jump(asleep_s=0.0, set_s=set_s))

    def jumped(self, jump: Jump) -> None:
        """Tell the node that runs, if it still does then."""
        self._loop.post(CLOCK_LOOK_S, self._tell, jump, self._on_jump)

    def _tell(self, jump: Jump, on_jump: OnJump) -> None:
        if on_jump == self._on_jump:
            on_jump(jump)


def _nobody(jump: Jump) -> None:
    """Until a node watches."""
