"""The operations of this machine's user, each carried out by one use case.

The same table serves the local socket of a running node and a node inside one's own process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar, cast

from dhtstore.content.builders.importer import CHUNKERS
from dhtstore.errors import (
    DhtstoreError,
    Interrupted,
    NotAnnounced,
    PartlyStored,
    QuorumNotReached,
    RemoteProtocolError,
    TargetUnusable,
    TimedOut,
    UsageError,
    restored,
)
from dhtstore.model.cid import Cid
from dhtstore.model.cid_path import format_link, parse_cid_path, parse_root
from dhtstore.model.identity import format_node
from dhtstore.model.names import quoted
from dhtstore.model.unit import unit_text
from dhtstore.net.local.server import Handler, Send
from dhtstore.node.cars.exporting import export
from dhtstore.node.copies.placed import CopyReport
from dhtstore.node.duties.leaving.telling import left
from dhtstore.node.duties.owning.outlook import Outlook
from dhtstore.node.duties.repairing.telling import copy_events, repaired
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.flows.get import get
from dhtstore.node.flows.ping import ping
from dhtstore.node.flows.stream import stream
from dhtstore.node.flows.verify import verify
from dhtstore.node.giving.capacity import Capacity
from dhtstore.node.importing.manner import Manner
from dhtstore.node.importing.opening import bytes_given, close_source, open_source
from dhtstore.node.keeping.cached import Filling
from dhtstore.node.node import Node, admission_of
from dhtstore.node.overview import copies_of, root_status_of, safety_of
from dhtstore.node.policies.showing import policy_of_root
from dhtstore.node.ports import NodeSettings
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.node.telling.giving_up import late, with_report
from dhtstore.node.throttle import Throttle
from dhtstore.node.told import telling
from dhtstore.node.verified import verify_result
from dhtstore.node.views.copies.list_puts import PutChecks, put_summaries
from dhtstore.node.views.describe import describe, list_directory
from dhtstore.node.views.identity import node_identity
from dhtstore.node.views.own_names import roots_meant, with_cid
from dhtstore.node.views.peers import known_peers
from dhtstore.node.views.pins import pin_list
from dhtstore.node.views.providers import providers
from dhtstore.node.views.receipts import signed_receipts
from dhtstore.node.views.room import Giving, room_status
from dhtstore.node.views.spelling import receipt_text
from dhtstore.node.views.status import node_status
from dhtstore.operations import cars, content, keeping, limits, messages, nodes, repairing
from dhtstore.operations.explaining.causes import clean
from dhtstore.operations.explaining.report import FetchReport
from dhtstore.operations.operation import Operation, Progress, Rows, Watch

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class OperationRun:
    """What goes with one operation at work.  ``rows`` takes those of a list, which then are not in
    its result.  A use case that closes a descriptor itself takes it
    with ``take``; the others are closed by whoever received them."""

    node: Node
    descriptors: list[int]
    watch: Watch
    timeout_s: float | None
    rows: Rows | None = None
    told: dict[str, object] = field(default_factory=dict)  # fields of TimedOut

    @property
    def descriptor(self) -> int:
        """The descriptor passed along."""
        return self.descriptors[0]

    def take(self) -> int:
        """Own the descriptor: whoever takes it closes it."""
        return self.descriptors.pop(0)


def handler(node: Node) -> Handler:
    """What the local socket of ``node`` does with each request."""

    async def handle(body: bytes, descriptors: list[int], send: Send) -> None:
        def watch(progress: Progress) -> None:
            send(messages.encode_progress(progress))

        async def rows(found: list[Any]) -> None:
            for message in messages.encode_rows(found):
                send(message)
                await send.drain()

        try:
            request = messages.decode_request(body)
            if request.descriptors != len(descriptors):
                raise RemoteProtocolError("a local request without its descriptors")
            operation = messages.operation_of(request)
            welcome = rows if request.rows else None
            run = OperationRun(node, descriptors, watch, request.timeout_s, welcome)
            try:
                answer = messages.encode_result(await perform(operation, run))
            except asyncio.CancelledError:
                send(messages.encode_failure(interrupted(run)))
                raise
        except Exception as error:
            send(messages.encode_failure(error))
            if not isinstance(error, DhtstoreError):
                raise  # a bug: whoever runs the node shall see where
        else:
            send(answer)

    return handle


async def perform(operation: Operation[R], run: OperationRun) -> R:
    """Carry an operation out.  Raises what its use case raises, TimedOut at the deadline, and
    UsageError when the open files that go with it are missing."""
    if len(run.descriptors) != operation.descriptor_count:
        raise UsageError(f"{operation.op} needs {operation.descriptor_count} open files")
    use_case = USE_CASES[type(operation)]
    throttle = Throttle(run.node.ports.clock, run.watch)
    run = replace(run, watch=throttle)
    with telling(operation, run.node.ports.tracer, run.node.ports.clock) as tell:
        try:
            async with asyncio.timeout(run.timeout_s):
                asked = await with_cid(operation, run.node.disk, run.node.ledger)
                result = cast(R, await use_case(asked, run))
        except TimeoutError as error:
            raise _late(run) from error
        throttle.finish()
        tell(result)
        return result


def _late(run: OperationRun) -> TimedOut:
    """The deadline is over; what was fetched until then is told."""
    report = run.told.get("report")
    if isinstance(report, FetchReport):
        error = late(run.timeout_s, report)
    else:
        error = TimedOut(f"not done within {run.timeout_s:g} s")
    vars(error).update({key: told for key, told in run.told.items() if key != "report"})
    return error


def interrupted(run: OperationRun) -> Interrupted:
    """Whoever asked has left; the last words of the operation."""
    error = Interrupted("interrupted")
    vars(error).update({key: told for key, told in run.told.items() if key != "report"})
    report = run.told.get("report")
    if isinstance(report, FetchReport):
        with_report(error, report)
    return error


def _listing(
    use_case: Callable[[Any, OperationRun, Rows], Awaitable[None]],
) -> Callable[[Any, OperationRun], Awaitable[list[Any]]]:
    """Carry out a use case whose rows go out as they come; the result are those nobody took."""

    async def listed(asked: Operation[Any], run: OperationRun) -> list[Any]:
        gathered: list[Any] = []

        async def gather(rows: list[Any]) -> None:
            gathered.extend(rows)

        await use_case(asked, run, run.rows or gather)
        return gathered

    return listed


# --- content --------------------------------------------------------------------------------


async def _put(asked: content.Put, run: OperationRun) -> content.PutResult:
    blocking = run.node.ports.blocking
    source = await open_source(asked, run.descriptors, blocking)
    cut_short: list[CopyReport] = []
    try:
        outcome = await run.node.uploader(pipeline=asked.pipeline).put(
            source,
            name=asked.name,
            named=asked.named,
            replicas=asked.replicas,
            min_acks=asked.min_acks,
            ttl_s=asked.ttl_s,
            progress=run.watch,
            manner=Manner(asked.strict, asked.preserve, CHUNKERS[asked.chunker]),
            cut_short=cut_short,
        )
    except (QuorumNotReached, NotAnnounced, PartlyStored) as error:
        if isinstance(error.partial, PutOutcome):
            error.partial = _put_result(asked, error.partial)
        raise
    except asyncio.CancelledError:
        run.told.update(reports=[_holder_report(each) for each in cut_short])
        raise
    finally:
        await close_source(source, blocking)
    return _put_result(asked, outcome)


def _put_result(asked: content.Put, outcome: PutOutcome) -> content.PutResult:
    named = asked.kind in ("file", "stream") and asked.name not in ("", "-")
    return content.PutResult(
        cid=str(outcome.cid),
        size=outcome.size_bytes,
        replicas=outcome.replicas,
        copies=outcome.copies,
        min_acks=outcome.min_acks,
        receipts=[receipt_text(receipt) for receipt in outcome.receipts],
        causes=dict(outcome.causes),
        reports=[_holder_report(each) for each in outcome.reports],
        untold=dict(outcome.untold),
        hosts=outcome.hosts,
        subnets=outcome.subnets,
        skipped=list(outcome.skipped),
        skipped_count=outcome.skipped_count,
        link=format_link(outcome.cid, asked.name) if named else "",
        lent=outcome.lent,
        replicas_kept=outcome.replicas_kept,
        name_kept=outcome.name_kept,
        phases=dict(outcome.phases),
    )


def _holder_report(report: CopyReport) -> content.HolderReport:
    told = report.told
    lasted_s = (told.ended_s or 0.0) - (told.answered_s or 0.0)
    return content.HolderReport(
        unit=unit_text(report.unit),
        node=format_node(report.node),
        stage=report.stage,
        why=report.why,
        copied=report.copied_bytes,
        code=clean(report.code),
        reason=report.reason,
        lookup=told.lookup,
        offered_s=told.offered_s,
        answered_s=told.answered_s,
        first_byte_s=told.first_byte_s,
        ended_s=told.ended_s,
        rate=report.copied_bytes / lasted_s if lasted_s and report.copied_bytes else None,
        cause=told.cause,
        tries=list(told.tries),
        replaced_by=format_node(told.replaced_by) if told.replaced_by else "",
    )


@asynccontextmanager
async def fetching(run: OperationRun, root: Cid) -> AsyncIterator[FetchSession]:
    """A session that tells, with what fails in it, whom it asked.  What is here of ``root`` stays
    as long, and was used."""
    node = run.node
    async with node.fetch_session() as session:
        try:
            with node.collector.guards.reading(root):
                yield session
                now_unix_s = node.ports.clock.unix_s()
                await node.disk.blocking.run(node.ledger.cache.used, root, now_unix_s)
        except DhtstoreError as error:
            with_report(error, session.report())
            raise
        except asyncio.CancelledError:
            run.told.update(report=session.report(), causes=session.causes)
            raise


async def _get(asked: content.Get, run: OperationRun) -> content.GetResult:
    root, names = parse_cid_path(asked.target)
    async with fetching(run, root) as session:
        async with _filling(asked, run, session) as filling:
            got = await get(
                session,
                root,
                names,
                run.descriptor,
                _file_name(asked.name),
                force=asked.force,
                span=None if asked.start is None else (asked.start, asked.end),
                timeout_s=run.timeout_s,
                progress=run.watch,
            )
        if asked.pin:
            await _pin_got(asked, run, session, got.cid)
    holders, cached = list(got.holders), asked.cache and filling.kept
    return content.GetResult(str(got.cid), got.size_bytes, holders, got.causes, got.report, cached)


async def _pin_got(asked: content.Get, run: OperationRun, session: FetchSession, cid: Cid) -> None:
    """Pin what was written, whose blocks are cached; where that fails, say that it was written."""
    try:
        await run.node.pinning().add(session, cid, asked.name, run.watch)
    except DhtstoreError as error:
        fields = {**vars(error), "hint": f"{error.hint}; then `dhtstore pin add {cid}`"}
        told = f"{asked.name} is written, but not pinned: {error}"
        raise restored(type(error), (told,), fields) from error


@asynccontextmanager
async def _filling(
    asked: content.Get, run: OperationRun, session: FetchSession
) -> AsyncIterator[Filling]:
    """What is fetched meanwhile is cached, if that is asked for, or to be pinned then."""
    if not (asked.cache or asked.pin):
        yield Filling.none()
        return
    root, names = parse_cid_path(asked.target)
    async with run.node.caching().filling(session, root, names) as filling:
        yield filling


def _file_name(name: str) -> str:
    """The target lies in the directory that was passed, nowhere else."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise TargetUnusable(f"{quoted(name)} is no name for a file")
    return name


