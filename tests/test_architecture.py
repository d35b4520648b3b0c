"""Imports go down only, and the world is touched in one room each.

``docs/architecture.md`` says why; this holds it.  A violation is mended by moving code to the
room it belongs to.  ``DISK_ALLOWED`` is the one table of exceptions, with their reasons.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch

import pytest

from tests.source_tree import ROOT, Module, circles_of, forbid, import_graph, modules, nodes

# Of the package and of each room that has rooms inside: who may import whom.  What stands further
# down may import what stands further up, never its neighbours.
ORDERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "dhtstore": (
        ("errors", "params"),
        ("trace", "config"),
        ("tasks", "model"),
        ("wire", "content", "operations"),
        ("net", "store", "dht", "transfer", "replication"),
        ("node",),
        ("api",),
        ("cli", "sync"),
        ("__main__",),
    ),
    "dhtstore.config": (
        ("quantities", "declaration"),
        ("values", "rates"),
        ("settings", "toml"),
        ("layers",),
    ),
    "dhtstore.content": (("codec",), ("builders", "dag"), ("export",), ("car",)),
    "dhtstore.content.car": (("header",), ("reader", "walk", "writer")),
    "dhtstore.content.export": (("ordered_walk", "tar"),),
    "dhtstore.content.codec": (("protobuf",), ("dagpb",), ("hamt",), ("unixfs",)),
    "dhtstore.content.builders": (("importer",), ("directory",)),
    "dhtstore.content.dag": (
        ("walk",),
        ("units",),
        ("children", "seen"),
        ("frontier",),
        ("dag_walk",),
        ("block_list", "file_walk", "here_walk", "tree_walk", "unit_walk", "looking"),
        ("local",),
    ),
    "dhtstore.content.dag.looking": (("list_walk",), ("resolve",)),
    "dhtstore.store": (("disk", "ours"), ("sqlite_file",), ("blocks", "ledger", "files", "home")),
    "dhtstore.store.blocks": (
        ("collecting",),
        ("contract",),
        ("packs", "quota", "write_block"),
        ("accounts",),
        ("index_database",),
        ("staged_table",),
        ("index",),
        ("recovery", "pool", "memory", "faulty"),
        ("writing", "compacting"),
        ("disk",),
    ),
    "dhtstore.store.blocks.compacting": (("row_pages", "target"), ("survey",), ("compaction",)),
    "dhtstore.store.blocks.accounts": (("index_files",),),
    "dhtstore.store.blocks.collecting": (("kept",), ("protections",)),
    "dhtstore.store.blocks.writing": (("held_packs", "staged_rows"), ("disk_batch",)),
    "dhtstore.store.ledger": (
        ("contract", "entries", "kept_count"),
        ("charging",),
        ("health", "memory", "sqlite", "roots", "peers", "sequence", "tiers", "shelf"),
        ("listing",),
        ("pins", "puts", "claims", "upgrade"),
    ),
    "dhtstore.store.ledger.listing": (("places", "tally"), ("listing",)),
    "dhtstore.store.ledger.charging": (("accounts",), ("charged",)),
    "dhtstore.store.files": (
        ("journal", "sources", "spans"),
        ("partial",),
        ("output", "stream_output", "tree_names"),
        ("tree_claims",),
        ("tree_output",),
    ),
    "dhtstore.store.files.sources": (("excluding", "file"), ("tar", "tree"), ("wrapped",)),
    "dhtstore.store.home": (("home",), ("block_directory", "owner_key", "places")),
    "dhtstore.net": (
        ("ports",),
        (
            "accepting",
            "addresses",
            "certificate",
            "clock",
            "crypto",
            "threads",
            "tls_engine",
            "wide_socket",
        ),
        ("tls_inflow",),
        ("tls_stream",),
        ("interfaces", "local", "tcp", "udp"),
    ),
    "dhtstore.node.links": (
        ("buffers", "crowd", "race", "tries"),
        ("frame_io",),
        ("handshake", "outbox"),
        ("own_requests", "peer_requests"),
        ("link",),
        ("dialler", "newcomers"),
        ("pool",),
    ),
    "dhtstore.dht": (("core",), ("engine",), ("service",)),
    "dhtstore.dht.core": (
        ("limits", "peer", "peer_clocks", "record_rules"),
        ("asking", "crowds", "idle", "rations", "snapshot", "stores"),
        ("bucket", "lookup", "newcomers"),
        ("introductions", "table"),
        ("refresh", "region", "sweeping"),
    ),
    "dhtstore.dht.core.asking": (("late", "parts", "rtt", "waits", "window"),),
    "dhtstore.dht.core.region": (("size", "paths"), ("crowding",), ("region",)),
    "dhtstore.dht.core.newcomers": (("departed", "newcomers", "silences"),),
    "dhtstore.dht.core.stores": (
        ("held",),
        ("key_places", "shares"),
        ("places",),
        ("contact_store", "policy_store", "provider_store"),
    ),
    "dhtstore.dht.engine.holding": (("keeping",), ("reaching",)),
    "dhtstore.dht.engine": (
        ("in_turn", "sessions"),
        ("channel",),
        ("calls",),
        ("crawl", "holding", "returning"),
        ("harvest", "lookups", "procedures", "upkeep"),
        ("outrun", "rpc", "widening"),
        ("maintenance", "policies"),
        ("records",),
        ("sweeping",),
    ),
    "dhtstore.dht.core.sweeping": (("seen",), ("handing",)),
    "dhtstore.node": (
        ("ports", "throttle", "traffic", "warnings"),
        ("links",),
        ("identity", "context", "telling"),
        ("fetching",),
        ("importing", "copies"),
        ("checking", "keeping", "put_outcome", "scrubbing"),
        ("policies",),
        ("flows", "duties", "views", "giving"),
        ("cars",),
        ("use_cases", "verified"),
        ("node",),
        ("overview",),
        ("control",),
    ),
    "dhtstore.node.fetching": (
        ("delivery", "opening", "question", "search"),
        ("searching",),
        ("window", "intake", "recall", "sink_writer", "holders", "dht_search"),
        ("requests",),
        ("fetch",),
        ("session",),
    ),
    "dhtstore.node.fetching.searching": (("unit_holders",), ("further",)),
    "dhtstore.node.importing": (("batch", "measure"), ("file",), ("tree",), ("source",)),
    "dhtstore.node.keeping": (
        ("ending", "marks", "guards"),
        ("collected", "withdrawals"),
        ("collector",),
        ("staging",),
        ("cached", "why"),
        ("removing",),
    ),
    "dhtstore.node.keeping.ending": (("running",), ("overdue",)),
    "dhtstore.node.flows": (
        ("bring", "get", "meet", "read", "verify"),
        ("join", "pin", "ping", "put"),
    ),
    "dhtstore.node.cars": (("exporting", "importing"),),
    "dhtstore.node.views": (
        ("identity", "own_names", "peers", "spelling"),
        ("describe", "providers", "receipts"),
        ("copies", "status"),
    ),
    "dhtstore.node.views.copies": (("safety",), ("root_status",), ("list_puts",)),
    "dhtstore.node.traffic": (("gate", "retries"), ("traffic",), ("timetable",)),
    "dhtstore.transfer": (
        ("books", "in_order", "pace", "priority", "session"),
        ("limiter", "queues"),
        ("scheduler",),
    ),
    "dhtstore.node.copies": (
        ("acknowledge", "kept", "receive", "open_offers", "read_room"),
        ("serve_blocks",),
        ("relaying", "granting"),
        ("completeness", "own_copy", "place", "placed", "hold"),
    ),
    "dhtstore.dht.engine.policies": (("policies",),),
    "dhtstore.node.policies": (
        ("book", "ending", "telling"),
        ("answering", "renewing", "telling_later"),
        ("changing",),
        ("parts", "removing", "showing"),
    ),
    "dhtstore.node.copies.granting": (("bid", "offering"),),
    "dhtstore.node.copies.relaying": (
        ("upstream", "window"),
        ("relays", "chain"),
        ("serve_coming",),
    ),
    "dhtstore.node.duties.announcing": (
        ("progress", "teller"),
        ("line",),
        ("lines", "standing"),
    ),
    "dhtstore.dht.engine.sweeping": (("sweeper",), ("many_keys",)),
    "dhtstore.node.duties.leaving": (("meter",), ("handing_over",), ("leaving",), ("telling",)),
    "dhtstore.node.duties.owning": (("outlook", "own_puts"), ("weakest",)),
    "dhtstore.node.duties.repairing": (
        ("noting",),
        ("fellows",),
        ("watching",),
        ("asking", "acting", "told", "units"),
        ("inheriting", "survey"),
        ("trimming",),
        ("repair",),
        ("auditing_back", "building", "telling"),
    ),
    "dhtstore.node.duties": (
        ("announcing", "repairing"),
        ("leaving", "owning", "rebalancing"),
        ("keep_sequence", "lasting", "reprovide", "rot", "save_peers", "stocktaking", "twins"),
    ),
    "dhtstore.replication.health": (("periods",), ("past",), ("copies",)),
    "dhtstore.node.duties.rebalancing": (("asking_room",), ("rebalance",)),
    "dhtstore.replication.repair": (("plan",), ("leaving", "moving")),
    "dhtstore.replication": (
        ("admission", "chaining", "health", "ranking"),
        ("placement", "promises", "repair"),
    ),
    "dhtstore.cli.explaining": (("timelines",), ("explained",)),
    "dhtstore.cli.naming": (("completing",), ("arguments",)),
    "dhtstore.cli": (
        ("exits",),
        ("terminal",),
        ("running",),
        ("naming", "explaining"),
        ("content", "keeping", "nodes", "home", "demo"),
        ("cars",),
        ("main",),
    ),
    "simulations": (
        ("errors",),
        ("units", "seeds", "datagram_kinds", "regions"),
        ("settings",),
        ("sections",),
        ("scenario",),
        ("world",),
        ("nodes",),
        ("checks", "messages", "results"),
        ("service",),
        ("events",),
        ("lab",),
        ("scenarios",),
        ("validation",),
        ("report",),
        ("commands",),
        ("__main__", "notebook"),
    ),
    "simulations.lab": (("one_run",), ("many_runs",)),
    "simulations.lab.one_run.hooks": (("hooks", "measuring"),),
    "simulations.lab.many_runs": (
        ("branches", "explore", "one"),
        ("plan",),
        ("cluster", "sweep"),
        ("local_workers",),
        ("estimates", "sweeping"),
        ("reference",),
    ),
    "simulations.lab.one_run": (
        ("cost", "futures", "progress", "recorder", "view", "world_building"),
        ("hooks",),
        ("world",),
        ("drivers", "inspector", "sampler", "scenario_module"),
        ("experiment",),
        ("watching",),
    ),
    "simulations.events": (
        (
            "adversary",
            "await_counter",
            "damage",
            "datagram_dropper",
            "fault_schedule",
            "sessions",
            "workload",
        ),
        ("churn", "fault_injection", "users"),
        ("arrivals",),
        ("lives",),
    ),
    "simulations.events.adversary": (
        ("gang", "grinding"),
        ("forgery",),
        ("answers",),
        ("masked_stores",),
        ("masked_ports",),
        ("made_up_node",),
        ("attack",),
        ("outcome",),
    ),
    "simulations.results": (
        ("identity", "intervals", "rows"),
        ("tables",),
        ("run_data", "run_folder", "summary"),
        ("comparison", "measure"),
    ),
    "simulations.validation": (
        ("findings", "lookup_model", "theory"),
        ("lookups", "session_lengths", "table_health"),
    ),
    "simulations.world": (("trace", "watcher"), ("loop",), ("network", "files"), ("ports",)),
    "simulations.world.loop": (
        ("current_node", "guard", "isolated_loop", "waiting"),
        ("failures", "node_tasks"),
        ("schedule",),
        ("virtual_loop",),
    ),
    "simulations.world.network": (
        ("latency", "machine"),
        ("network",),
        ("pipe",),
        ("stream",),
        ("streams",),
    ),
}
FILES_IN_A_FOLDER_MAX = 13  # __init__.py not counted
PURE_ROOMS = ("model", "wire", "content", "transfer", "replication")
PURE_FOLDERS = ("dhtstore.dht.core.",)
WORLD = frozenset(
    {
        "asyncio",
        "socket",
        "ssl",
        "select",
        "selectors",
        "os",
        "time",
        "threading",
        "multiprocessing",
        "concurrent",
        "subprocess",
        "signal",
        "secrets",
        "uuid",
        "pathlib",
        "shutil",
        "tempfile",
        "sqlite3",
        "mmap",
        "fcntl",
        "cryptography",
        "nacl",
    }
)
SOCKETS = frozenset({"socket", "ssl", "select", "selectors", "socketserver", "asyncio_dgram"})
SOCKET_CALLS = frozenset(
    {
        "open_connection",
        "open_unix_connection",
        "start_server",
        "start_unix_server",
        "create_connection",
        "create_unix_connection",
        "create_server",
        "create_unix_server",
        "create_datagram_endpoint",
        "add_reader",
        "add_writer",
        "sock_connect",
        "sock_accept",
        "sock_recv",
        "sock_sendall",
    }
)
DISK = frozenset({"os", "pathlib", "sqlite3", "shutil", "tempfile", "mmap", "fcntl"})
DEMO = "dhtstore.cli.demo"

DISK_ALLOWED = {
    # (start of the module's name, what it imports): why this does not belong into store
    ("api", "os"): "files of the user are opened with the user's own permissions",
    ("api", "pathlib"): "the data directory is named by a path",
    ("cli", "os"): "environment, terminal and process ids of the commands",
    ("cli", "pathlib"): "paths are what users type; opening them is store's business",
    ("cli.demo", "tempfile"): "the demo network lives in a directory that it removes at the end",
    ("cli.demo", "shutil"): "the demo network lives in a directory that it removes at the end",
    ("net.certificate", "tempfile"): "ssl loads a certificate from a file only",
    ("net", "os"): "os.urandom behind Entropy; the mode of the local socket",
    ("net", "pathlib"): "a local socket is named by a path",
    ("node", "pathlib"): "paths are handed on to store as values",
}


def test_imports_go_down_only() -> None:
    found = [row for package, order in ORDERS.items() for row in _upward(package, order)]
    forbid("imports that go up or sideways", found)


def test_every_room_has_its_place_in_an_order() -> None:
    found = [
        f"{package}.{child}"
        for package, order in ORDERS.items()
        for child in _children(package) - {each for level in order for each in level}
    ]
    forbid("rooms without a place in an order", found)


@pytest.mark.parametrize("package", ["dhtstore", "simulations"])
def test_no_files_import_each_other_in_a_circle(package: str) -> None:
    """Imports for typing count: what needs another's type needs the other."""
    circles = [" <-> ".join(circle) for circle in circles_of(import_graph(package))]
    forbid(f"circles of files in {package} (of {len(modules(package))} files)", circles)


