"""Users at the nodes: carry out operations, keep the journal, say how each ended."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from dhtstore.errors import DhtstoreError, QuorumNotReached
from dhtstore.model.cid import Cid
from dhtstore.model.identity import NodeId, node_id
from dhtstore.node.flows.read import read
from dhtstore.node.node import Node
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.operations.operation import unwatched
from dhtstore.params import MIN_ACKS_DEFAULT, K
from dhtstore.tasks import Supervisor, tell_the_loop
from simulations.checks.journal import PromiseJournal
from simulations.events.workload import ObjectContent, OperationKind, UserAction
from simulations.nodes.counted_lookup import LookupResult, look_up
from simulations.nodes.population import Member, Population
from simulations.nodes.true_closest import TrueClosest
from simulations.results.rows import OperationRow
from simulations.seeds import derived_seed
from simulations.world.loop.waiting import describe_task
from simulations.world.ports.disks import CrashedMeanwhile

LOOKUP_TIMEOUT_S = 15.0
OPERATION_TIMEOUT_S = 600.0
_ID_BYTES = 20
Record = Callable[[OperationRow], None]


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a lookup cost, whether it missed the closest node that was there from its start to its
    end, and the rest as in OperationRow."""

    cost: LookupResult
    missed: bool
    recall: float
    dead: int
    adversaries: int


_NOT_A_LOOKUP = _Looked(
    LookupResult(0, 0, 0, 0, ()), missed=False, recall=0.0, dead=0, adversaries=0
)


class Users:
    """``roots`` maps objects that were ever put to their CIDs, acknowledged or not."""

    def __init__(self, population: Population, seed: int, record: Record) -> None:
        self._population, self._seed, self._record = population, seed, record
        self.journal = PromiseJournal()
        self.roots: dict[int, Cid] = {}
        self._putting: dict[int, asyncio.Task[None]] = {}
        self._tasks = Supervisor(on_failure=tell_the_loop)
        self._numbers: dict[bytes, int] = {}
        self._hostile: dict[bytes, None] = {}
        self._members: dict[NodeId, int] = {}
        self._nearest = TrueClosest((), self._findable)

    def begin(self, operation: UserAction) -> None:
        """Start it at its client, if that is up; otherwise at the next of its group that is, or the
        next of any.  A get waits for the put of its object to end."""
        number = _client(self._population.members, operation.client)
        if number is None:
            return
        name = f"{operation.kind} at {number}"
        task = self._tasks.spawn(self._do(operation, number), name)
        if operation.kind is OperationKind.PUT:
            self._putting[operation.object] = task

    @property
    def under_way(self) -> int:
        """Operations that have not ended."""
        return len(self._tasks)

    async def settle(self, at_most_s: float) -> None:
        """Let what runs come to its end."""
        await self._tasks.settle(at_most_s)

    async def close(self) -> None:
        """Cancel what still runs."""
        await self._tasks.close()

    async def _do(self, operation: UserAction, number: int) -> None:
        if operation.kind is OperationKind.GET and operation.object in self._putting:
            await asyncio.wait([self._putting[operation.object]])
        loop = self._population.loop
        start_s = loop.time()
        what = _name(operation)
        running = self.journal.start(
            start_s,
            start_s + OPERATION_TIMEOUT_S,
            f"{what} at {number}",
            self._where(f"{what} at {number}", self._population.members[number].life),
            self._asleep(number),
            number,
        )
        looked, error = _NOT_A_LOOKUP, ""
        try:
            node = self._running(number)
            if operation.kind is OperationKind.PUT:
                await self._put(operation, number, node)
            elif operation.kind is OperationKind.GET:
                await self._get(operation, number, node)
            elif operation.kind is OperationKind.REPROVIDE:
                await self._population.run(number, node.reprovide.announce_all(), what)
            else:
                looked = await self._look_up(operation, number, node)
                error = ClosestMissed.__name__ if looked.missed else ""
        except DhtstoreError as failure:
            error = type(failure).__name__
        finally:
            self.journal.end(loop.time(), running)
        self._record(
            OperationRow(
                start_s,
                loop.time(),
                operation.kind,
                number,
                operation.object,
                operation.size_bytes,
                looked.cost.hops,
                looked.cost.queries,
                looked.cost.timeouts,
                not error,
                error,
                looked.adversaries,
                self._population.members[number].group,
                looked.recall,
                looked.dead,
            )
        )

    def _asleep(self, number: int) -> Callable[[], float]:
        """How long that machine has slept since now."""
        member, loop = self._population.members[number], self._population.loop
        before_s = member.asleep_s(loop.time())
        return lambda: member.asleep_s(loop.time()) - before_s

    def _where(self, name: str, life: int) -> Callable[[], str]:
        """What the node's own part of an operation waits for."""

        def describe() -> str:
            tasks = self._population.loop.tasks_of(life)
            return "; ".join(describe_task(task) for task in tasks if task.get_name() == name)

        return describe

    def _running(self, number: int) -> Node:
        node = self._population.members[number].node
        if node is None:
            raise CrashedMeanwhile(f"node {number} crashed before it began")
        return node

    async def _put(self, operation: UserAction, number: int, node: Node) -> None:
        what = _name(operation)
        content = ObjectContent(self._seed, operation.object, operation.size_bytes)
        replicas, hashed = node.settings.replicas, hashlib.sha256()
        self.journal.wanted_bytes += replicas * operation.size_bytes
        try:
            work = _put(node, self._pieces(content, hashed), replicas)
            result = await self._population.run(number, work, what)
        except QuorumNotReached as error:
            if isinstance(error.partial, PutOutcome):
                self.roots[operation.object] = error.partial.cid  # printed to the user as well
            raise
        self.roots[operation.object] = result.cid
        self._know_members()
        holders = {self._numbers[receipt.public_key]: None for receipt in result.receipts}
        now_s = self._population.loop.time()
        self.journal.put(
            now_s,
            operation.object,
            hashed.digest(),
            operation.size_bytes,
            holders,
            replicas=replicas,
            min_acks=min(MIN_ACKS_DEFAULT, replicas),
            putter=number,
        )

    async def _get(self, operation: UserAction, number: int, node: Node) -> None:
        what = _name(operation)
        root = self.roots.get(operation.object)
        if root is None:
            raise NotPutYet(f"object {operation.object} was never put")
        put = self.journal.acknowledged.get(operation.object)
        self.journal.wanted_bytes += operation.size_bytes if put is None else put.size_bytes
        hashed = hashlib.sha256()
        await self._population.run(number, _get(node, root, hashed.update), what)
        now_s = self._population.loop.time()
        self.journal.got(now_s, operation.object, number, hashed.digest())

    async def _pieces(self, content: ObjectContent, hashed: hashlib._Hash) -> AsyncIterator[bytes]:
        """One after the other: no object is in memory as a whole."""
        for number in range(content.pieces):
            piece = self._population.contents.piece(content, number)
            hashed.update(piece)
            yield piece

    async def _look_up(self, operation: UserAction, number: int, node: Node) -> _Looked:
        what = _name(operation)
        target = random.Random(derived_seed(self._seed, f"target/{operation.object}")).randbytes(
            _ID_BYTES
        )
        self._know_members()
        before = self._nearest.nearest(target, number, K)
        up = self._population.numbers_up.copy()
        work = look_up(node, target, timeout_s=LOOKUP_TIMEOUT_S)
        looked = await self._population.run(number, work, what)
        after = self._nearest.nearest(target, number, K)
        stayed = [one for one in before if one in after]
        return _Looked(
            looked,
            before[:1] == after[:1] and not set(before[:1]) <= set(looked.closest),
            sum(one in looked.closest for one in stayed) / len(stayed) if stayed else 1.0,
            sum(self._members.get(NodeId(one)) not in up for one in looked.closest),
            self._adversaries(looked),
        )

    def _adversaries(self, looked: LookupResult) -> int:
        """How many of the closest that it found are some."""
        made_up = self._population.made_up
        return sum(one in self._hostile or one in made_up for one in looked.closest)

    def _know_members(self) -> None:
        members = self._population.members
        if len(self._numbers) < len(members):
            keys = [member.crypto.node.public_key for member in members]
            self._numbers = {bytes(key): number for number, key in enumerate(keys)}
            self._members = {node_id(key): number for number, key in enumerate(keys)}
            self._nearest = TrueClosest(self._members.items(), self._findable)
            self._hostile = {
                node_id(one.crypto.node.public_key): None
                for one in members
                if one.disguise is not None
            }

    def _findable(self, number: int) -> bool:
        """Whether others should find that node: it has joined, can be reached and is honest."""
        member = self._population.members[number]
        diallable = self._population.network.machine(member.address).diallable
        return member.ready and diallable and member.disguise is None