async def _read(asked: content.Read, run: OperationRun) -> content.ReadResult:
    root, names = parse_cid_path(asked.target)
    async with fetching(run, root) as session:
        read = await stream(
            session,
            root,
            names,
            run.take(),
            asked,
            timeout_s=run.timeout_s,
            progress=run.watch,
        )
    return content.ReadResult(str(read.cid), read.size_bytes, read.report, read.type)


async def _list_directory(asked: content.ListDirectory, run: OperationRun, rows: Rows) -> None:
    root, names = parse_cid_path(asked.target)
    async with fetching(run, root) as session:
        await list_directory(session, root, names, rows)


async def _describe_content(
    asked: content.DescribeContent, run: OperationRun
) -> content.ContentInfo:
    root, names = parse_cid_path(asked.target)
    async with fetching(run, root) as session:
        return await describe(session, root, names)


async def _find_providers(
    asked: content.FindProviders, run: OperationRun
) -> list[content.ProviderInfo]:
    async with run.node.fetch_session() as session:
        root, names = parse_cid_path(asked.target)
        return await providers(session, run.node.checker(), root, names, check=asked.check)


async def _export(asked: cars.Export, run: OperationRun) -> cars.ExportResult:
    node = run.node
    roots = await roots_meant(asked.roots, node.disk, node.ledger)
    async with fetching(run, roots[0]) as session:
        with ExitStack() as reading:
            for root in roots[1:]:
                reading.enter_context(node.collector.guards.reading(root))
            done = await export(
                session, roots, run.take(), timeout_s=run.timeout_s, progress=run.watch
            )
    return cars.ExportResult(
        [str(root) for root in roots], done.blocks, done.size_bytes, done.report
    )


