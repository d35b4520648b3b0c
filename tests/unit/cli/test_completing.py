"""What a shell is offered, as it asks for it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from dhtstore.cli import main
from dhtstore.cli.naming import completing


def _offered(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """For the last word of ``line``, as bash asks."""
    monkeypatch.setenv("_DHTSTORE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    with pytest.raises(SystemExit) as ended:
        main.run([])
    told = capsys.readouterr()
    assert (ended.value.code, told.err) == (0, "")
    return told.out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dhtstore ge", ["get"]),
        ("dhtstore --json pi", ["ping", "pin"]),
        ("dhtstore pin a", ["add"]),
        ("dhtstore --tim", ["--timeout"]),
        ("dhtstore get --ou", ["--output"]),
        ("dhtstore config repl", ["replicas"]),
        ("dhtstore --home x config mi", ["min_acks"]),
        ("dhtstore get --log-level d", ["debug"]),
    ],
)
def test_words_that_need_no_node(
    line: str,
    offered: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _offered(line, monkeypatch, capsys) == offered


@pytest.mark.parametrize("command", ["get", "cat", "status", "receipts", "pin rm", "ping"])
def test_where_nobody_runs_nothing_is_offered_said_or_made(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = f"dhtstore --home {tmp_path / 'home'} {command} "
    assert _offered(line, monkeypatch, capsys) == []
    assert list(tmp_path.iterdir()) == []


def test_what_takes_too_long_is_given_up() -> None:
    before = signal.getsignal(signal.SIGALRM)

    def waits() -> completing.Offered:
        signal.pause()
        return [("late", "")]

    assert completing.offered("", waits) == []
    assert signal.getsignal(signal.SIGALRM) is before


def test_words_that_a_shell_would_read_otherwise_are_not_offered() -> None:
    words = ["plain", "a b", "$(x)", "`x`", "x;y", 'x"y', "x'y", "x\ny", "dir/x.txt", "über"]
    assert [word for word, _ in completing.offered("", lambda: [(word, "") for word in words])] == [
        "plain",
        "dir/x.txt",
    ]
