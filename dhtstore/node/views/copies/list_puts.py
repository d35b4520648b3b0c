"""list: what was put from here and how many copies gave their receipt; with --check all holders are
asked first, and each put is listed as it is known then.

data path of a check: puts, some side by side -> status of each root -> its row, made anew of what
came of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from dhtstore.config import counted
from dhtstore.errors import DhtstoreError, NotFound, QuorumNotReached, Unreachable
from dhtstore.model.cid import Cid
from dhtstore.node.checking.ask import HolderChecks
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.views.copies.root_status import root_status
from dhtstore.node.views.copies.safety import Safety
from dhtstore.node.views.copies.sharing import with_others
from dhtstore.operations.keeping import PutSummary
from dhtstore.operations.nodes import RootStatus
from dhtstore.operations.operation import Rows
from dhtstore.params import CHECKED_PUTS_AT_ONCE
from dhtstore.store.ledger.listing.listing import ListedPut
from dhtstore.tasks import run_all

ROWS_AT_ONCE: Final = 1024


async def put_summaries(disk: Disk, ledger: Ledger, rows: Rows, safety: Safety) -> str:
    """Hand ``rows`` what was put, oldest first; what is to be said of puts that cannot be read, ""
    if all can."""
    run = disk.blocking.run
    left = await run(ledger.puts.count)
    pages = ledger.puts.listed(ROWS_AT_ONCE)
    while (found := await run(_next_page, pages)) is not None:
        left -= len(found)
        await rows(await _told(disk, ledger, safety, found))
    return f"{left} of the puts here cannot be read: the ledger is damaged" if left > 0 else ""


async def _told(
    disk: Disk, ledger: Ledger, safety: Safety, puts: Sequence[ListedPut]
) -> list[PutSummary]:
    """Those of which too few signed are few: of these is read who else holds copies."""
    told = [safety.told(each) for each in puts]
    for at, row in enumerate(told):
        if row.state == "short":
            told[at] = await disk.blocking.run(with_others, ledger, safety, row)
    return told


def _next_page(pages: Iterator[Sequence[ListedPut]]) -> Sequence[ListedPut] | None:
    """None after the last."""
    return next(pages, None)


@dataclass(slots=True)
class PutChecks:
    """One run over all puts; a holder that is found silent is not asked again in it."""

    session: FetchSession
    checker: HolderChecks
    min_acks: int | None
    safety: Callable[[], Awaitable[Safety]]
    _short: list[RootStatus] = field(default_factory=list)
    _unchecked: int = 0

    async def run(self, rows: Rows) -> None:
        """Hand ``rows`` each put as soon as those before it are checked, oldest first.

        Raises at the end QuorumNotReached if one has fewer copies than it must, else Unreachable
        if one could not be checked."""
        run, pages = self.session.disk.blocking.run, self._pages()
        while (page := await run(next, pages, None)) is not None:
            checks = [partial(self._checked, put) for put in page]
            checked = await run_all(checks, limit=CHECKED_PUTS_AT_ONCE)
            safety = await self.safety()
            await rows(await _told(self.session.disk, self.checker.ledger, safety, checked))
        self._judge()

    def _pages(self) -> Iterator[Sequence[ListedPut]]:
        return self.checker.ledger.puts.listed(CHECKED_PUTS_AT_ONCE)

    async def _checked(self, put: ListedPut) -> ListedPut:
        root, run = Cid.parse(put.cid), self.session.disk.blocking.run
        try:
            told = await root_status(self.session, self.checker, root, self.min_acks, check=True)
        except (NotFound, Unreachable):
            self._unchecked += 1
            return put
        if told.copies < told.min_acks:
            self._short.append(told)
        return await run(self.checker.ledger.puts.summary, root) or put

    def _judge(self) -> None:
        if self._short:
            raise _too_few(self._short)
        if self._unchecked:
            raise Unreachable(f"{counted(self._unchecked, 'put')} could not be checked")


def _too_few(short: Sequence[RootStatus]) -> DhtstoreError:
    worst = min(short, key=lambda told: told.copies)
    have = "has" if len(short) == 1 else "have"
    return QuorumNotReached(
        f"{counted(len(short), 'put')} {have} fewer live copies than there have to be",
        copies=worst.copies,
        replicas=worst.replicas or worst.copies,
        min_acks=worst.min_acks,
        partial=None,
    ).hinted("put them again from where the originals are: that adds what is missing")
