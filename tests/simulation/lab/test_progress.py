"""The line that tells how far a run is."""

from __future__ import annotations

import io

from simulations.lab.one_run.progress import Bar, Status


class Told:
    """A bar on a clock that the test moves, and what was drawn."""

    def __init__(self) -> None:
        self.wall_s = 100.0
        self.out = io.StringIO()
        self.bar = Bar(self.out, lambda: self.wall_s)

    def after(self, wall_s: float, status: Status) -> str:
        self.wall_s += wall_s
        self.out.truncate(0)
        self.bar(lambda: status)
        return self.out.getvalue().strip("\r\0 ")


def test_it_tells_virtual_time_nodes_events_and_what_is_left() -> None:
    told = Told()
    making = told.after(10, Status(30.0, None, 3600.0, 50, 200, 1000))
    assert making.startswith("[#######....")
    assert making.endswith(
        "0:00:30 virtual, making the world  50 of 200 nodes up  100 events/s  ETA 0:00:30"
    )
    told.after(10, Status(60.0, 60.0, 3600.0, 200, 200, 2000))
    running = told.after(20, Status(960.0, 60.0, 3600.0, 190, 200, 8000))
    assert running.endswith(
        "0:16:00 of 1:01:00 virtual  190 of 200 nodes up  200 events/s  ETA 0:01:00"
    )


def test_it_is_drawn_at_most_twice_a_second_and_ends_once() -> None:
    told = Told()
    status = Status(0.0, None, 1.0, 0, 1, 0)
    assert told.after(0.1, status) == ""
    told.bar.close()
    assert told.out.getvalue() == "", "nothing was drawn, nothing is ended"
    assert told.after(0.5, status).endswith("ETA ?")
    told.bar.close()
    assert told.out.getvalue().endswith("ETA ?\n")
