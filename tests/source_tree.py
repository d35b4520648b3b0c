"""The project's own source as data, for the tests that hold its shape."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("dhtstore", "simulations", "tests", "benchmarks")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def room_of(name: str) -> str:
    """The second part of a dotted name: ``model`` of ``dhtstore.model.cid``, '' of the package."""
    return name.split(".")[1] if "." in name else ""


@dataclass(frozen=True, slots=True)
class Import:
    """``name`` is dotted and absolute: ``from a.b import c`` is ``a.b.c``."""

    name: str
    line: int

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    @property
    def room(self) -> str:
        return room_of(self.name)

    def reaches(self, module: str) -> bool:
        return self.name == module or self.name.startswith(module + ".")


@dataclass(frozen=True, slots=True)
class Module:
    """One file; ``name`` is dotted (``dhtstore.model.cid``)."""

    path: Path
    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return room_of(self.name)

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"

    def functions(self) -> Iterator[Function]:
        for node in nodes(self.tree):
            if isinstance(node, Function):
                yield node

    def imports(self) -> Iterator[Import]:
        for node in nodes(self.tree):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in node.names)

    def calls(self) -> tuple[tuple[str, int], ...]:
        """(dotted name as written, line) of each call of a plain name or attribute chain."""
        return _calls(self.tree)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        parents = package.split(".")
        base = parents[: len(parents) - node.level + 1]
        return ".".join(base + ([node.module] if node.module else []))


@cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """As ``ast.walk``; many tests go over each tree."""
    return tuple(ast.walk(tree))


@cache
def _calls(tree: ast.Module) -> tuple[tuple[str, int], ...]:
    found = (node for node in nodes(tree) if isinstance(node, ast.Call))
    return tuple((ast.unparse(node.func), node.lineno) for node in found)


@cache
def modules(package: str) -> tuple[Module, ...]:
    """Every module of one of ``PACKAGES``, parsed, in path order."""
    return tuple(_module(path) for path in sorted((ROOT / package).rglob("*.py")))


def everything() -> Iterator[Module]:
    for package in PACKAGES:
        yield from modules(package)


def import_graph(package: str) -> dict[str, set[str]]:
    """Which module of a package imports which others of it, also within functions."""
    known = {module.name for module in modules(package)}
    graph: dict[str, set[str]] = {name: set() for name in known}
    for module in modules(package):
        for found in module.imports():
            target = found.name if found.name in known else found.name.rpartition(".")[0]
            if target in known - {module.name, package}:
                graph[module.name].add(target)
    return graph


def circles_of(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach each other, by name."""
    reached = {name: _reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in graph if name in reached[other] and other in reached[name]))
        for name in graph
        if name in reached[name]
    }
    return [list(group) for group in sorted(groups)]


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph[waiting.pop()] - seen:
            seen.add(name)
            waiting.append(name)
    return seen


def forbid(rule: str, violations: Iterable[str]) -> None:
    """Fail with every violation at once, one to a line."""
    rows = sorted(set(violations))
    if rows:
        pytest.fail("\n  ".join([f"{rule} ({len(rows)}):", *rows]), pytrace=False)


def _module(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text(encoding="utf-8")
    return Module(path, name, text, ast.parse(text, filename=str(path)))