async def _import(asked: cars.Import, run: OperationRun) -> cars.ImportResult:
    async with bytes_given(run.descriptors, run.node.ports.blocking) as (pieces, size_bytes):
        done = await run.node.car_imports().take(
            pieces,
            name=asked.name,
            partial_dags=asked.partial,
            size_bytes=size_bytes,
            progress=run.watch,
        )
    roots = [str(root) for root in done.roots]
    return cars.ImportResult(roots, done.blocks, done.size_bytes, done.skipped, done.pinned)


# --- what is kept ---------------------------------------------------------------------------


async def _list_puts(asked: keeping.ListPuts, run: OperationRun, rows: Rows) -> None:
    node, warnings = run.node, run.node.warnings
    damaged = await put_summaries(node.disk, node.ledger, rows, await safety_of(node))
    if damaged:
        warnings.tell("puts", damaged)
    else:
        warnings.over("puts")


async def _check_puts(asked: keeping.CheckPuts, run: OperationRun, rows: Rows) -> None:
    node = run.node
    async with node.fetch_session() as session:
        known = partial(safety_of, node)
        await PutChecks(session, node.checker(), node.settings.min_acks, known).run(rows)


async def _list_receipts(
    asked: keeping.ListReceipts, run: OperationRun
) -> list[keeping.SignedReceipt]:
    node, root = run.node, parse_root(asked.root)
    network, verifier = node.identity.network, node.ports.crypto
    return await signed_receipts(node.disk, node.ledger, verifier, network, root)


