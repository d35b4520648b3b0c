"""What the trace tells of operations: those that a user has carried out here and that last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from msgspec.structs import asdict

from dhtstore.errors import DhtstoreError, PartlyStored, QuorumNotReached
from dhtstore.net.ports import Clock
from dhtstore.operations.cars import Export, Import
from dhtstore.operations.content import Get, Put, Read
from dhtstore.operations.keeping import (
    AddPin,
    CollectGarbage,
    RemovePin,
    RemovePut,
    SetPolicy,
    VerifyStore,
)
from dhtstore.operations.operation import Operation
from dhtstore.trace import Tracer

_TOLD: Final = (
    Put,
    Get,
    Read,
    Export,
    Import,
    AddPin,
    RemovePin,
    RemovePut,
    SetPolicy,
    CollectGarbage,
    VerifyStore,
)
_FIELDS: Final = (
    "cid",
    "name",
    "size",
    "copies",
    "replicas",
    "blocks",
    "incomplete",
    "garbage_blocks",
    "freed",
    "skipped_count",
)
_COUNTED: Final = ("holders", "damaged")


@contextmanager
def telling(
    operation: Operation[Any], tracer: Tracer, clock: Clock
) -> Iterator[Callable[[object], None]]:
    """Tells how the operation ends that is carried out in this block; what it yields is called
    with the result."""
    if not isinstance(operation, _TOLD):
        yield lambda result: None
        return
    began_s = clock.monotonic_s()

    def tell(event: str, **fields: object) -> None:
        took_s = round(clock.monotonic_s() - began_s, 3)
        tracer(event, operation=operation.op, **fields, took_s=took_s)

    try:
        yield lambda result: tell("operation.done", **_told(result))
    except asyncio.CancelledError:
        tell("operation.ended", reason="cancelled by who asked for it")
        raise
    except (PartlyStored, QuorumNotReached) as error:
        tell("operation.partly", **_told(error.partial), reason=str(error))
        raise
    except DhtstoreError as error:
        tell("operation.ended", reason=str(error))
        raise


def _told(result: Any) -> dict[str, object]:
    fields = asdict(result)
    told: dict[str, object] = {name: fields[name] for name in _FIELDS if name in fields}
    return {**told, **{name: len(fields[name]) for name in _COUNTED if name in fields}}
