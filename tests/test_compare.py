"""Two systems side by side."""

from pathlib import Path

import pandas as pd
import pytest

from counterpoint import compare, evaluation, tables
from counterpoint.errors import InputError
from counterpoint.tasks import Pool
from tests.test_tables import pool, records, run

__all__ = ["pool", "run"]


def test_the_best_cell_against_a_baseline(run: Path) -> None:
    rows = compare.compare(tables.read_run(run), "best", "baseline/tfidf")
    assert [(row["split"], row["protocol"], row["task"]) for row in rows] == [
        (split, protocol, "epa") for split in ("dev", "test") for protocol in ("official", "clean")
    ]
    for row in rows:
        # Re-ranked 1, 1, 2, 2 against the baseline's 1, 1, 1, 2, over eight queries.
        assert (row["a"], row["b"], row["difference"], row["n"]) == (0.5, 0.75, -0.25, 8)
        assert row["low"] <= -0.25 <= row["high"]
        assert row["p_holm"] == min(1.0, 4 * row["p"])


def test_a_cell_by_its_name_against_itself(run: Path) -> None:
    name = pd.read_csv(run / "matrix.csv").cell[0]
    rows = compare.compare(tables.read_run(run), name, name)
    assert all(row["difference"] == row["low"] == row["high"] == 0 for row in rows)
    assert all(row["p"] == 1 for row in rows)
    assert compare.readable(rows)[0]["A − B"] == "+0.0"


@pytest.mark.parametrize("name", ["no-such-cell", "baseline/none", "tfidf"])
def test_a_system_that_is_not_there_is_named(run: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' is no trained cell.*baseline/tfidf"):
        compare.compare(tables.read_run(run), name, "best")


def test_records_that_miss_a_query_are_refused(run: Path, pool: Pool) -> None:
    short = records(pool, [1], None)
    for part in short:
        for field in ("queries", "candidates", "rank", "nearest"):
            object.__setattr__(part, field, getattr(part, field)[1:])
    path = run / "baselines" / "random" / "records.parquet"
    evaluation.write_records({"dev": (pool, short), "test": (pool, short)}, path)
    with pytest.raises(InputError, match=r"do not answer the same queries \(dev, official, epa: 8"):
        compare.compare(tables.read_run(run), "best", "baseline/random")


def test_without_a_trained_cell_there_is_no_best(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("matrix.csv", "config.json"):
        (tmp_path / "empty" / name).write_text((run / name).read_text())
    with pytest.raises(InputError, match="best: no cell has been trained yet"):
        compare.compare(tables.read_run(tmp_path / "empty"), "best", "best")
