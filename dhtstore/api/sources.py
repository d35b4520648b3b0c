"""What a put takes, opened here, with the user's own permissions; and what to leave out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from dhtstore.config import counted, format_size, parse_duration_with_unit
from dhtstore.errors import UnreadableSource, UsageError
from dhtstore.model.cid_path import as_one_spelling
from dhtstore.model.names import name_of, name_of_argument
from dhtstore.net.local.client import close_all
from dhtstore.operations.cars import Export
from dhtstore.operations.content import Chunker, Put, PutEntry
from dhtstore.params import (
    CAR_ROOTS_MAX,
    PATTERNS_MAX,
    PATTERNS_MAX_BYTES,
    TTL_MAX_S,
    WRAPPED_MAX,
    YEAR_S,
)

AnyPath = str | os.PathLike[str]
Ttl = float | str | None


class OpenedSource(NamedTuple):
    """An open descriptor, what it is, and what it is called."""

    descriptor: int
    kind: Literal["file", "directory"]
    name: str


def ttl_s_of(ttl: Ttl) -> float | None:
    """Seconds, 0 for "until removed"; None stays None.  Raises UsageError, also where a text has no
    unit: holders would let go of it after 30 seconds.  So it does for more than TTL_MAX_S."""
    if ttl is None:
        return None
    try:
        ttl_s = _seconds(ttl)
    except ValueError as error:
        raise UsageError(f"--ttl {error}").hinted("say 30d, 12h, or none") from error
    if not 0 <= ttl_s <= TTL_MAX_S:
        years = f"{TTL_MAX_S / YEAR_S:.0f} years"
        raise UsageError(f"--ttl {ttl} is not between 0 and {years}").hinted(
            "say none, and it is kept until it is removed"
        )
    return ttl_s


def _seconds(ttl: str | float) -> float:
    if isinstance(ttl, int | float):
        return ttl
    return 0.0 if ttl.strip().lower() == "none" else parse_duration_with_unit(ttl)


def put_of(
    name: str,
    replicas: int | None,
    min_acks: int | None,
    strict: bool,
    exclude: Sequence[str],
    preserve: bool,
    tar: bool,
    pipeline: bool,
    chunker: Chunker,
    ttl: Ttl = None,
) -> Put:
    """Of what it is, is said when it is opened.  Raises UsageError for too many patterns."""
    return Put(
        kind="archive" if tar else "stream",
        name=name,
        named=bool(name),
        replicas=replicas,
        min_acks=min_acks,
        strict=strict,
        exclude=patterns(exclude),
        preserve=preserve,
        pipeline=pipeline,
        chunker=chunker,
        ttl_s=ttl_s_of(ttl) or 0.0,
    )


def paths_of(source: object) -> list[AnyPath] | None:
    """A path, or a list of them; None for what is bytes, or gives them."""
    if isinstance(source, str | os.PathLike):
        return [source]
    if not isinstance(source, list | tuple):
        return None
    paths = [each for each in source if isinstance(each, str | os.PathLike)]
    return paths if paths and len(paths) == len(source) else None


def export_of(cids: str | Sequence[str]) -> Export:
    """Of one root or several.  Raises UsageError."""
    roots = [cids] if isinstance(cids, str) else list(cids)
    if not 1 <= len(roots) <= CAR_ROOTS_MAX:
        raise UsageError(f"a CAR has one root or several, {CAR_ROOTS_MAX} at most")
    return Export(roots=tuple(name_of_argument(as_one_spelling(each)) for each in roots))


def open_file(path: AnyPath) -> int:
    """A CAR file.  Raises UnreadableSource."""
    hint = "give the path of a CAR, or what comes out of a pipe as -"
    try:
        opened = open_source(path)
    except UnreadableSource as error:
        raise error.hinted(hint) from None
    if opened.kind == "directory":
        os.close(opened.descriptor)
        raise UnreadableSource(f"{os.fspath(path)} is a directory, not a CAR").hinted(hint)
    return opened.descriptor


def open_source(path: AnyPath) -> OpenedSource:
    """A symbolic link that is given itself is followed, and keeps its name.  Raises
    UnreadableSource for what is missing, unreadable, or no file and no directory."""
    try:
        # O_NONBLOCK: opening a FIFO must not wait for its other end
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise _unopened(os.fspath(path), error) from error
    mode = os.fstat(descriptor).st_mode
    name = name_of(os.fsencode(Path(os.path.abspath(path)).name))
    if stat.S_ISDIR(mode):
        return OpenedSource(descriptor, "directory", name)
    if stat.S_ISREG(mode):
        return OpenedSource(descriptor, "file", name)
    os.close(descriptor)
    if stat.S_ISFIFO(mode):  # nobody could tell its end from a writer that is not there yet
        failure = UnreadableSource(f"{os.fspath(path)} is a pipe")
    else:
        failure = UnreadableSource(f"{os.fspath(path)} is neither a file nor a directory")
    raise failure.hinted("put what comes out of it as -, as in `cat PIPE | dhtstore put -`")


def open_paths(put: Put, paths: Sequence[AnyPath], *, wrap: bool) -> tuple[Put, list[int]]:
    """``put`` for what stands at ``paths``, and the descriptors that go with it.  Raises
    UnreadableSource, and UsageError for paths that are no one put."""
    archive = put.kind == "archive"
    if wrap and archive:
        raise UsageError("an archive is a directory already: it is put alone, and not wrapped")
    if wrap:
        return _open_wrapped(put, paths)
    if len(paths) != 1:
        raise UsageError("several paths are one put only in one directory: wrap them")
    source = open_source(paths[0])
    if archive and source.kind != "file":
        os.close(source.descriptor)
        raise UsageError(f"{os.fspath(paths[0])} is a directory and no archive").hinted(
            "leave --tar away to put a directory"
        )
    kind = "archive" if archive else source.kind
    named = msgspec.structs.replace(put, kind=kind, name=put.name or source.name)
    return named, [source.descriptor]


def _open_wrapped(put: Put, paths: Sequence[AnyPath]) -> tuple[Put, list[int]]:
    """``put`` for all ``paths`` as the entries of one directory, and their descriptors.

    Raises UnreadableSource, and UsageError for too many and for two of one name.
    """
    if len(paths) > WRAPPED_MAX:
        raise UsageError(f"{len(paths)} paths in one directory: more than {WRAPPED_MAX}").hinted(
            "put the directory that they are in"
        )
    opened: list[OpenedSource] = []
    try:
        for path in paths:
            opened.append(open_source(path))
            if opened[-1].name in [each.name for each in opened[:-1]]:
                raise UsageError(f"two of the paths are called {opened[-1].name}").hinted(
                    "in one directory each needs a name of its own"
                )
    except BaseException:
        close_all([each.descriptor for each in opened])
        raise
    entries = tuple(PutEntry(each.kind, each.name) for each in opened)
    name = put.name or (opened[0].name if len(opened) == 1 else "")
    wrapped = msgspec.structs.replace(put, kind="directory", name=name, entries=entries)
    return wrapped, [each.descriptor for each in opened]


def patterns(given: Sequence[str], files: Sequence[AnyPath] = ()) -> tuple[str, ...]:
    """What to leave out of a tree: the patterns in ``files``, then those ``given``.

    Raises UsageError for a file that cannot be read, and for more than fit a request.
    """
    from dhtstore.store.files.sources.excluding import lines_in

    lines = [line for file in files for line in lines_in(os.fspath(file))]
    lines += [name_of_argument(line) for line in given]
    size_bytes = sum(len(line.encode()) for line in lines)
    if len(lines) > PATTERNS_MAX or size_bytes > PATTERNS_MAX_BYTES:
        raise UsageError(
            f"{counted(len(lines), 'pattern')} of {format_size(size_bytes)}: more than"
            f" {PATTERNS_MAX} or {format_size(PATTERNS_MAX_BYTES)}"
        ).hinted("put patterns about a directory into a file .dhtstoreignore in it")
    return tuple(lines)


def _unopened(path: str, error: OSError | ValueError) -> UnreadableSource:
    reason = getattr(error, "strerror", None) or error
    failure = UnreadableSource(f"cannot read {path}: {reason}")
    code = getattr(error, "errno", None)
    if code == errno.ENOENT and os.path.islink(path):
        failure = UnreadableSource(
            f"{path} is a symbolic link to {os.readlink(path)}, which is not there"
        )
        return failure.hinted("put what it should lead to")
    if code in (errno.EACCES, errno.EPERM):
        return failure.hinted("it may not be read by you: `ls -l` tells who may")
    if code in (errno.ENOENT, errno.ENOTDIR):
        return failure.hinted("check the path")
    return failure
