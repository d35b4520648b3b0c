"""The options of `put`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dhtstore.params import DEFAULT_REPLICAS, REPLICAS_MAX


class Chunker(StrEnum):
    """As ``operations.content.Chunker``."""

    FIXED = "fixed"
    BUZHASH = "buzhash"


Paths = Annotated[
    list[str],
    typer.Argument(metavar="PATH...|-", help="Files and directories, or - for standard input."),
]
Ttl = Annotated[
    str | None,
    typer.Option(
        "--ttl",
        metavar="T",
        help="How long holders keep it, as 30d or 12h.",
        show_default="until it is removed",
    ),
]
Replicas = Annotated[
    int | None,
    typer.Option(
        "--replicas",
        metavar="N",
        min=1,
        max=REPLICAS_MAX,
        help=f"Copies wanted, 1 to {REPLICAS_MAX}.",
        show_default=f"as before, or the node's setting, {DEFAULT_REPLICAS} unless changed",
    ),
]
MinAcks = Annotated[
    int | None,
    typer.Option(
        "--min-acks",
        metavar="M",
        min=0,
        max=REPLICAS_MAX,
        help="Copies that must be reached, 0 to N.",
        show_default="the node's setting, 2 unless changed, or N if less",
    ),
]
Name = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="NAME",
        help="What `dhtstore list` calls it.",
        show_default="as before, or that of the file",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Store nothing of a directory in which something cannot be stored."
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        help="Leave out what fits, as a line of .gitignore; may be given again.",
    ),
]
ExcludeFrom = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude-from",
        metavar="FILE",
        help="Leave out what fits a pattern in FILE, one a line; may be given again.",
    ),
]
Preserve = Annotated[
    bool,
    typer.Option(
        "--preserve", help="Keep modes and times of modification; the CID depends on them then."
    ),
]
Wrap = Annotated[
    bool,
    typer.Option("--wrap", help="Put all PATHs into one directory, so that each keeps its name."),
]
Tar = Annotated[
    bool,
    typer.Option(
        "--tar",
        help="Each PATH is an archive (tar, also .gz, .bz2, .xz): put the directory that it holds.",
    ),
]
Direct = Annotated[
    bool,
    typer.Option(
        "--no-pipeline",
        help="Send it to each node; else they give it to each other while they receive it.",
    ),
]
ChunkerName = Annotated[
    Chunker,
    typer.Option(
        "--chunker",
        metavar="HOW",
        help="fixed (cut files every MiB) or buzhash (by content): other CIDs, and what versions of"
        " a file have in common is stored and sent once.",
        show_default="fixed",
    ),
]