async def _add_pin(asked: keeping.AddPin, run: OperationRun) -> keeping.PinAdded:
    root, pinning = parse_root(asked.root), run.node.pinning()
    async with fetching(run, root) as session:
        await pinning.check_name(root, asked.name)
        before = await run.node.disk.blocking.run(pinning.earlier_name, root)
        pin = await pinning.add(session, root, asked.name, run.watch)
        return keeping.PinAdded(pin.cid, pin.kind, pin.name, session.report(), before)


async def _remove_pin(asked: keeping.RemovePin, run: OperationRun) -> keeping.PinInfo:
    return await run.node.pinning().remove(parse_root(asked.root))


async def _remove_put(asked: keeping.RemovePut, run: OperationRun) -> keeping.RemovedPut:
    async with run.node.fetch_session() as session:
        return await run.node.removing_everywhere().remove(session, parse_root(asked.root))


async def _set_policy(asked: keeping.SetPolicy, run: OperationRun) -> keeping.PolicyInfo:
    root, changes = parse_root(asked.root), run.node.policy_changes()
    async with run.node.fetch_session() as session:
        return await policy_of_root(changes, session, root, asked)


async def _collect(asked: keeping.CollectGarbage, run: OperationRun) -> keeping.CollectResult:
    collector, dry_run = run.node.collector, asked.dry_run
    found = await collector.collect(run.watch, dry_run=dry_run, cache=asked.cache, asked=True)
    return found.result(dry_run=dry_run)


async def _repair(asked: repairing.RepairCopies, run: OperationRun) -> repairing.RepairResult:
    node = run.node
    moves = node.rebalance().planned if node.settings.storage else None
    waits_s = Outlook(node.repair).waits_s
    return await repaired(node.repair, moves, waits_s, dry_run=asked.dry_run)


async def _leave(asked: repairing.LeaveNetwork, run: OperationRun) -> repairing.LeaveResult:
    node = run.node
    storage = node.settings.storage
    return await left(node.leaving, run.watch, storage=storage, cancel=asked.cancel)


async def _events(asked: repairing.ListEvents, run: OperationRun) -> list[repairing.CopyEvent]:
    node = run.node
    since_unix_s = node.ports.clock.unix_s() - asked.since_s if asked.since_s else 0.0
    return await copy_events(node.ledger, node.disk.blocking, asked.last, since_unix_s)


