"""What of a tree is left out: patterns as in .gitignore, given or found in the tree.

The patterns of a directory's file, .dhtstoreignore, count for what is in it, above those of the
directories it lies in; those that were given count for all, above those of files.  In one list
the last that fits decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dhtstore.errors import UsageError
from dhtstore.model.names import name_of
from dhtstore.params import (
    PATTERN_COST,
    PATTERN_DEEP_MAX,
    PATTERN_MAX_CHARS,
    PATTERN_MIDDLE_MAX,
    PATTERNS_MAX,
    PATTERNS_MAX_BYTES,
)
from dhtstore.store.files.sources.effort import Effort

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
    """One list of patterns, of paths below ``above``, which ``where`` has; the last first.
    ``deep`` of them have a '**' in the middle, which is tried at each level."""

    above: Path
    rules: tuple[tuple[re.Pattern[str], bool], ...]
    where: str = ""
    deep: int = 0

    def steps(self, path: Path) -> int:
        """What one decision costs at most: measured, and rounded up."""
        levels = len(path) - len(self.above)
        length = sum(len(name) + 1 for name in path[len(self.above) :])
        return (length + 8) * (len(self.rules) + self.deep * levels)

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
    effort: Effort = field(default_factory=Effort, compare=False)

    @classmethod
    def of(cls, lines: Sequence[str]) -> Exclusion:
        """What somebody asks for.  Raises UsageError for a malformed pattern."""
        given = _patterns((), lines, "--exclude")
        return cls((given,), 1) if given else NOTHING

    def begun(self) -> Exclusion:
        """The same for one look at all of a tree, with the work that this may make."""
        return replace(self, effort=Effort())

    def below(self, path: Path, text: bytes, label: str) -> Exclusion:
        """For the directory ``path``, whose file of patterns says ``text``.  Raises UsageError."""
        if len(text) > PATTERNS_MAX_BYTES:
            raise UsageError(f"{label} is larger than {PATTERNS_MAX_BYTES} bytes")
        lines = lines_of(text)
        self.effort.take(PATTERN_COST * min(len(lines), PATTERNS_MAX), label)
        found = _patterns(path, lines, label, sum(len(each.rules) for each in self.lists))
        if found is None:
            return self
        given, files = self.lists[: self.given], self.lists[self.given :]
        return replace(self, lists=(*given, found, *files))

    def excludes(self, path: Path, is_directory: bool) -> bool:
        """Whether it is left out, if the directory that it is in is not.  Raises UsageError where
        that is more work than it may be."""
        self.effort.allow_name()
        for each in self.lists:
            self.effort.take(each.steps(path), each.where)
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


def _patterns(path: Path, lines: Sequence[str], where: str, others: int = 0) -> Patterns | None:
    """None if there is none; ``others`` count in the same directory."""
    wanted = [line for line in lines if not _says_nothing(line)]
    if others + len(wanted) > PATTERNS_MAX:
        total = f"{len(wanted)} patterns beside {others}" if others else f"{len(wanted)} patterns"
        raise UsageError(f"{where} has {total}, more than {PATTERNS_MAX}")
    rules = tuple(_rule(line, where) for line in reversed(wanted))
    return Patterns(path, rules, where, sum(map(_middle, wanted))) if rules else None


def _middle(line: str) -> int:
    """How often it has a '**' that all levels are tried for with all that stands before it."""
    return line.strip().lstrip("!/").split("/")[1:-1].count("**")


def _rule(line: str, where: str) -> tuple[re.Pattern[str], bool]:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    deep = line.count("**") > PATTERN_DEEP_MAX or _middle(line) > PATTERN_MIDDLE_MAX
    if len(line) > PATTERN_MAX_CHARS or deep or "[[:" in line:
        raise UsageError(
            f"{where}: {line[:80]!r} is a pattern of more than {PATTERN_MAX_CHARS} characters, with"
            f" more than {PATTERN_DEEP_MAX} of '**' ({PATTERN_MIDDLE_MAX} in its middle) or with a"
            " class of characters like [:space:]"
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
