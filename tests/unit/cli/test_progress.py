"""Lines of progress: what they say, how wide they are, and how fast it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhtstore.cli.terminal.progress.lines import bar_line, done_line, holder_lines, plain_lines
from dhtstore.cli.terminal.progress.phases import Phases
from dhtstore.cli.terminal.progress.plain import EVERY_S, Plain
from dhtstore.cli.terminal.progress.rates import WINDOW_S, Rates
from dhtstore.cli.terminal.progress.sentences import (
    kept_of_get,
    kept_of_pin,
    kept_of_put,
    kept_of_verify,
)
from dhtstore.operations.operation import KEPT, HolderProgress, Progress

MB = 10**6
HOLDERS = [HolderProgress("ab" * 16, 300 * MB), HolderProgress("cd" * 16, 200 * MB, 200 * MB)]


def copying(done_bytes: int, *, earlier_bytes: int = 0) -> Progress:
    return Progress("copying", done_bytes, 1000 * MB, 2, earlier_bytes, HOLDERS)


def rates(*steps: tuple[float, Progress]) -> Rates:
    told = Rates(steps[0][1], steps[0][0])
    for now_s, progress in steps[1:]:
        told.take(progress, now_s)
    return told


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_rate_counts_what_moves_now_and_not_what_was_there() -> None:
    resumed = rates(
        (0.0, copying(500 * MB, earlier_bytes=500 * MB)),
        (5.0, copying(550 * MB, earlier_bytes=500 * MB)),
    )
    assert resumed.of_all(5.0) == 10 * MB
    assert resumed.left_s(5.0) == 45


def test_the_rate_is_of_late_and_falls_while_nothing_moves() -> None:
    steps = [(float(second), copying(100 * MB * min(second, 5))) for second in range(30)]
    stalled = rates(*steps)
    assert stalled.of_all(29.0) == 0
    assert stalled.left_s(29.0) is None
    quick = rates(*steps[:6])
    assert quick.of_all(5.0) == 100 * MB
    assert quick.of_all(5.0 + WINDOW_S / 2) == 50 * MB


def test_a_rate_of_nothing_yet_is_not_told() -> None:
    assert rates((1.0, copying(0))).of_all(1.0) is None


@pytest.mark.parametrize("columns", [1, 20, 40, 80, 200])
def test_lines_fit(columns: int) -> None:
    big = Progress("announcing", 999 * 10**15, 9999 * 10**15, 64, 0, HOLDERS)
    for progress in (copying(512 * MB), big, Progress("reading", 10**18)):
        told = rates((0.0, Progress(progress.phase, 0)), (4.0, progress))
        lines = [bar_line(told, 4.0, columns), done_line(told, 4.0, columns)]
        for line in [*lines, *holder_lines(told, 4.0, columns)]:
            assert len(line) <= columns


def test_what_a_width_shows() -> None:
    told = rates((0.0, copying(0)), (4.0, copying(512 * MB)))
    assert bar_line(told, 4.0, 40) == "copying      51%  512.0 MB  128.0 MB/s"
    wide = bar_line(told, 4.0, 80)
    assert wide.startswith("copying")
    assert wide.endswith(" 51%  512.0 MB of 1.0 GB  128.0 MB/s  3.8 s left  2 holders")
    widest = bar_line(told, 4.0, 200)
    assert f"[{'#' * 19}{'.' * 19}]" in widest
    assert len(widest) < 120


def test_a_total_that_is_not_known_is_not_invented() -> None:
    told = rates((0.0, Progress("reading", 0)), (2.0, Progress("reading", 3 * MB)))
    assert bar_line(told, 2.0, 200) == "reading     3.0 MB  1.5 MB/s"


def test_each_holder_has_its_bytes_and_its_rate() -> None:
    before = [HolderProgress("ab" * 16, 0), HolderProgress("cd" * 16, 200 * MB, 200 * MB)]
    told = rates((0.0, Progress("copying", 0, None, 2, 0, before)), (3.0, copying(500 * MB)))
    assert holder_lines(told, 3.0, 80) == [
        "  abababababab  300.0 MB  100.0 MB/s",
        "  cdcdcdcdcdcd  200.0 MB  0 B/s",
    ]
    many = [HolderProgress(f"{number:032x}", 1) for number in range(64)]
    crowd = rates((0.0, Progress("copying", 0, None, 64, 0, many)))
    assert holder_lines(crowd, 0.0, 80)[-1] == "  and 48 more"


def test_what_a_holder_says_cannot_drive_the_terminal() -> None:
    told = rates((0.0, Progress("copying", 0, None, 1, 0, [HolderProgress("\x1b[2J", 1)])))
    assert "\x1b" not in "".join(holder_lines(told, 0.0, 80))


def test_a_log_gets_a_line_every_few_seconds_also_while_nothing_moves() -> None:
    time, lines = Time(), list[str]()
    plain = Plain(Phases(time), lines.append, time, verbose=False)
    plain(Progress("reading", 0, 10 * MB))
    plain.look()
    assert lines == []
    time.now_s = EVERY_S
    plain(Progress("reading", 5 * MB, 10 * MB))
    plain.look()
    plain.look()
    assert lines == ["reading: 5.0 MB of 10.0 MB (50%), 1.0 MB/s, 5.0 s left"]
    time.now_s = 2 * EVERY_S
    plain.look()
    assert lines[1] == "reading: 5.0 MB of 10.0 MB (50%), 500.0 kB/s, 10 s left"
    plain(copying(500 * MB))
    assert lines[2] == "reading: 5.0 MB in 10 s, 500.0 kB/s"
    time.now_s = 2 * EVERY_S + 2
    plain.end()
    assert lines[3:] == ["copying: 500.0 MB in 2.0 s, 250.0 MB/s"]


def test_a_log_tells_of_holders_when_asked() -> None:
    told = rates((0.0, copying(500 * MB)))
    assert len(plain_lines(told, 0.0, verbose=True)) == 3
    assert len(plain_lines(told, 0.0, verbose=False)) == 1


def test_what_is_kept_is_no_phase() -> None:
    phases = Phases(Time())
    phases(copying(5))
    phases(Progress(KEPT, 3))
    assert phases.kept == Progress(KEPT, 3)
    assert phases.current is not None
    assert phases.current.progress == copying(5)


def test_what_is_kept_in_words() -> None:
    half, none = Progress(KEPT, 512 * MB, 1000 * MB), Progress(KEPT, 0, 1000 * MB)
    assert kept_of_get(half, "X.part") == (
        "kept 512.0 MB of 1.0 GB in X.part; the same command goes on from there"
    )
    assert kept_of_get(none, "X.part").startswith("nothing is kept")
    assert kept_of_put(half).startswith("kept 512.0 MB of 1.0 GB in the store here, no copies")
    assert kept_of_put(none).startswith("nothing is stored yet")
    assert kept_of_put(Progress(KEPT, 5, 5, 1)).startswith("1 node has signed for copies")
    assert kept_of_put(Progress(KEPT, 5, 5, 2)).startswith("2 nodes have signed for copies")
    assert "not pinned yet" in kept_of_pin(half)
    assert kept_of_pin(none).startswith("nothing is kept")
    assert "begins anew" in kept_of_verify(None)


def test_without_the_nodes_word_nothing_is_claimed(tmp_path: Path) -> None:
    assert kept_of_get(None, str(tmp_path / "X.part")).startswith("nothing is kept")
    (tmp_path / "X.part").touch()
    left = kept_of_get(None, str(tmp_path / "X.part"))
    assert left.startswith(f"what was fetched before stays in {tmp_path / 'X.part'}")
    assert kept_of_pin(None).startswith("nothing is kept")
    assert "stores what is missing" in kept_of_put(None)
