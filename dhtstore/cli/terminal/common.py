"""What every command takes, and what becomes of its errors."""

from __future__ import annotations

import errno
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import typer

from dhtstore.cli.exits import DONE, UNEXPECTED, exit_code
from dhtstore.errors import DhtstoreError, NoRoom, TargetUnusable, UsageError

P = ParamSpec("P")
_NO_CAUSES: Final[Mapping[str, str]] = {}
LOG_LEVELS: Final = ("error", "warning", "info", "debug")


@dataclass(frozen=True, slots=True)
class Common:
    """The options of every command.  ``home`` "" means: not given."""

    home: str
    json: bool
    quiet: bool
    timeout: str
    seeds: tuple[str, ...]
    network: str
    log_level: str

    @property
    def timeout_s(self) -> float | None:
        """None when no limit was given; raises UsageError."""
        from dhtstore.config import parse_duration

        try:
            return parse_duration(self.timeout) if self.timeout else None
        except ValueError as error:
            raise UsageError(f"--timeout: {error}") from error


_Home = Annotated[str, typer.Option("--home", metavar="DIR", help="Data directory.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the data.")]
_Timeout = Annotated[
    str, typer.Option("--timeout", metavar="TIME", help="Give up after, e.g. 30s or 5m.")
]
_Seeds = Annotated[
    list[str] | None,
    typer.Option(
        "--seed", metavar="TICKET|HOST:PORT", help="Work without a node of one's own, from here."
    ),
]
_Network = Annotated[
    str, typer.Option("--network", metavar="NAME", help="The network's name, for --seed.")
]
_LogLevel = Annotated[
    str, typer.Option("--log-level", metavar="LEVEL", help=f"One of {', '.join(LOG_LEVELS)}.")
]


def option(name: str, annotation: object, default: object) -> inspect.Parameter:
    """An option of a command, as typer reads it from a signature."""
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


_OPTIONS: Final = (
    option("home", _Home, ""),
    option("json", _Json, False),
    option("quiet", _Quiet, False),
    option("timeout", _Timeout, ""),
    option("seed", _Seeds, None),
    option("network", _Network, ""),
    option("log_level", _LogLevel, "warning"),
)


def command(
    function: Callable[Concatenate[Common, P], None], *, options: Sequence[inspect.Parameter] = ()
) -> Callable[..., None]:
    """Make a typer command of ``function``: the common options are added to its own and to
    ``options``, which it takes as ``**``; what it raises is printed and becomes the exit code."""
    written = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    own = [each for each in written if each.kind is not inspect.Parameter.VAR_KEYWORD]
    own += options
    taken = {parameter.name for parameter in own}
    added = [option for option in _OPTIONS if option.name not in taken]

    def run(**values: Any) -> None:
        common = _common({option.name: values.get(option.name) for option in _OPTIONS})
        for option in added:
            del values[option.name]
        code = _guarded(lambda: function(common, **values))  # type: ignore[call-arg]
        if code != DONE:
            raise typer.Exit(code)

    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *added)]
    )
    run.__annotations__ = {each.name: each.annotation for each in (*own, *added)}
    return run


def _common(values: dict[str, Any]) -> Common:
    return Common(
        home=values["home"] or "",
        json=bool(values["json"]),
        quiet=bool(values["quiet"]),
        timeout=values["timeout"] or "",
        seeds=tuple(values["seed"] or ()),
        network=values["network"] or "",
        log_level=values["log_level"] or "warning",
    )


def _guarded(work: Callable[[], None]) -> int:
    try:
        work()
    except BrokenPipeError:
        return DONE  # the reader had enough, as in `dhtstore cat CID | head`
    except KeyboardInterrupt as error:
        return exit_code(error)
    except DhtstoreError as error:
        complain(str(error), error.hint, vars(error).get("causes") or {})
        return exit_code(error)
    except Exception as error:
        return _unexpected(error)
    return DONE


def output_error(error: OSError) -> DhtstoreError:
    """What writing to standard output said, in our words."""
    kind = NoRoom if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else TargetUnusable
    return kind(f"cannot write to standard output: {error.strerror}")


def _unexpected(error: Exception) -> int:
    """A bug: its whole trace helps whoever reads the report."""
    import traceback

    traceback.print_exception(error)
    complain(f"unexpected: {error!r}", DhtstoreError.hint)
    return UNEXPECTED


def complain(message: str, hint: str, causes: Mapping[str, str] = _NO_CAUSES) -> None:
    """What happened, node by node where nodes are the cause, and what to do next."""
    print(f"error: {printable(message)}", file=sys.stderr)
    for node, cause in causes.items():
        print(f"  {node}: {printable(cause)}", file=sys.stderr)
    print(f"hint: {hint}", file=sys.stderr)


def printable(text: str) -> str:
    """Names and reasons come from the network: nothing in them may drive a terminal.

    A byte of an argument or of a name that is not UTF-8 is shown as that byte.
    """
    return "".join(char if char.isprintable() else f"\\x{_code(char):02x}" for char in text)


def _code(char: str) -> int:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # in an argument: PEP 383
        return code - 0xDC00
    return code - 0xF700 if 0xF780 <= code <= 0xF7FF else code  # in a name: model/names.py
