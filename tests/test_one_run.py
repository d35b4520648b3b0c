"""Nothing depends on what differs between processes or Pythons: one seed, one run.

A guard at run time cannot see the order of sets, so the source is searched: whoever goes over
something that is a set by its annotation or its making must sort it first.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.source_tree import forbid, modules, nodes

SET_TYPES = frozenset({"set", "frozenset", "Set", "AbstractSet", "MutableSet", "WeakSet"})
ORDERED = frozenset({"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "next", "deque"})
ORDERLESS = frozenset({"any", "all", "sum", "len", "min", "max", "set", "frozenset", "sorted"})
ALLOWED = {
    # (module, the set or function): why the order does not matter
    ("dhtstore.model.cid", "hash"): "equal values must have equal hashes",
    ("dhtstore.model.signing", "hash"): "equal values must have equal hashes",
    (
        "dhtstore.store.blocks.pool",
        "id",
    ): "names batches in a dict, which keeps the order of insertion",
    (
        "simulations.world.loop.virtual_loop",
        "_generators",
    ): "weak references to what a run left open at its very end, all of it closed",
    ("dhtstore.store.blocks.index", "relied"): "several sets, in an order, made into one",
}


def test_nothing_goes_over_a_set_in_hash_order() -> None:
    found = [
        (module, node.lineno, name)
        for module in (*modules("dhtstore"), *modules("simulations"))
        for node, name in _walked(module.tree)
    ]
    forbid(
        "a set is gone over in hash order; sort it, or keep a dict or a list",
        (
            f"{module.at(line)} {name}"
            for module, line, name in found
            if (module.name, name) not in ALLOWED
        ),
    )


def test_no_address_or_hash_of_an_object_is_used() -> None:
    forbid(
        "differs between processes",
        (
            f"{module.at(line)} {name}()"
            for module in (*modules("dhtstore"), *modules("simulations"))
            for name, line in module.calls()
            if name in ("hash", "id") and (module.name, name) not in ALLOWED
        ),
    )


def test_nothing_waits_in_a_way_that_differs_between_pythons() -> None:
    """Up to 3.11 ``gather`` of what is done already lets others go first; tasks of a TaskGroup
    and ``wait_for`` were rewritten in 3.12."""
    forbid(
        "use dhtstore.tasks, or asyncio.timeout",
        (
            f"{module.at(line)} {name}"
            for module in (*modules("dhtstore"), *modules("simulations"))
            if module.room not in ("net", "cli")  # real machines: their order is chance anyway
            for name, line in module.calls()
            if name in ("asyncio.gather", "asyncio.TaskGroup", "asyncio.wait_for")
        ),
    )


def test_the_search_finds_what_it_is_for() -> None:
    source = """
a: set[int] = set()
class C:
    def __init__(self) -> None:
        self.b: frozenset[int] = frozenset()
    def f(self, c: set[int]) -> None:
        for one in a: print(one)
        print([x for x in self.b], list(c), a.pop(), [*{1, 2}], (c | a).pop())
        for good in sorted(a): print(good in c, len(c), max(c))
"""
    walked = [name for _, name in _walked(ast.parse(source))]
    assert sorted(walked) == ["a", "a", "b", "c", "c | a", "{1, 2}"]


def _walked(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    names = set(_set_names(tree))
    harmless = {part for node in nodes(tree) for part in _orderless(node)}
    for node in nodes(tree):
        if node in harmless:
            continue
        for walked in _gone_over(node):
            if _is_set(walked, names):
                yield walked, _name_of(walked) or ast.unparse(walked)


def _set_names(tree: ast.Module) -> Iterator[str]:
    """Variables, attributes and arguments that are sets."""
    for node in nodes(tree):
        if isinstance(node, ast.AnnAssign) and _is_set_type(node.annotation):
            yield _name_of(node.target)
        elif isinstance(node, ast.arg) and node.annotation and _is_set_type(node.annotation):
            yield node.arg
        elif isinstance(node, ast.Assign) and _is_set(node.value, set()):
            yield from map(_name_of, node.targets)


def _is_set_type(annotation: ast.expr) -> bool:
    base = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return _name_of(base) in SET_TYPES


def _is_set(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
    if isinstance(node, ast.BinOp):
        return _is_set(node.left, names) or _is_set(node.right, names)
    return _name_of(node) in names


def _gone_over(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions whose order this node makes visible."""
    if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield node.iter
    elif isinstance(node, ast.Starred):
        yield node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from node.args if node.func.id in ORDERED else ()
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "pop" and not node.args:
            yield node.func.value
        elif node.func.attr in ("extend", "join", "fromkeys"):
            yield from node.args


def _orderless(node: ast.AST) -> Iterator[ast.comprehension]:
    """What is gone over only to be counted, compared or made into a set."""
    if isinstance(node, ast.SetComp):
        yield from node.generators
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        for argument in node.args if node.func.id in ORDERLESS else ():
            if isinstance(argument, ast.GeneratorExp | ast.ListComp):
                yield from argument.generators


def _name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""
