"""A question about a DAG as a walk: one want at a time, the next when the last is answered."""

from __future__ import annotations

from collections.abc import Container, Generator
from typing import Generic, TypeVar

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.walk import Leaf, Output, Want
from dhtstore.errors import LocalProtocolError
from dhtstore.model.unit import Unit
from dhtstore.params import OPENED_ON_LOOP_MAX

T = TypeVar("T")


class QuestionWalk(Generic[T]):
    """Drives a generator that yields wants, is sent what was read of the verified bytes of each,
    and returns an answer.  What the generator raises comes out of the method that woke it."""

    def __init__(self, question: Generator[Want, DagNode, T]) -> None:
        self.opening: list[Output] = []
        self._question = question
        self._want: Want | None = None
        self._answers: list[T] = []
        self._send(None)

    @property
    def done(self) -> bool:
        return bool(self._answers)

    @property
    def answer(self) -> T:
        """Raises LocalProtocolError before the walk is done."""
        if not self._answers:
            raise LocalProtocolError("a question is answered when its walk is done")
        return self._answers[0]

    def next(self, limit: int) -> list[Want]:
        want, self._want = self._want, None
        return [want] if want is not None else []

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        self._send(node)
        return []

    def weight(self, node: DagNode) -> int:
        """A question may do with one block what all those before it were for."""
        return OPENED_ON_LOOP_MAX + 1

    def unit_ahead(self, known: Container[bytes]) -> Unit | None:
        return None

    def leaf(self, want: Want) -> Leaf | None:
        return None

    def _send(self, node: DagNode | None) -> None:
        try:
            self._want = next(self._question) if node is None else self._question.send(node)
        except StopIteration as finished:
            self._answers.append(finished.value)