async def _why(asked: keeping.WhyHere, run: OperationRun) -> keeping.WhyResult:
    return await run.node.why().of(parse_root(asked.root))


async def _list_pins(asked: keeping.ListPins, run: OperationRun) -> list[keeping.PinInfo]:
    return await pin_list(run.node.disk, run.node.ledger.pins)


async def _verify_store(asked: keeping.VerifyStore, run: OperationRun) -> keeping.VerifyResult:
    node = run.node
    now_unix_s = node.identity.now_unix_s()
    found = await verify(node.completeness, now_unix_s, run.watch)
    node.rot.verified(found.damaged, found.places)
    node.scrub.verified()
    return verify_result(found)


# --- nodes ----------------------------------------------------------------------------------


async def _identify_node(asked: nodes.IdentifyNode, run: OperationRun) -> nodes.NodeIdentity:
    return node_identity(run.node.identity)


async def _describe_node(asked: nodes.DescribeNode, run: OperationRun) -> nodes.NodeStatus:
    node = run.node
    return await node_status(
        node.disk,
        node.ledger,
        node.identity,
        node.dht,
        node.completeness,
        node.warnings,
        damage=node.rot.places,
        giving=_giving(node),
        uptime_s=node.ports.clock.monotonic_s() - node.started_s,
        collector=node.collector,
        announcing=node.reprovide.standing.status,
        copies=await copies_of(node),
    )


def _giving(node: Node) -> Giving:
    chosen = node.settings
    sizes = chosen.capacity_bytes, chosen.owner_quota_bytes
    return Giving(chosen.accept, *sizes, node.holder.rule, node.identity.addresses())


async def _set_capacity(asked: nodes.SetCapacity, run: OperationRun) -> nodes.CapacityChange:
    node = run.node

    async def look() -> nodes.RoomStatus | None:
        now_unix_s = node.identity.now_unix_s()
        return await room_status(node.disk, node.ledger, _giving(node), now_unix_s)

    def give(settings: NodeSettings) -> None:
        node.settings = settings
        node.holder.rule = admission_of(node.identity, settings)
        node.identity.gives(settings)

    capacity = Capacity(node.disk, node.ports.keep_capacity, give, look)
    return await capacity.change(node.settings, asked.capacity)


async def _describe_root(asked: nodes.DescribeRoot, run: OperationRun) -> nodes.RootStatus:
    return await root_status_of(run.node, parse_root(asked.root), check=asked.check)


async def _set_limits(asked: limits.SetLimits, run: OperationRun) -> limits.LimitsInForce:
    return run.node.timetable.set(asked.limit_up, asked.limit_down)


async def _list_peers(asked: nodes.ListPeers, run: OperationRun) -> list[nodes.KnownPeer]:
    return known_peers(run.node.dht)


async def _ping_node(asked: nodes.PingNode, run: OperationRun) -> nodes.PingResult:
    return await ping(run.node.identity, run.node.reach, asked.target)


USE_CASES: Final[dict[type[Operation[Any]], Callable[[Any, OperationRun], Awaitable[object]]]] = {
    content.Put: _put,
    content.Get: _get,
    content.Read: _read,
    content.ListDirectory: _listing(_list_directory),
    content.DescribeContent: _describe_content,
    content.FindProviders: _find_providers,
    cars.Export: _export,
    cars.Import: _import,
    keeping.ListPuts: _listing(_list_puts),
    keeping.CheckPuts: _listing(_check_puts),
    keeping.ListReceipts: _list_receipts,
    keeping.AddPin: _add_pin,
    keeping.RemovePin: _remove_pin,
    keeping.RemovePut: _remove_put,
    keeping.SetPolicy: _set_policy,
    keeping.CollectGarbage: _collect,
    repairing.RepairCopies: _repair,
    repairing.ListEvents: _events,
    keeping.WhyHere: _why,
    keeping.ListPins: _list_pins,
    repairing.LeaveNetwork: _leave,
    keeping.VerifyStore: _verify_store,
    nodes.IdentifyNode: _identify_node,
    nodes.DescribeNode: _describe_node,
    nodes.SetCapacity: _set_capacity,
    nodes.DescribeRoot: _describe_root,
    nodes.ListPeers: _list_peers,
    nodes.PingNode: _ping_node,
    limits.SetLimits: _set_limits,
}
