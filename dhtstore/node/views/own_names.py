"""What the user's own names for content stand for, of what was put or pinned here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from dhtstore.errors import InvalidCid, InvalidPath
from dhtstore.model.cid import Cid
from dhtstore.model.cid_path import parse_cid_path, parse_root
from dhtstore.node.context import Disk, Ledger
from dhtstore.operations.moment import Moment
from dhtstore.operations.operation import Naming, Operation
from dhtstore.operations.short_names import Known, resolved

R = TypeVar("R")


async def with_cid(operation: Operation[R], disk: Disk, ledger: Ledger) -> Operation[R]:
    """``operation`` with a CID where a name or the beginning of a CID was given.

    Raises AmbiguousName, and InvalidCid for what is neither."""
    text: str = getattr(operation, operation.about, "")
    if not operation.about or names_cid(text):
        return operation
    meant = await disk.blocking.run(cid_of, ledger, text, operation.named_by)
    return msgspec.structs.replace(operation, **{operation.about: meant})


async def roots_meant(texts: Sequence[str], disk: Disk, ledger: Ledger) -> list[Cid]:
    """The same of several, as wholes."""
    roots = list[Cid]()
    for text in texts:
        known = names_cid(text)
        roots.append(parse_root(text if known else await disk.blocking.run(cid_of, ledger, text)))
    return roots


def names_cid(text: str) -> bool:
    """Whether the CID stands there: then it is what is meant, whatever has its name."""
    try:
        parse_cid_path(text)
    except InvalidPath:
        return True  # its own error says more
    except InvalidCid:
        return False
    return True


def cid_of(ledger: Ledger, text: str, named_by: Naming = "any") -> str:
    """``text`` with the CID that is meant, of pins by hand or of puts if one of them has that name.
    Raises AmbiguousName and InvalidCid."""
    known = list(_known(ledger, named_by))
    if named_by != "any" and not any(each.name == text for each in known):
        known = list(_known(ledger, "any"))
    return resolved(text, known)


def _known(ledger: Ledger, named_by: Naming) -> Iterator[Known]:
    """Oldest first, pins before puts."""
    for pin in ledger.pins.list():
        if named_by == "any" or (named_by == "pin") == (pin.kind == "user"):
            yield Known(str(pin.cid), pin.name)
    if named_by == "pin":
        return
    for put in ledger.puts.list():
        when = Moment.at(put.created_unix_s).rfc3339
        yield Known(str(put.cid), put.name, f"put {when}" if when else "")
