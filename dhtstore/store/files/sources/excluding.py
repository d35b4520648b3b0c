"""What of a tree is left out: patterns as in .gitignore, given or found in the tree.

The patterns of a directory's file, .dhtstoreignore, count for what is in it, above those of the
directories it lies in; those that were given count for all, above those of files.  In one list
the last that fits decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dhtstore.errors import UsageError
from dhtstore.model.names import name_of
from dhtstore.params import (
    PATTERN_DEEP_MAX,
    PATTERN_MAX_CHARS,
    PATTERNS_MAX,
    PATTERNS_MAX_BYTES,
)

Path = tuple[str, ...]
IGNORE_FILE: Final = ".dhtstoreignore"
_STAR: Final = r"\[\^/\]\*"
_ONE: Final = r"(?:\\.|\[\^/\](?![*+])|\[\^?\]?(?:\\.|[^\\\]/])+\]|[^\\\[\](){}|*+?.^$])"
_STARS: Final = re.compile(f"(?:{_STAR})+")
_UP_TO_NEXT_STAR: Final = re.compile(f"{_STAR}((?:{_ONE})+)(?={_STAR})")
_DIRECTORY_MARK: Final = "(?P<ps_d>/)"  # the library's: here a directory it matches, or is below
_END: Final = f"(?:{_DIRECTORY_MARK}|$)"
_EVERYTHING: Final = "."  # the library's for '*' and '**'


@dataclass(frozen=True, slots=True)
class Patterns:
    """One list of patterns, of paths below ``above``; the last first."""

    above: Path
    rules: tuple[tuple[re.Pattern[str], bool], ...]

    def decision(self, path: Path, *, is_directory: bool) -> bool | None:
        """Whether to leave it out; None where no pattern is about it."""
        text = "/".join(path[len(self.above) :])
        if is_directory:
            text += "/"
        for regex, leaves_out in self.rules:
            if regex.match(text):
                return leaves_out
        return None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """All lists that count in one directory, the first above the others."""

    lists: tuple[Patterns, ...] = ()
    given: int = 0  # so many of them are above those of files

    @classmethod
    def of(cls, lines: Sequence[str]) -> Exclusion:
        """What somebody asks for.  Raises UsageError for a malformed pattern."""
        rules = _compiled(lines, "--exclude")
        return cls((Patterns((), rules),), 1) if rules else NOTHING

    def below(self, path: Path, text: bytes, label: str) -> Exclusion:
        """For the directory ``path``, whose file of patterns says ``text``.  Raises UsageError."""
        if len(text) > PATTERNS_MAX_BYTES:
            raise UsageError(f"{label} is larger than {PATTERNS_MAX_BYTES} bytes")
        rules = _compiled(lines_of(text), label)
        if not rules:
            return self
        given, files = self.lists[: self.given], self.lists[self.given :]
        return Exclusion((*given, Patterns(path, rules), *files), self.given)

    def excludes(self, path: Path, is_directory: bool) -> bool:
        """Whether it is left out, if the directory that it is in is not."""
        for each in self.lists:
            decision = each.decision(path, is_directory=is_directory)
            if decision is not None:
                return decision
        return False


NOTHING: Final = Exclusion()


def lines_of(text: bytes) -> list[str]:
    """The patterns in a file of them; names in them are spelled as those of files."""
    lines = [name_of(line.removesuffix(b"\r")) for line in text.split(b"\n")]
    return [line for line in lines if not _says_nothing(line)]


def lines_in(file: str) -> list[str]:
    """Those of a file that is given.  Raises UsageError if it cannot be read."""
    try:
        with open(file, "rb") as opened:
            return lines_of(opened.read(PATTERNS_MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        failure = UsageError(f"cannot read the patterns in {file}: {reason}")
        raise failure.hinted("--exclude-from takes a file with a pattern a line") from error


def _says_nothing(line: str) -> bool:
    return not line.strip() or line.startswith("#")


def _compiled(lines: Sequence[str], where: str) -> tuple[tuple[re.Pattern[str], bool], ...]:
    wanted = [line for line in lines if not _says_nothing(line)]
    if len(wanted) > PATTERNS_MAX:
        raise UsageError(f"{where} has {len(wanted)} patterns, more than {PATTERNS_MAX}")
    return tuple(_rule(line, where) for line in reversed(wanted))


def _rule(line: str, where: str) -> tuple[re.Pattern[str], bool]:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    if len(line) > PATTERN_MAX_CHARS or line.count("**") > PATTERN_DEEP_MAX or "[[:" in line:
        raise UsageError(
            f"{where}: {line[:80]!r} is a pattern of more than {PATTERN_MAX_CHARS} characters, with"
            f" more than {PATTERN_DEEP_MAX} of '**' or with a class of characters like [:space:]"
        )
    try:
        pattern = GitIgnoreSpecPattern(_about_what_is_in_it(line))
    except ValueError as error:
        raise UsageError(f"{where}: {line[:80]!r} is no pattern: {error}") from error
    if pattern.regex is None or pattern.include is None:
        raise UsageError(f"{where}: {line[:80]!r} is no pattern")
    return _tamed(pattern.regex.pattern), pattern.include


def _about_what_is_in_it(line: str) -> str:
    """What ends in /** is about what a directory has in it; the library means itself, too."""
    if line.endswith("/**"):
        return f"{line}/*"
    return f"{line}*/" if line.endswith("/**/") else line


def _tamed(regex: str) -> re.Pattern[str]:
    """The library's expression, about a path itself and nothing below it, which is not asked for
    unless its directory is taken.

    Without trying every way in which several stars may share a name: what stands between two of
    them is taken where it fits first, since nothing else could come of it.  A hostile name and 20
    stars would take for ever.
    """
    if regex == _EVERYTHING:
        regex = f".*{_END}"
    elif regex == _DIRECTORY_MARK:
        regex = f".*{_DIRECTORY_MARK}"
    once = _STARS.sub(lambda found: "[^/]*", regex)
    atomic = _UP_TO_NEXT_STAR.sub(lambda found: f"(?>[^/]*?{found[1]})", once)
    exact = atomic.replace(_END, r"/?\Z").replace(_DIRECTORY_MARK, r"/\Z")
    return re.compile(exact, re.DOTALL)  # a name may have a line's end in it
