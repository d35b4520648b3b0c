"""What each command prints with --json, as JSON Schema (draft 2020-12): docs/json/*.schema.json,
and for people: the end of docs/json.md.

``python -m tests.schemas.generate`` writes both from the types of results.  tests/test_json_doc.py
holds the files to these types, tests/integration/test_json.py what commands print to the files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, get_type_hints

import msgspec

from dhtstore.cli.demo.story import Outcome
from dhtstore.cli.results import Got, OwnerKey, OwnerName, Serving, Version
from dhtstore.cli.terminal.as_json import FailureLine
from dhtstore.config import SETTINGS, Settings
from dhtstore.config.rates import RateSchedule
from dhtstore.config.values import AcceptRule
from dhtstore.operations.cars import ExportResult, ImportResult
from dhtstore.operations.content import (
    ContentInfo,
    DirectoryEntry,
    ProviderInfo,
    PutResult,
    ReadResult,
)
from dhtstore.operations.explaining.causes import CAUSES
from dhtstore.operations.keeping import (
    CollectResult,
    PinAdded,
    PinInfo,
    PolicyInfo,
    PutSummary,
    RemovedPut,
    SignedReceipt,
    VerifyResult,
    WhyResult,
)
from dhtstore.operations.nodes import (
    KnownPeer,
    NodeIdentity,
    NodeStatus,
    PingResult,
    RootStatus,
)
from dhtstore.operations.repairing import CopyEvent, LeaveResult, RepairResult

DIRECTORY: Final = Path(__file__).parent.parent.parent / "docs" / "json"
DOCUMENT: Final = DIRECTORY.parent / "json.md"
MARK: Final = "<!-- what follows is written by: python -m tests.schemas.generate -->"
HEADINGS: Final = {"status-cid": "status CID"}
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

# By what the files are called: the words of the command.
RESULTS: Final[dict[str, Any]] = {
    "error": FailureLine,
    "join": Serving,
    "put": PutResult | None,  # null for one of several of which nothing was stored
    "get": Got,
    "cat": ReadResult,
    "ls": list[DirectoryEntry],
    "stat": ContentInfo,
    "export": ExportResult,
    "import": ImportResult,
    "list": list[PutSummary],
    "providers": list[ProviderInfo],
    "receipts": list[SignedReceipt],
    "status": NodeStatus,
    "status-cid": RootStatus,
    "peers": list[KnownPeer],
    "ping": PingResult,
    "id": NodeIdentity,
    "pin-add": PinAdded,
    "pin-rm": PinInfo,
    "pin-ls": list[PinInfo],
    "policy": PolicyInfo,
    "rm": RemovedPut,
    "repair": RepairResult,
    "leave": LeaveResult,
    "events": list[CopyEvent],
    "gc": CollectResult,
    "why": WhyResult,
    "verify": VerifyResult,
    "owner-export": OwnerKey,
    "owner-import": OwnerName,
    "version": Version,
    "demo": Outcome,
}
CONFIG: Final = "config"  # whose names are those of the settings


def texts() -> dict[str, str]:
    """What each file holds, by its name."""
    schemas = {name: _schema(name, kind) for name, kind in RESULTS.items()}
    schemas[CONFIG] = _config()
    return {f"{name}.schema.json": _text(schema) for name, schema in sorted(schemas.items())}


def _schema(name: str, kind: Any) -> dict[str, Any]:
    schema = msgspec.json.schema(kind)
    for each in schema["$defs"].values():
        if "properties" in each:
            _all_required(each)
    titled = {"$schema": DIALECT, "title": f"dhtstore {name.replace('-', ' ')} --json"}
    return {**titled, **schema}


def _all_required(schema: dict[str, Any]) -> None:
    """A result has every field, whatever its constructor takes for granted; without a default are
    only those that may be left out."""
    words = " ".join(schema.get("description", "").split())
    schema["description"] = words.replace("``", "`").replace("None", "null")
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    schema["required"] = [
        field for field, told in properties.items() if field in required or "default" in told
    ]
    for told in properties.values():
        told.pop("default", None)


def _config() -> dict[str, Any]:
    """One setting or all of them; what is not decided is null."""
    hints = get_type_hints(Settings)
    kinds = {AcceptRule: str, RateSchedule: str, tuple[str, ...]: list[str]}
    fields = {each.key: kinds.get(hints[each.field], hints[each.field]) for each in SETTINGS}
    fields |= {each.key: str for each in SETTINGS if isinstance(each.write(each.default), str)}
    properties = {}
    for each in SETTINGS:
        told = msgspec.json.schema(fields[each.key])
        properties[each.key] = {"description": each.help, **told}
    return {
        "$schema": DIALECT,
        "title": "dhtstore config --json",
        "description": "All settings, or the one that was asked for or written.",
        "type": "object",
        "properties": properties,
    }


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


# --- for people -----------------------------------------------------------------------------


def document(text: str) -> str:
    """docs/json.md with its generated end made anew."""
    return text.partition(MARK)[0] + MARK + "\n\n" + "\n".join(_chapters())


def _chapters() -> list[str]:
    types: dict[str, Any] = {}
    lines = ["## Commands", ""]
    for name, text in texts().items():
        file, schema = f"json/{name}", json.loads(text)
        command = name.removesuffix(".schema.json")
        lines += [f"### {HEADINGS.get(command, command.replace('-', ' '))}", ""]
        top = _top(schema)
        many = "an array, each row: " if schema.get("type") == "array" else ""
        told = schema["$defs"][top] if top else schema
        lines += [f"[{name}]({file}): {many}{told['description']}", "", *_table(told)]
        types |= {key: each for key, each in schema.get("$defs", {}).items() if key != top}
    lines += ["## Types", ""]
    for key in sorted(types):
        lines += [f"### {key}", "", types[key]["description"], "", *_table(types[key])]
    return lines


def _top(schema: dict[str, Any]) -> str:
    """The type that a result, each row of a list, or what is not null is of; "" without one."""
    either = [each for each in schema.get("anyOf", ()) if "$ref" in each]
    told = schema.get("items", either[0] if either else schema)
    return str(told.get("$ref", "")).rpartition("/")[2]


def _table(told: dict[str, Any]) -> list[str]:
    if "enum" in told:  # the one closed list there is
        return _causes()
    rows = [f"| `{name}` | {_kind(each)} |" for name, each in told["properties"].items()]
    return ["| field | is |", "|---|---|", *rows, ""]


def _causes() -> list[str]:
    rows = [
        f"| `{kind}` | {a.meaning} | {a.fault} | {a.advice} | {a.exit_code} |"
        for kind, a in CAUSES.items()
    ]
    return [
        "| kind | means | who can mend it | what to do | exit code |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def _kind(told: dict[str, Any]) -> str:
    if "$ref" in told:
        name = told["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in told:
        return " or ".join(_kind(each) for each in told["anyOf"])
    if "enum" in told:
        return ", ".join(f'"{each}"' for each in told["enum"])
    if told["type"] == "array":
        return f"array of {_kind(told['items'])}"
    if told["type"] == "object":
        return f"object of {_kind(told['additionalProperties'])}"
    return str(told["type"])


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for file_name, text in texts().items():
        (DIRECTORY / file_name).write_text(text, encoding="utf-8")
    DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