def _client(members: Sequence[Member], wanted: int) -> int | None:
    """That node, the next of its group that users can use, or the next of any."""
    around = (members[at % len(members)] for at in range(wanted, wanted + len(members)))
    usable = (one for one in around if one.ready and one.disguise is None)
    first, group = next(usable, None), members[wanted % len(members)].group
    if first is None:
        return None
    alike = (one for one in itertools.chain([first], usable) if one.group == group)
    return next(alike, first).number


def _name(operation: UserAction) -> str:
    return f"{operation.kind} {operation.object}"


class NotPutYet(DhtstoreError):
    """The put that this get waits for has not succeeded."""


class ClosestMissed(DhtstoreError):
    """A lookup that ended without the node that is closest to its key."""


async def put_bytes(node: Node, data: bytes, *, replicas: int = 3) -> PutOutcome:
    """Put bytes as a file without a disk."""
    return await _put(node, once(data), replicas)


async def _put(node: Node, pieces: AsyncIterator[bytes], replicas: int) -> PutOutcome:
    return await node.uploader().put(
        pieces, name="bytes", replicas=replicas, min_acks=None, progress=unwatched
    )


async def get_bytes(node: Node, root: Cid) -> bytes:
    """Get a file into memory."""
    taken = bytearray()
    await _get(node, root, taken.extend)
    return bytes(taken)


async def _get(node: Node, root: Cid, take: Callable[[bytes | memoryview], object]) -> None:
    async def write(piece: bytes | memoryview) -> None:
        take(piece)

    async with node.fetch_session() as session:
        await read(session, root, (), write)


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data
