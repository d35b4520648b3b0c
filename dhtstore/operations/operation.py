"""An operation: one thing that may be asked of a node, with the type of what it results in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec.structs import asdict, force_setattr

from dhtstore.errors import UsageError
from dhtstore.model.names import name_of_argument

R = TypeVar("R")
Naming = Literal["any", "pin", "put"]


class Operation(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """Base of all operations: ``Put(...)`` is an ``Operation[PutResult]``.

    ``op`` names it on the local socket; ``descriptors`` is how many open files go with it;
    ``about`` names the field that says which content it is about: CID, CID/path, or in place of
    the CID the name of something put or pinned here, or its beginning if no other has the same.
    ``named_by`` says whose names come first where several have one: pins by hand or puts.
    ``needs_node`` is False where all that is asked lies in the data directory.
    """

    op: ClassVar[str] = ""
    descriptors: ClassVar[int] = 0
    about: ClassVar[str] = ""
    named_by: ClassVar[Naming] = "any"
    needs_node: ClassVar[bool] = True

    @property
    def descriptor_count(self) -> int:
        """As ``descriptors``, where that does not depend on what is asked."""
        return self.descriptors

    def __post_init__(self) -> None:
        """Raises UsageError for text that is none, as of bytes in a command that are not UTF-8.
        In a path below a CID these are names of files."""
        for name, value in asdict(self).items():
            if isinstance(value, str) and name == self.about:
                force_setattr(self, name, name_of_argument(value))
            elif isinstance(value, str):
                _check_text(name, value)


def _check_text(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{name} is not UTF-8: {value[:80]!r}") from error


KEPT: Final = "kept"  # the phase of the last progress of what was cut short


class HolderProgress(msgspec.Struct, frozen=True):
    """How much of an operation one node holds, or has given; ``earlier_bytes`` of it were there
    before, as far as this node can tell.  One that is ``busy`` is asked again later."""

    node: str
    done_bytes: int
    earlier_bytes: int = 0
    busy: bool = False


class Progress(msgspec.Struct, frozen=True):
    """How far a long operation is.

    ``phase`` is one word for people ("reading", "copying", "fetching", "verifying", "comparing",
    "announcing"); ``total_bytes`` is None while nobody can know it.  ``earlier_bytes`` of those
    done were there before: they did not move now.  ``holders`` counts the nodes that bytes move
    to or from, ``by_holder`` tells of each.

    What is cut short, by whatever, ends with the phase "kept": ``done_bytes`` are here for the
    next try, ``holders`` have copies that are signed for.
    """

    phase: str
    done_bytes: int
    total_bytes: int | None = None
    holders: int = 0
    earlier_bytes: int = 0
    by_holder: list[HolderProgress] = []

    @property
    def moved_bytes(self) -> int:
        """What moved now."""
        return max(0, self.done_bytes - self.earlier_bytes)


Watch = Callable[[Progress], None]
Rows = Callable[[list[Any]], Awaitable[None]]  # takes rows as they come; the rest waits for it


def unwatched(progress: Progress) -> None:
    """For callers that do not watch."""


def result_type(operation: type[Operation[Any]]) -> Any:
    """What the operation results in: the argument of its base, as ``PutResult`` of ``Put``."""
    return get_args(vars(operation)["__orig_bases__"][0])[0]


def is_listing(operation: type[Operation[Any]]) -> bool:
    """Whether the result is a list, whose rows may come one by one."""
    return get_origin(result_type(operation)) is list
