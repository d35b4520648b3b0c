"""Groups in scenario files: what they inherit, how they add up, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulations.errors import ScenarioError
from simulations.results.run_folder import RunFolder
from simulations.scenario import Scenario, from_tables, load

TABLES: dict[str, Any] = {
    "run": {"capacity_bytes": "2 GiB"},
    "network": {"up_bytes_per_s": "1 MiB/s", "undiallable": "10 %"},
    "churn": {"preset": "kad", "leave": "20 %"},
    "group": [
        {"name": "servers", "count": 3, "preset": "none", "domain": "rack", "domains": 2},
        {"name": "homes", "count": 5, "undiallable": "60 %", "capacity_bytes": "1 MiB"},
    ],
}


def test_what_a_group_does_not_say_it_inherits() -> None:
    servers, homes = from_tables(TABLES).groups
    assert (servers.run.capacity_bytes, homes.run.capacity_bytes) == (2 << 30, 1 << 20)
    assert (servers.network.undiallable, homes.network.undiallable) == (0.1, 0.6)
    assert servers.network.up_bytes_per_s == homes.network.up_bytes_per_s == 1 << 20
    assert (servers.churn.preset, homes.churn.preset) == ("none", "kad")
    assert servers.churn.leave == homes.churn.leave == 0.2


def test_counts_make_up_the_nodes_of_the_run() -> None:
    scenario = from_tables(TABLES)
    assert scenario.run.nodes == 8
    assert [list(one.numbers) for one in scenario.groups] == [[0, 1, 2], [3, 4, 5, 6, 7]]
    assert [scenario.groups[0].domain_of(number) for number in range(3)] == [
        "rack-1",
        "rack-2",
        "rack-1",
    ]


@pytest.mark.parametrize(("nodes", "expected"), [(20, [7, 6, 7]), (100, [33, 33, 34])])
def test_shares_are_of_the_nodes_of_the_run(nodes: int, expected: list[int]) -> None:
    groups = [
        {"name": name, "count": one} for name, one in zip("abc", (0.33, 0.33, 0.34), strict=True)
    ]
    scenario = from_tables({"group": groups}, [f"run.nodes={nodes}"])
    assert [one.count for one in scenario.groups] == expected


def test_without_groups_all_nodes_are_one() -> None:
    scenario = from_tables({"run": {"nodes": 7}})
    (only,) = scenario.groups
    assert (only.name, only.count, only.own.region, only.domain_of(3)) == ("", 7, "", "")
    assert (only.run, only.churn) == (scenario.run, scenario.churn)


def test_a_value_of_a_group_can_be_set_and_is_kept() -> None:
    scenario = from_tables(TABLES, ["group.homes.capacity_bytes=3 MiB", "group.homes.count=9"])
    assert scenario.value("group.homes.capacity_bytes", None) == 3 << 20
    assert scenario.value("group.homes.count", None) == scenario.run.nodes - 3 == 9
    again = from_tables(json.loads(json.dumps(scenario.raw)))
    assert again == scenario
    assert again.sha256() == scenario.sha256() != from_tables(TABLES).sha256()


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("group.hoems.count=3", "unknown group: group.hoems.count .* did you mean homes?"),
        ("group.homes=3", "is not group.NAME.key=value"),
        ("group.homes.capacity=3", "unknown key group.homes.capacity; did you mean capacity_bytes"),
        ("group.homes.loss=3", "unknown key group.homes.loss"),
        ("group.homes.undiallable=3", "group.homes.undiallable: 3 is outside"),
        ("group.homes.preset=trace", r"\[group.homes\]: preset 'trace' needs trace_file"),
        ("group.homes.count=-1", "group.homes.count: -1 must be at least 0"),
        ("group.homes.count=10 %", "group.NAME.count: whole numbers, or shares .* make 100 %"),
        ("group.homes.name=a.b", "name: 'a.b' is not a name of letters"),
        ("group.homes.name=servers", "the name servers is taken"),
        ("group.homes.region=eurpoe", "group.homes.region: unknown .*did you mean europe?"),
        ("group.homes.region_x_ms=3", "region_x_ms and region_y_ms need each other"),
        ("group.homes.domains=3", "domains needs domain"),
        ("run.nodes=9", "run.nodes is 9, but the counts of the groups make 8 .servers 3, homes 5."),
        ("group.homes.count=100000", "100003 nodes in all"),
    ],
)
def test_what_is_refused_of_a_group_names_its_key(override: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        from_tables(TABLES, [override])


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"group": {"name": "a"}}, r"\[group\] is written \[\[group\]\]"),
        ({"group": [{"count": 3}]}, "number 1 has no name"),
        ({"group": [{"name": "a"}]}, "group.a.count is missing"),
        ({"group": [{"name": "a", "count": 0}]}, "0 nodes in all"),
        ({"group": [{"name": "a", "count": 1.0}]}, "shares .* need run.nodes"),
        ({"faults": {"domain_outages_per_h": 1.0}}, "domain_outages_per_h: no .* has a domain"),
        (
            {"network": {"latency": "fixed"}, "group": [
                {"name": "a", "count": 3, "region": "mars", "region_x_ms": 1, "region_y_ms": 1}
            ]},
            "group.a.region_x_ms needs network.latency = 'coordinates'",
        ),
        (
            {"group": [
                {"name": "a", "count": 3, "region": "mars", "region_x_ms": 1, "region_y_ms": 1},
                {"name": "b", "count": 3, "region": "mars", "region_x_ms": 2, "region_y_ms": 1},
            ]},
            "group.b.region: 'mars' lies elsewhere in another group",
        ),
    ],
)  # fmt: skip
def test_groups_that_do_not_fit_are_refused(tables: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        from_tables(tables)


def test_an_override_without_groups_says_so() -> None:
    with pytest.raises(ScenarioError, match=r"has no .*group"):
        from_tables({}, ["group.homes.count=3"])


def test_a_file_that_a_group_names_is_kept_with_the_run_and_found_again(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "seen.txt").write_text("up 3 min\ndown 1 min\n")
    path = tmp_path / "s.toml"
    path.write_text(
        '[[group]]\nname = "homes"\ncount = 3\npreset = "trace"\ntrace_file = "far/seen.txt"\n'
    )
    scenario = load(path)
    assert scenario.files() == {"group.homes.trace_file": "far/seen.txt"}
    with RunFolder(tmp_path / "run", scenario, 1, tmp_path):
        pass
    kept: Scenario = load(tmp_path / "run" / "scenario.json")
    assert kept.groups[0].churn.trace_file == "seen.txt"
    assert (tmp_path / "run" / "seen.txt").read_text().startswith("up 3 min")
