"""join: run the node in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from dhtstore.cli.terminal.common import Common, command


@command
def join(
    common: Common,
    seed: Annotated[
        list[str] | None, typer.Argument(metavar="[SEED]...", help="A ticket or HOST:PORT.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="UDP and TCP; port 0 picks one."),
    ] = None,
    advertise: Annotated[
        list[str] | None,
        typer.Option("--advertise", metavar="HOST:PORT", help="Addresses to tell others, up to 4."),
    ] = None,
    capacity: Annotated[
        str | None,
        typer.Option("--capacity", metavar="SIZE", help="Disk to give, e.g. 200GB; 0: none."),
    ] = None,
    replicas: Annotated[
        str | None, typer.Option("--replicas", metavar="N", help="Copies of what is put here.")
    ] = None,
    min_acks: Annotated[
        str | None, typer.Option("--min-acks", metavar="N", help="Copies a put must reach.")
    ] = None,
    accept: Annotated[
        str | None,
        typer.Option("--accept", metavar="WHOM", help="mine, 'owners FILE', network or anyone."),
    ] = None,
    owner_quota: Annotated[
        str | None,
        typer.Option(
            "--owner-quota", metavar="SIZE", help="For each foreign owner; default: 9/10."
        ),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option("--domain", metavar="LABEL", help="Failure domain; copies avoid sharing one."),
    ] = None,
) -> None:
    """Run a node here until Ctrl-C: start a network, or join one through SEED.

    Prints one line on stdout once it serves: its ticket, for others to join through.  The flags
    of the first start are kept in config.toml of the data directory.
    """
    from dhtstore.cli.running.serve import serve

    flags = {
        "listen": listen,
        "advertise": advertise,
        "capacity": capacity,
        "replicas": replicas,
        "min_acks": min_acks,
        "accept": accept,
        "owner_quota": owner_quota,
        "domain": domain,
        "network": common.network,
    }
    serve(common, seed or (), flags)
