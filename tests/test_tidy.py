"""Rules of style that a linter does not know, so that nothing grows past them unseen."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator

import pytest

from tests.source_tree import Function, Module, everything, forbid, modules, nodes

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
CLASS_LINES_MAX = 200
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|NotImplemented" r"Error)\b")
TEXT_MODE = re.compile(r"[rwax]t?\+?")
CLOCKS_AND_DICE = frozenset(
    {
        "time.time",
        "time.time_ns",
        "os.urandom",
        "os.getrandom",
        "secrets.token_bytes",
        "secrets.token_hex",
        "secrets.randbits",
        "uuid.uuid4",
        "uuid.uuid1",
        "datetime.now",
        "datetime.utcnow",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "date.today",
        "random.SystemRandom",
    }
)
CLOCK_AND_DICE_IMPORTS = frozenset({"time.time", "time.time_ns", "os.urandom", "os.getrandom"})
TASK_CALLS = frozenset({"create_task", "ensure_future", "run_coroutine_threadsafe"})
TASK_GROUPS = frozenset({"asyncio.gather", "asyncio.wait_for", "asyncio.TaskGroup"})
ENTRY_POINTS = {
    "dhtstore.__main__": "python -m dhtstore, and the dhtstore command, named in pyproject.toml",
    "dhtstore.store.blocks.faulty": "the store that fails on demand, for tests and simulations",
}
# Being split along their jobs; a class that no longer is so long must be taken out.
LONG_CLASSES: frozenset[str] = frozenset()
# Name of classes in several files: why one word for them is right.
DOUBLED_NAMES: dict[str, str] = {"Parameters": "what a scenario's own module must call them"}
TASK_MAKERS = {
    # module outside dhtstore/tasks.py that makes tasks: who owns them
    "dhtstore.sync": "the thread that called, which waits for the result",
    "simulations.nodes.population": "the loop, which keeps them by node: a crash ends just those",
    "simulations.world.loop.virtual_loop": "it is the loop",
}


def test_functions_are_short() -> None:
    found = [
        f"{module.at(function.lineno)} {function.name}: {_lines(function)} lines"
        for module in everything()
        for function in module.functions()
        if _lines(function) > FUNCTION_LINES_MAX
    ]
    forbid(f"functions over {FUNCTION_LINES_MAX} lines", found)


def test_files_are_short() -> None:
    found = [
        f"{module.at(1)} {len(module.text.splitlines())} lines"
        for module in everything()
        if len(module.text.splitlines()) > FILE_LINES_MAX
    ]
    forbid(f"files over {FILE_LINES_MAX} lines", found)


def test_classes_are_short() -> None:
    longest_first = sorted(
        (
            (_lines(each), each.name, module.at(each.lineno))
            for module, each in _classes("dhtstore", "simulations", "benchmarks")
        ),
        reverse=True,
    )
    lines, name, where = longest_first[0]
    over = {name for lines, name, _ in longest_first if lines > CLASS_LINES_MAX}
    found = [
        f"{where} {name}: {lines} lines"
        for lines, name, where in longest_first
        if lines > CLASS_LINES_MAX and name not in LONG_CLASSES
    ]
    forbid(
        f"classes over {CLASS_LINES_MAX} lines, the longest {name} ({lines}, {where})",
        [*found, *(f"{name} is not so long: take it out" for name in LONG_CLASSES - over)],
    )


def test_no_class_has_the_name_of_another() -> None:
    """One word for one meaning; a name that two files need for two things has its reason."""
    places: dict[str, list[str]] = {}
    for module, each in _classes("dhtstore", "simulations"):
        places.setdefault(each.name, []).append(module.at(each.lineno))
    doubled = {name: where for name, where in places.items() if len(where) > 1}
    found = [
        f"{name}: {', '.join(where)}"
        for name, where in doubled.items()
        if name not in DOUBLED_NAMES
    ]
    forbid(
        f"names of several classes, of which {len(doubled)} in all",
        [*found, *(f"{name} is unique: take it out" for name in DOUBLED_NAMES.keys() - doubled)],
    )


def test_each_assert_states_one_thing() -> None:
    found = [
        f"{module.at(node.lineno)} {ast.unparse(node)[:80]}"
        for module in everything()
        for node in nodes(module.tree)
        if isinstance(node, ast.Assert) and _is_conjunction(node.test)
    ]
    forbid("asserts of two things, of which one cannot tell which failed", found)


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{module.at(number)} {line.strip()[:80]}"
        for module in everything()
        for number, line in enumerate(module.text.splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    forbid("unfinished", found)


def test_text_of_files_is_utf8_whatever_the_locale_says() -> None:
    found = [
        f"{module.at(node.lineno)} {ast.unparse(node)[:80]}"
        for module in (*modules("dhtstore"), *modules("simulations"))
        for node in nodes(module.tree)
        if isinstance(node, ast.Call) and _leaves_encoding_open(node)
    ]
    forbid("text files of whatever encoding", found)


def test_only_tasks_makes_tasks() -> None:
    """Whatever runs by itself has an owner, who sees it fail: a Supervisor, or who waits."""
    sources = (*modules("dhtstore"), *modules("simulations"))
    outside = [m for m in sources if m.name not in {"dhtstore.tasks", *TASK_MAKERS}]
    forbid("tasks made outside dhtstore/tasks.py", (row for m in outside for row in _spawning(m)))


def test_only_net_reads_the_clock_and_rolls_dice() -> None:
    outside = [module for module in modules("dhtstore") if module.room != "net"]
    forbid(
        "clock or entropy read outside net", (row for module in outside for row in _impure(module))
    )


def test_every_module_is_used() -> None:
    users = [*modules("dhtstore"), *modules("simulations")]
    imported = [found for module in users for found in module.imports()]
    found = [
        module.name
        for module in modules("dhtstore")
        if module.path.name != "__init__.py"
        and module.name not in ENTRY_POINTS
        and not any(candidate.reaches(module.name) for candidate in imported)
    ]
    forbid("modules that nothing imports", found)


def test_proportions_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    sources = [*modules("dhtstore"), *modules("simulations")]
    functions = sorted(_lines(each) for module in sources for each in module.functions())
    files = sorted(len(module.text.splitlines()) for module in sources)
    with capsys.disabled():
        print(f"\n{_figures('function', functions)}; {_figures('file', files)}")
    assert functions


def _figures(name: str, sizes: list[int]) -> str:
    median, p90 = statistics.median_low(sizes), sizes[int(len(sizes) * 0.9)]
    return f"{len(sizes)} {name}s, lines: median {median}, p90 {p90}, max {sizes[-1]}"


def _lines(defined: Function | ast.ClassDef) -> int:
    return (defined.end_lineno or defined.lineno) - defined.lineno + 1


def _classes(*packages: str) -> Iterator[tuple[Module, ast.ClassDef]]:
    for package in packages:
        for module in modules(package):
            for node in nodes(module.tree):
                if isinstance(node, ast.ClassDef):
                    yield module, node


def _is_conjunction(test: ast.expr) -> bool:
    return isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And)


def _spawning(module: Module) -> Iterator[str]:
    for call, line in module.calls():
        if call.rpartition(".")[2] in TASK_CALLS or call in TASK_GROUPS:
            yield f"{module.at(line)} calls {call}"
    for found in module.imports():
        if found.name in TASK_GROUPS:
            yield f"{module.at(found.line)} imports {found.name}"


def _impure(module: Module) -> Iterator[str]:
    for call, line in module.calls():
        if call in CLOCKS_AND_DICE:
            yield f"{module.at(line)} calls {call}"
    for found in module.imports():
        if found.name in CLOCK_AND_DICE_IMPORTS:
            yield f"{module.at(found.line)} imports {found.name}"


def _leaves_encoding_open(call: ast.Call) -> bool:
    """Whether a call opens a file for text and does not say of which encoding."""
    name = ast.unparse(call.func).rpartition(".")[2]
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    modes = [each.value for each in call.args if isinstance(each, ast.Constant)]
    texts = [mode for mode in modes if isinstance(mode, str) and TEXT_MODE.fullmatch(mode)]
    return name in ("read_text", "write_text") or (name in ("open", "fdopen") and bool(texts))
