"""``validate``: the laboratory held against theory and live networks."""

from __future__ import annotations

import argparse

from simulations import units
from simulations.commands.common import SCENARIOS, Subparsers, positive, progress_bar, several
from simulations.errors import ScenarioError
from simulations.validation import (
    deaths,
    disjoint_paths,
    findings,
    lookups,
    record_liveness,
    session_lengths,
    session_medians,
    streams,
    table_health,
)


def add(commands: Subparsers) -> None:
    command = commands.add_parser("validate", help="hold a settled network against theory")
    command.add_argument("--nodes", type=several, default=1000)
    command.add_argument("--lookups", type=positive, default=1000)
    command.add_argument("--seed", type=int, default=1)
    which = command.add_mutually_exclusive_group()  # of two, one would be left out silently
    which.add_argument("--live", metavar="DURATION", help="tables after so long under churn")
    which.add_argument("--churn", action="store_true", help="sessions beside their parameters")
    which.add_argument("--streams", action="store_true", help="streams beside their formulas")
    which.add_argument("--records", action="store_true", help="record liveness, beside RFM17")
    which.add_argument(
        "--lives", action="store_true", help="lookups beside median lives, as Rhea et al. 2004"
    )
    which.add_argument(
        "--paths", action="store_true", help="lookups on disjoint paths, as S/Kademlia 2007"
    )
    which.add_argument(
        "--deaths", action="store_true", help="lookups right after many nodes died at once"
    )
    command.add_argument("--seeds", type=positive, default=1, help="of --deaths, from --seed on")
    command.set_defaults(do=_validate)


def _validate(chosen: argparse.Namespace) -> int:
    if chosen.live is not None:
        found = _live(chosen)
    elif chosen.churn:
        found = session_lengths.validate(chosen.nodes, chosen.seed)
        days = session_lengths.WATCHED_S / 86_400
        print(f"{chosen.nodes} nodes for {days:.0f} days, seed {chosen.seed}")
    elif chosen.streams:
        found = streams.validate(chosen.seed)
        print(f"one stream at a time, seed {chosen.seed}")
    elif chosen.records:
        found = _records(chosen)
    elif chosen.paths:
        found = disjoint_paths.validate(chosen.nodes, chosen.lookups, chosen.seed)
        print(f"{chosen.nodes} nodes, {chosen.lookups} lookups each way, seed {chosen.seed}")
    elif chosen.deaths:
        found = _deaths(chosen)
    elif chosen.lives:
        found = _lives(chosen)
    else:
        found = lookups.validate(chosen.nodes, chosen.lookups, chosen.seed)
        print(f"{chosen.nodes} nodes, {chosen.lookups} lookups each way, seed {chosen.seed}")
    print(findings.table_of(found))
    return 0 if all(finding.holds for finding in found) else 1


def _records(chosen: argparse.Namespace) -> list[findings.Finding]:
    path = SCENARIOS / "liveness.toml"
    with progress_bar() as progress:
        summary = record_liveness.run(path, chosen.seed, progress)
    print(f"{summary['nodes']} machines, seed {chosen.seed}")
    return record_liveness.findings(path, summary)


def _lives(chosen: argparse.Namespace) -> list[findings.Finding]:
    points = []
    with progress_bar() as progress:
        for median_min in session_medians.MEDIANS_MIN:
            path = SCENARIOS / "sessions.toml"
            points.append(session_medians.measure(path, median_min, chosen.seed, progress))
    print(session_medians.table_of(points))
    return session_medians.findings(points)


def _deaths(chosen: argparse.Namespace) -> list[findings.Finding]:
    path, measured = SCENARIOS / "deaths.toml", list[deaths.AfterDeaths]()
    for seed in range(chosen.seed, chosen.seed + chosen.seeds):
        for row in deaths.ROWS:
            with progress_bar() as progress:
                measured.append(deaths.measure(path, row, seed, progress, chosen.nodes))
    print(deaths.table_of(measured))
    return deaths.findings(measured)


def _live(chosen: argparse.Namespace) -> list[findings.Finding]:
    try:
        lived_s = units.seconds(chosen.live)
    except ValueError as error:
        raise ScenarioError(f"--live: {error}") from error
    with progress_bar() as progress:
        survey = table_health.live(chosen.nodes, lived_s, chosen.seed, progress)
    print(f"{survey.nodes} nodes up after {chosen.live}, {len(survey.tables)} of them surveyed, ")
    print(f"seed {chosen.seed}; {survey.messages_per_node_s:.3f} datagrams a node and second")
    print(table_health.buckets_of(survey))
    return table_health.findings(survey)
