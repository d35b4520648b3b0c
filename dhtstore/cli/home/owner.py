"""owner: the key that puts are made with; it may live on several machines."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import HOME, JSON, QUIET
from dhtstore.cli.terminal.parser import CommandGroup, register

app: Final = typer.Typer(
    cls=CommandGroup,
    help="Carry the key that puts are made with to other machines.",
    no_args_is_help=True,
)


@command(
    (HOME, JSON, QUIET),
    examples=("umask 077 && dhtstore owner export -q > owner.txt",),
)
def export(common: Common) -> None:
    """Print the owner's private key on one line.

    Whoever has it can put as you: keep it where nobody else can read it.
    """
    from dhtstore.api.homes import home_path
    from dhtstore.cli.results import OwnerKey
    from dhtstore.cli.terminal.show import emit, print_json, say
    from dhtstore.errors import UsageError
    from dhtstore.net.crypto import Ed25519Signer
    from dhtstore.store.home.home import Home
    from dhtstore.store.home.owner_key import export_key, has_owner_key

    path = home_path(common.home)
    home = Home(path) if path.is_dir() else None  # which would make it
    if home is None or not has_owner_key(home):
        raise UsageError(f"there is no owner key in {path}").hinted(
            "`dhtstore join` makes one, `dhtstore owner import` takes another machine's"
        )
    if not common.json:
        _warn_of_readers(common)
    seed = home.key_seed("owner", b"")
    public_key = Ed25519Signer(seed).public_key.hex()
    if common.json:
        print_json(OwnerKey(public_key, export_key(seed)))
        return
    say(common, f"owner {public_key}; keep the next line secret")
    emit(export_key(seed))


def _warn_of_readers(common: Common) -> None:
    """Where the key goes to a file that is not for its owner alone, also if they want it quiet."""
    from dhtstore.cli.terminal.show import remark

    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError):
        return
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        remark(
            common,
            "warning: others may read the file that this goes to: chmod 600 it, and write the next"
            " behind `umask 077`",
            warning=True,
        )


@command(
    (HOME, JSON),
    examples=(
        "dhtstore owner import owner.txt",
        "ssh other dhtstore owner export | dhtstore owner import -",
    ),
)
def import_(
    common: Common,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="What export printed.")],
    force: Annotated[bool, typer.Option("--force", help="Replace another owner's key.")] = False,
) -> None:
    """Make the owner whose key is in a file that of this directory.

    No node may be running on it.
    """
    from dhtstore.api.homes import home_path
    from dhtstore.cli.results import OwnerName
    from dhtstore.cli.terminal.show import emit, print_json
    from dhtstore.errors import UsageError
    from dhtstore.net.crypto import Ed25519Signer
    from dhtstore.store.home.home import Home
    from dhtstore.store.home.owner_key import has_owner_key, import_key, save_owner_key

    seed = import_key(_text(file))
    home = Home(home_path(common.home))
    with closing(home.lock()):
        other = has_owner_key(home) and home.key_seed("owner", b"") != seed
        if other and not force:
            raise UsageError(f"{home.path} has another owner's key").hinted(
                "--force replaces it; keep a copy before: `dhtstore owner export`"
            )
        save_owner_key(home, seed)
    owner = Ed25519Signer(seed).public_key.hex()
    if common.json:
        print_json(OwnerName(owner))
        return
    emit(owner)


def _text(file: str) -> str:
    from dhtstore.errors import UnreadableSource

    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UnreadableSource(f"cannot read {file}: {why}") from error


register(app, {"export": export, "import": import_})
