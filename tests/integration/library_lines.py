"""Which lines of a library's functions run: what is really used of it, not what is imported."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class LibraryLines:
    """``functions`` has the lines of each function's statements, by file and dotted name;
    ``ran`` those lines that ran, as (file, line)."""

    functions: dict[tuple[str, str], frozenset[int]]
    ran: set[tuple[str, int]] = field(default_factory=set)

    @classmethod
    def of(cls, package: str) -> LibraryLines:
        """All functions of an installed package, none of which ran yet."""
        spec = importlib.util.find_spec(package)
        assert spec is not None, f"{package} is installed"
        assert spec.origin is not None, f"{package} has a folder"
        files = sorted(Path(spec.origin).parent.glob("*.py"))
        return cls(
            {
                (str(file), name): lines
                for file in files
                for name, lines in _functions(ast.parse(file.read_text(encoding="utf-8")))
            }
        )

    @property
    def count(self) -> int:
        """How many lines there are."""
        return len(self._lines())

    @property
    def ran_count(self) -> int:
        """How many of them ran."""
        return len(self._lines() & self.ran)

    def _lines(self) -> set[tuple[str, int]]:
        return {(file, line) for (file, _), lines in self.functions.items() for line in lines}

    def used(self) -> list[str]:
        """The functions of which a line ran, dotted, in the order of the source."""
        return [
            name
            for (file, name), lines in self.functions.items()
            if any((file, line) in self.ran for line in lines)
        ]


@contextmanager
def watching(*libraries: LibraryLines) -> Iterator[None]:
    """Note what this thread runs of them."""
    owner = {file: library for library in libraries for file, _ in library.functions}

    def on_call(frame: FrameType, event: str, _: Any) -> Any:
        return on_line if frame.f_code.co_filename in owner else None

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            file = frame.f_code.co_filename
            owner[file].ran.add((file, frame.f_lineno))
        return on_line

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(before)


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, frozenset[int]]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | _Function):
            name = f"{prefix}{node.name}"
            if isinstance(node, _Function):
                yield name, frozenset(_statement_lines(node))
            yield from _functions(node, f"{name}.")


def _statement_lines(function: _Function) -> Iterator[int]:
    """Where each statement begins, without docstrings and what belongs to functions within."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt) and not _is_docstring(node):
            yield node.lineno
        if not isinstance(node, _Function):
            waiting += ast.iter_child_nodes(node)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