@pytest.mark.parametrize("package", ["dhtstore", "simulations"])
def test_folders_are_small(package: str) -> None:
    files = Counter(
        module.name.rpartition(".")[0]
        for module in modules(package)
        if module.path.name != "__init__.py"
    )
    largest, count = files.most_common(1)[0]
    found = [f"{name}: {n} files" for name, n in files.items() if n > FILES_IN_A_FOLDER_MAX]
    forbid(f"folders over {FILES_IN_A_FOLDER_MAX} files, the largest {largest} ({count})", found)


def test_only_simulations_tests_and_benchmarks_are_outside() -> None:
    outside = ("simulations", "tests", "benchmarks")
    found = [
        f"{module.at(found.line)} imports {found.name}"
        for module in modules("dhtstore")
        for found in module.imports()
        if found.top in outside
    ]
    forbid("dhtstore imports what is built on it", found)


def test_one_package_is_installed() -> None:
    """A wheel must not shadow a module of its user's, as `simulations`."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    patterns = build["packages"]["find"]["include"]
    packages = [each.parent.name for each in ROOT.glob("*/__init__.py")]
    taken = [name for name in packages if any(fnmatch(name, pattern) for pattern in patterns)]
    assert taken == ["dhtstore"]


def test_simulations_do_not_know_the_command_line() -> None:
    found = [
        f"{module.at(found.line)} imports {found.name}"
        for module in modules("simulations")
        for found in module.imports()
        if found.reaches("dhtstore.cli")
    ]
    forbid("simulations import cli", found)


def test_pure_parts_do_not_touch_the_world() -> None:
    found = [row for module in _pure() for row in (*_worldly(module), *_random_functions(module))]
    forbid("pure parts that touch the world", found)


def test_only_net_touches_sockets() -> None:
    found = [row for module in modules("dhtstore") if module.room != "net" for row in _nets(module)]
    forbid("sockets outside net", found)


def test_only_the_demo_starts_processes() -> None:
    found = [
        f"{module.at(found.line)} imports {found.name}"
        for module in modules("dhtstore")
        for found in module.imports()
        if found.top in {"subprocess", "multiprocessing"} and not module.name.startswith(DEMO)
    ]
    forbid("processes started outside cli.demo", found)


def test_only_store_touches_the_disk() -> None:
    found = [
        row for module in modules("dhtstore") if module.room != "store" for row in _disk(module)
    ]
    forbid("disk outside store", found)


def _upward(package: str, order: Sequence[Sequence[str]]) -> Iterator[str]:
    level = {child: at for at, children in enumerate(order) for child in children}
    for module in modules(package.partition(".")[0]):
        own = _child(package, module.name)
        for found in module.imports() if own in level else ():
            other = _child(package, found.name)
            if own == "dht" and found.reaches("dhtstore.net.ports"):
                continue  # the seam's protocols, for typing
            if other in level and other != own and level[other] >= level[own]:
                yield f"{module.at(found.line)} {package}.{own} imports {found.name}"


def _children(package: str) -> set[str]:
    """Rooms right below, and of a whole package its files as well."""
    top = package.partition(".")[0]
    names = {_child(package, module.name) for module in modules(top)} - {""}
    folder = ROOT / package.replace(".", "/")
    return {name for name in names if package == top or (folder / name).is_dir()}


def _child(package: str, name: str) -> str:
    """The part of a dotted name right below ``package``, '' if it is not in there."""
    return name[len(package) + 1 :].partition(".")[0] if name.startswith(f"{package}.") else ""


def _pure() -> Iterator[Module]:
    for module in modules("dhtstore"):
        if module.room in PURE_ROOMS or module.name.startswith(PURE_FOLDERS):
            yield module


def _worldly(module: Module) -> Iterator[str]:
    for found in module.imports():
        if found.top in WORLD:
            yield f"{module.at(found.line)} imports {found.name}"
    for call, line in module.calls():
        if call == "open":
            yield f"{module.at(line)} calls open()"


def _random_functions(module: Module) -> Iterator[str]:
    """Random is handed in: the class may be named, the module's shared generator not used."""
    for found in module.imports():
        if found.top == "random" and found.name not in {"random", "random.Random"}:
            yield f"{module.at(found.line)} imports {found.name}"
    for node in nodes(module.tree):
        if isinstance(node, ast.Attribute) and _is_shared_generator(node):
            yield f"{module.at(node.lineno)} uses {ast.unparse(node)}"


def _is_shared_generator(node: ast.Attribute) -> bool:
    return ast.unparse(node.value) == "random" and node.attr != "Random"


def _nets(module: Module) -> Iterator[str]:
    for found in module.imports():
        if found.top in SOCKETS:
            yield f"{module.at(found.line)} imports {found.name}"
    for call, line in module.calls():
        if call.rpartition(".")[2] in SOCKET_CALLS:
            yield f"{module.at(line)} calls {call}"


def _disk(module: Module) -> Iterator[str]:
    name = module.name.removeprefix("dhtstore.")
    allowed = {top for start, top in DISK_ALLOWED if name.startswith(start)}
    for found in module.imports():
        if found.top in DISK - allowed:
            yield f"{module.at(found.line)} imports {found.name}"
    for call, line in module.calls():
        if call == "open":
            yield f"{module.at(line)} calls open()"
