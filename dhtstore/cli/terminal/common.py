"""What every command takes, and what becomes of its errors."""

from __future__ import annotations

import errno
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec

import typer

from dhtstore.cli.exits import DONE, UNEXPECTED, exit_code
from dhtstore.cli.terminal.options import ALL, Options
from dhtstore.cli.terminal.parser import About
from dhtstore.errors import (
    BlockMissing,
    DhtstoreError,
    IntegrityFailure,
    NoRoom,
    TargetUnusable,
    UsageError,
)

if TYPE_CHECKING:
    from dhtstore.operations.content import HolderReport
    from dhtstore.operations.explaining.report import FetchReport

P = ParamSpec("P")
_NO_CAUSES: Final[Mapping[str, str]] = {}
_TOLD: Final = ("report", "reports")  # of who was asked


@dataclass(frozen=True, slots=True)
class Common:
    """The options of every command.  ``home`` "" means: not given; ``seedable`` is whether the
    command takes ``--seed``."""

    home: str
    json: bool
    quiet: bool
    timeout: str
    seeds: tuple[str, ...]
    network: str
    log_level: str
    log_format: str
    seedable: bool = False

    @property
    def timeout_s(self) -> float | None:
        """None when no limit was given; raises UsageError."""
        from dhtstore.config import parse_duration

        try:
            return parse_duration(self.timeout) if self.timeout else None
        except ValueError as error:
            raise UsageError(f"--timeout: {error}") from error


class ToldAlready(Exception):
    """What went wrong was said already; ``code`` is the exit code that is left of it."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def command(
    takes: Options, *, examples: Sequence[str], options: Options = ()
) -> Callable[[Callable[Concatenate[Common, P], None]], Callable[..., None]]:
    """Make a typer command of a function: ``takes`` of the common options are added to its own and
    to ``options``, which it gets as ``**``; what it raises is printed and becomes the exit code.
    ``examples`` are command lines for its help."""

    def made(function: Callable[Concatenate[Common, P], None]) -> Callable[..., None]:
        written = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        own = [each for each in written if each.kind is not inspect.Parameter.VAR_KEYWORD]
        parameters = [*own, *options, *takes]

        def run(**values: Any) -> None:
            given = {each.name: values.pop(each.name) for each in takes}
            common = common_of(given)
            code = _guarded(common, lambda: function(common, **values))  # type: ignore[call-arg]
            if code != DONE:
                raise typer.Exit(code)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        )
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        vars(run)["about"] = About(frozenset(each.name for each in takes), tuple(examples))
        return run

    return made


def common_of(given: Mapping[str, Any]) -> Common:
    """What a command does not take is as if it was not given."""
    values = {**{each.name: each.default for each in ALL}, **given}
    return Common(
        home=values["home"],
        json=values["json"],
        quiet=values["quiet"],
        timeout=values["timeout"],
        seeds=tuple(values["seed"] or ()),
        network=values["network"],
        log_level=values["log_level"],
        log_format=values["log_format"],
        seedable="seed" in given,
    )


def _guarded(common: Common, work: Callable[[], None]) -> int:
    try:
        work()
    except BrokenPipeError:
        return DONE  # the reader had enough, as in `dhtstore cat CID | head`
    except ToldAlready as told:
        return told.code
    except (Exception, KeyboardInterrupt) as error:
        return report(error, as_json=common.json)
    return DONE


def output_error(error: OSError, name: str = "standard output") -> DhtstoreError:
    """What writing to it said, in our words."""
    kind = NoRoom if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else TargetUnusable
    told = kind(f"cannot write to {name}: {error.strerror}")
    return told.hinted(f"check where {name} goes, and the room there")


@contextmanager
def about(file: str) -> Iterator[None]:
    """What is wrong with what a file holds names it: of several in a script one is meant."""
    try:
        yield
    except (IntegrityFailure, BlockMissing) as error:
        error.args = (f"{file}: {error}",)
        raise


def report(error: BaseException, *, as_json: bool, about: str = "") -> int:
    """Say on standard error what went wrong, to people or to a program; the exit code.  ``about``
    is what it is about, where that is one of several."""
    code = exit_code(error)
    causes = vars(error).get("causes") or {}
    told: dict[str, Any] = {key: vars(error).get(key) for key in _TOLD}
    if isinstance(error, DhtstoreError):
        kind, text = type(error).__name__, str(error)
        text = text if about in text else f"{about}: {text}"  # most errors of files name them
        say_failure(kind, text, error.hint, code, causes, as_json=as_json, **told)
    elif isinstance(error, KeyboardInterrupt):
        if as_json:
            hint = "run the same command again: it goes on where it stopped"
            said = ("Interrupted", "interrupted", hint, code, causes)
            say_failure(*said, as_json=True, **told)
    else:
        _unexpected(error, as_json)
    return code


def _unexpected(error: BaseException, as_json: bool) -> None:
    """A bug: its whole trace helps whoever reads the report."""
    import traceback

    trace, text = "".join(traceback.format_exception(error)), f"unexpected: {error!r}"
    if not as_json:
        print(trace, file=sys.stderr, end="")
    hint = DhtstoreError.hint
    say_failure("Unexpected", text, hint, UNEXPECTED, {}, as_json=as_json, trace=trace)


def say_failure(
    kind: str,
    message: str,
    hint: str,
    code: int,
    causes: Mapping[str, str] = _NO_CAUSES,
    *,
    as_json: bool,
    trace: str = "",
    report: FetchReport | None = None,
    reports: Sequence[HolderReport] | None = None,
) -> None:
    """One line of JSON, or lines for people."""
    if not as_json:
        complain(message, hint, _NO_CAUSES if report is not None else causes)
        return
    from dhtstore.cli.terminal.as_json import failure_line

    line = failure_line(
        kind=kind,
        message=message,
        hint=hint,
        exit_code=code,
        causes=causes,
        trace=trace,
        report=report,
        reports=reports,
    )
    print(line, file=sys.stderr, flush=True)


def complain(message: str, hint: str, causes: Mapping[str, str] = _NO_CAUSES) -> None:
    """What happened, node by node where nodes are the cause, and what to do next."""
    print(f"error: {printable(message)}", file=sys.stderr)
    for node, cause in causes.items():
        print(f"  {node}: {printable(cause)}", file=sys.stderr)
    print(f"hint: {printable(hint)}", file=sys.stderr)


def printable(text: str) -> str:
    """Names and reasons come from the network: nothing in them may drive a terminal.

    A byte of an argument or of a name that is not UTF-8 is shown as that byte.
    """
    if text.isprintable():
        return text  # as nearly all is, and listings print it by the hundred thousand
    return "".join(char if char.isprintable() else f"\\x{_code(char):02x}" for char in text)


def _code(char: str) -> int:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # in an argument: PEP 383
        return code - 0xDC00
    return code - 0xF700 if 0xF780 <= code <= 0xF7FF else code  # in a name: model/names.py
