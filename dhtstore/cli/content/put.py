"""put: store files, directories or standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from dhtstore.cli.content.put_options import (
    Chunker,
    ChunkerName,
    Direct,
    Exclude,
    ExcludeFrom,
    MinAcks,
    Name,
    Paths,
    Preserve,
    Replicas,
    Strict,
    Tar,
    Ttl,
    Wrap,
)
from dhtstore.cli.explaining.explained import Explain, explained_put, tell_put
from dhtstore.cli.terminal.common import Common, ToldAlready, command, report
from dhtstore.cli.terminal.options import VISITING
from dhtstore.cli.terminal.progress.options import Showing, Shown, Verbose
from dhtstore.errors import (
    DhtstoreError,
    NotAnnounced,
    NotRunning,
    PartlyStored,
    QuorumNotReached,
    UsageError,
)

if TYPE_CHECKING:
    from dhtstore.operations.content import Put, PutResult

SKIPPED_SHOWN_MAX: Final = 20
_STDIN: Final = "-"


@command(
    VISITING,
    examples=(
        "dhtstore put holiday.iso --replicas 3",
        "dhtstore put backup.tar --ttl 30d",
        'dhtstore put photos/ --name "photos of 2024"',
        "dhtstore put ~ --preserve --exclude '.cache/' --exclude '*.tmp'",
        "dhtstore put disk.img --chunker buzhash",
        "dhtstore put --wrap report.pdf figures/",
        "ssh shop tar cz /srv | dhtstore put --tar -",
        "mysqldump shop | dhtstore put - --name shop.sql",
        "dhtstore put notes.txt --seed dht1...",
    ),
)
def put(
    common: Common,
    path: Paths,
    replicas: Replicas = None,
    min_acks: MinAcks = None,
    ttl: Ttl = None,
    name: Name = "",
    strict: Strict = False,
    exclude: Exclude = None,
    exclude_from: ExcludeFrom = None,
    preserve: Preserve = False,
    wrap: Wrap = False,
    tar: Tar = False,
    no_pipeline: Direct = False,
    chunker: ChunkerName = Chunker.FIXED,
    explain: Explain = False,
    progress: Showing = Shown.AUTO,
    verbose: Verbose = False,
) -> None:
    """Store files and directories on several nodes; prints their CIDs.

    N nodes get a copy each, and sign for it.  CIDs are alone on standard output, one a line in the
    order of the PATHs; what goes wrong with one of them does not stop the others.

    Of a directory, names, bytes and links within it are kept; modes, times of modification and
    nothing else of an inode with --preserve.  What cannot be stored (pipes, sockets, devices, links
    that lead out, what may not be read or keeps changing) is skipped and named, which ends with
    exit code 11.  What fits a pattern, given or in a file .dhtstoreignore of any directory, is left
    out.  A PATH that is a symbolic link itself is followed.

    Exit code 7 means that fewer than M copies were reached: keep the original.  M is 2, or N if
    that is smaller, unless --min-acks or the setting min_acks says otherwise; --min-acks 1 says
    that one copy is fine.  Exit code 4 means that nobody took the records by which copies are
    found.  The CID is printed all the same.  Of several PATHs it is the code of the first that
    failed.
    """
    from dhtstore.api.sources import patterns, ttl_s_of
    from dhtstore.operations.content import Put

    _check(path, name, wrap, tar)
    wanted = Put(
        kind="archive" if tar else "stream",
        name=name,
        named=bool(name),
        replicas=replicas,
        min_acks=min_acks,
        ttl_s=ttl_s_of(ttl) or 0.0,
        strict=strict,
        preserve=preserve,
        pipeline=not no_pipeline,
        chunker=chunker.value,
        exclude=patterns(exclude or (), exclude_from or ()),
    )
    groups = [path] if wrap else [[each] for each in path]

    def send(group: Sequence[str]) -> PutResult:
        with explained_put(common, explain):
            return _sent(common, group, wanted, (progress, verbose), wrap=wrap)

    if len(groups) == 1:
        _put_one(common, partial(send, groups[0]), explain)
    else:
        _put_each(common, [(each, partial(send, [each])) for each in path], explain)


def _check(paths: Sequence[str], name: str, wrap: bool, tar: bool) -> None:
    """Raises UsageError for what says nothing together."""
    if wrap and tar:
        raise UsageError("an archive is a directory already").hinted("leave --wrap away")
    if _STDIN in paths and (len(paths) > 1 or wrap):
        raise UsageError("- stands alone").hinted("put standard input by a command of its own")
    if name and len(paths) > 1 and not wrap:
        raise UsageError("one --name cannot be that of several puts").hinted(
            "with --wrap all are one put"
        )


def _put_one(common: Common, send: Callable[[], PutResult], explain: bool) -> None:
    result, error = _outcome(send)
    if result is not None:
        _told(common, result, error, explain=explain)
    if error is not None:
        raise error


def _put_each(
    common: Common, sends: Sequence[tuple[str, Callable[[], PutResult]]], explain: bool
) -> None:
    """With --json there is a line for each: null where nothing was stored."""
    from dhtstore.cli.terminal.show import print_json

    codes: list[int] = []
    for path, send in sends:
        result, error = _outcome(send)
        if result is not None:
            _told(common, result, error, path, explain=explain)
        elif common.json:
            print_json(None)
        if error is not None:
            for_all = isinstance(error, NotRunning)
            about = "" if for_all else path
            codes.append(report(error, as_json=common.json, about=about))
            if for_all:
                break  # for the others, too
    if codes:
        raise ToldAlready(codes[0])


def _told(
    common: Common,
    result: PutResult,
    error: DhtstoreError | None,
    path: str = "",
    *,
    explain: bool,
) -> None:
    from dhtstore.cli.terminal.show import emit, print_json

    _remark(common, result, error, path)
    if explain:
        tell_put(common, result)
    if common.json:
        print_json(result)
    else:
        emit(result.cid)


def _outcome(send: Callable[[], PutResult]) -> tuple[PutResult | None, DhtstoreError | None]:
    """What was stored, if anything was, and what is wrong with it, if anything is."""
    from dhtstore.operations.content import PutResult

    try:
        return send(), None
    except (QuorumNotReached, NotAnnounced, PartlyStored) as error:
        return error.partial if isinstance(error.partial, PutResult) else None, error
    except DhtstoreError as error:
        return None, error


def _sent(
    common: Common, paths: Sequence[str], wanted: Put, showing: tuple[Shown, bool], *, wrap: bool
) -> PutResult:
    import msgspec

    from dhtstore.api.sources import open_paths
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.progress.sentences import kept_of_put
    from dhtstore.cli.terminal.progress.watching import watching

    with ExitStack() as stack:
        watch = stack.enter_context(watching(common, *showing, kept_of_put))
        if paths[0] == _STDIN:
            from dhtstore.cli.terminal.pipes import from_stdin

            pump = stack.enter_context(from_stdin())
            piped = msgspec.structs.replace(wanted, name=wanted.name or _STDIN)
            return run(common, Errand(piped, [pump.give], watch, pump.start))
        named, descriptors = open_paths(wanted, paths, wrap=wrap)
        return run(common, Errand(named, descriptors, watch))


def _remark(common: Common, result: PutResult, error: DhtstoreError | None, path: str) -> None:
    """On standard error: where copies are, what was skipped, how to get the name back; with
    ``path``, of several, which of them it is about."""
    from dhtstore.cli.terminal.show import say
    from dhtstore.config import counted

    of = f"{path}: " if path else ""
    if not isinstance(error, QuorumNotReached):  # which says as much, and more
        _tell_copies(common, result, of)
    if not result.policy_stored:
        say(common, f"{of}{_UNTOLD}")
    if result.replicas_kept:
        wanted = counted(result.replicas, "copy", "copies")
        say(common, f"{of}{wanted} wanted, as when it was put before; --replicas N changes that")
    if result.name_kept:
        say(common, f"{of}already put as {result.name_kept}; --name NAME changes that")
    if result.lent and result.receipts:
        say(common, f"{of}it does not fit here: all of its copies are on other nodes")
    below = f"{path.rstrip('/')}/" if path else ""
    for entry in result.skipped[:SKIPPED_SHOWN_MAX]:
        say(common, f"skipped {below}{entry.path}: {entry.why}")
    if result.skipped_count > SKIPPED_SHOWN_MAX:
        say(common, f"{of}and {result.skipped_count - SKIPPED_SHOWN_MAX} more")
    if result.link and sys.stderr.isatty():
        say(common, f"get it with: dhtstore get '{result.link}'")


_UNTOLD = (
    "the network does not know yet how many copies are wanted and until when: the holders, which"
    " do, tell it in their turn"
)


def _tell_copies(common: Common, result: PutResult, of: str) -> None:
    """Where they are, and why there are not as many as wanted."""
    from dhtstore.cli.terminal.show import say
    from dhtstore.config import counted

    short = result.copies < result.replicas
    full = counted(result.copies, "copy", "copies")
    copies = f"{result.copies} of {result.replicas} copies" if short else full
    hosts, subnets = counted(result.hosts, "host"), counted(result.subnets, "subnet")
    say(common, f"{of}{copies} on {hosts} in {subnets}" if result.copies else f"{of}{copies}")
    if short:
        known = len({report.node for report in result.reports})
        if known < result.replicas and not result.untold:  # else all would have been asked
            nodes = counted(known, "storage node")
            say(common, f"  only {nodes} known here: more copies need more nodes")
        for node, cause in result.causes.items():
            say(common, f"  {node}: {cause}")
