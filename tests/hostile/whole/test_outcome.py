"""How the benchmark reads what an honest user went through."""

from __future__ import annotations

from benchmarks.hostile.figures import rows_of
from benchmarks.hostile.outcome import Command, Outcome, recovery_s

BEGAN_S, ENDED_S = 100.0, 160.0


def rounds(start_s: float, count: int, took_s: float, error: str = "") -> list[Command]:
    """A put and a get of that many seconds each, one round after the other."""
    found = []
    for number in range(count):
        at_s = start_s + 2 * took_s * number
        found.append(Command("put", at_s, at_s + took_s, error))
        found.append(Command("get", at_s + took_s, at_s + 2 * took_s, error))
    return found


def outcome(commands: list[Command]) -> Outcome:
    return Outcome(
        attack="one",
        commands=tuple(commands),
        began_s=BEGAN_S,
        ended_s=ENDED_S,
        memory_bytes=0,
        quiet_memory_bytes=0,
        stall_ms=0.0,
        quiet_stall_ms=0.0,
        stored_bytes=30,
        claims=(10, 15),
        share_bytes=16,
        attacker_cores=0.1,
    )


def test_slowness_is_told_by_medians_and_the_first_quiet_one_warms_up() -> None:
    quiet = [*rounds(10, 1, 9.0), *rounds(40, 3, 1.0)]
    seen = outcome([*quiet, *rounds(BEGAN_S, 3, 2.5)])
    assert seen.slowness("put") == 2.5
    assert seen.success_percent == 100


def test_a_command_that_fails_or_never_ends_is_told() -> None:
    quiet = rounds(40, 3, 1.0)
    seen = outcome([*quiet, *rounds(BEGAN_S, 1, 1.0, "timed out"), *rounds(BEGAN_S + 9, 1, 1.0)])
    assert seen.success_percent == 50
    assert outcome(quiet).slowness("get") == float("inf")


def test_recovery_lasts_until_a_round_is_fast_again() -> None:
    quiet, slow = rounds(40, 3, 1.0), rounds(ENDED_S + 1, 2, 4.0)
    assert recovery_s([*quiet, *slow], BEGAN_S, ENDED_S) is None
    assert recovery_s([*quiet, *slow, *rounds(ENDED_S + 20, 1, 2.0)], BEGAN_S, ENDED_S) == 20


def test_what_lasts_is_parted_into_what_may_and_what_may_not() -> None:
    seen = outcome(rounds(40, 3, 1.0))
    assert seen.unexplained_bytes == 5
    assert [row.met for row in rows_of(seen)].count(False) >= 3, "nothing came to an end in it"
