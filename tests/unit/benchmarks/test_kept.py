"""Rows survive their file, the README's table is replaced, and the chart is drawn."""

from pathlib import Path

import pytest

from benchmarks import kept
from benchmarks.report import at_least, at_most, busy, plain

ROWS = [at_least("a", 3, 2, "x"), at_most("b", 4, 2, "MB"), plain("c", 1, "s")]


def test_a_score_is_a_multiple_of_the_target_and_more_is_better() -> None:
    assert [row.score for row in ROWS] == [1.5, 0.5, None]


def test_rows_survive_their_file(tmp_path: Path) -> None:
    kept.save(tmp_path / "rows", ROWS)
    assert kept.load(tmp_path / "rows") == ROWS


def test_the_table_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{kept.BEGIN}\nold\n{kept.END}\nafter\n")
    kept.write_readme(readme, ROWS)
    assert readme.read_text() == (
        f"before\n{kept.BEGIN}\n{kept.markdown(ROWS)}\n{kept.END}\nafter\n"
    )


def test_a_readme_without_markers_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ValueError, match="benchmarks: begin"):
        kept.write_readme(tmp_path / "README.md", ROWS)


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    kept.draw(tmp_path, ROWS)
    assert (tmp_path / "benchmarks.png").stat().st_size
    assert (tmp_path / "benchmarks.svg").exists()


def test_a_load_above_the_cores_is_noted() -> None:
    assert (busy(2.0, 2), busy(2.5, 2)) == ("", "busy: load 2.5 on 2 cores")
