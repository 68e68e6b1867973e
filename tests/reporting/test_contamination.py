"""What the leak was worth: two runs with planted ranks, whose table is worked by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterpoint.cli.main import main
from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.evaluation.records import QueryResults, write_records
from counterpoint.io import atomic
from counterpoint.reporting.contamination import leak, readable
from counterpoint.reporting.scores import best_of_run
from counterpoint.runs.folder import Run, RunFolder, read_run
from counterpoint.tasks.candidates import CandidateSets, candidate_sets
from tests.support.runs import plan, write_files

Captured = pytest.CaptureFixture[str]
Ranks = Mapping[tuple[str, str], list[int]]

# The re-ranked ranks of eight queries, four in each of two debates; `clean` asks the first two of
# each. Of the dev split, the two runs and their accuracy@1:
ALL_PAIRS: Ranks = {
    ("dev", "official"): [1, 1, 1, 2, 1, 1, 2, 2],  # 5/8
    ("dev", "clean"): [1, 2, 2, 1],  # 1/2
    ("dev", "legacy"): [1, 1, 1, 1, 1, 1, 1, 1],  # 1
    ("test", "official"): [2, 3, 4, 5, 6, 7, 8, 9],  # 0
    ("test", "clean"): [1, 1, 1, 1],  # 1
    ("test", "legacy"): [1, 1, 1, 1, 2, 2, 2, 2],  # 1/2
}
WITHOUT: Ranks = {
    ("dev", "official"): [1, 2, 2, 2, 1, 1, 3, 3],  # 3/8
    ("dev", "clean"): [1, 2, 3, 1],  # 1/2
    ("dev", "legacy"): [1, 1, 1, 1, 2, 2, 2, 2],  # 1/2
    ("test", "official"): [1, 1, 1, 1, 1, 1, 1, 1],  # 1
    ("test", "clean"): [2, 1, 1, 1],  # 3/4
    ("test", "legacy"): [1, 1, 1, 1, 2, 2, 2, 2],  # 1/2
}
QUERIES = {"official": list(range(8)), "legacy": list(range(8)), "clean": [0, 1, 4, 5]}


def planted(sets: CandidateSets, protocol: str, ranks: list[int]) -> QueryResults:
    queries = np.array(QUERIES[protocol])
    own = np.repeat(queries[:, None], 2, axis=1)
    return QueryResults(
        task="epa",
        protocol=protocol,
        queries=queries,
        golds=queries[:, None],
        candidates=np.full(len(queries), 15),
        ranks=np.full((len(queries), 1), 7),  # the first stage counts for nothing
        nearest=own,
        reranked_ranks=np.array(ranks)[:, None],
        reordered=own,
    )


def make_run(folder: Path, decontaminate: str, sets: CandidateSets, cells: list[Ranks]) -> Run:
    """A run of two planned cells, of which the first so many have been trained."""
    values: dict[str, Any] = {"run": folder.name, "corpus": {"decontaminate": decontaminate}}
    values["matrix"] = {"axes": {"fusion": ["cls", "concat"], "head": ["relu"]}}
    values["matrix"]["axes"]["decrease_rate"] = [0]
    run = RunFolder(folder)
    for cell, ranks in zip(plan(folder, values, sets.ids), cells, strict=False):
        by_split = {
            split: (sets, [planted(sets, protocol, ranks[split, protocol]) for protocol in QUERIES])
            for split in ("dev", "test")
        }
        write_records(by_split, run.cell(cell.name).records)
        write_files(run.cell(cell.name))
    return read_run(folder)


@pytest.fixture
def runs(tmp_path: Path, small: Corpus) -> tuple[Run, Run]:
    sets = candidate_sets(small, "validation")
    assert sets.debate[:8].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    return (
        make_run(tmp_path / "all", "none", sets, [ALL_PAIRS, ALL_PAIRS]),
        make_run(tmp_path / "without", "train", sets, [WITHOUT]),
    )


def name_of(run: Run, number: int = 0) -> str:
    return run.cells[number].name


# A resample of two debates has the first twice, both, or the second twice, with 1/4, 1/2 and 1/4:
# the interval of a difference goes from one debate's to the other's.
EXPECTED = [
    # split, protocol, n, a, b, low, high
    ("dev", "legacy", 8, 1, 1 / 2, 0, 1),
    ("dev", "official", 8, 5 / 8, 3 / 8, 0, 1 / 2),
    ("dev", "clean", 4, 1 / 2, 1 / 2, 0, 0),
    ("test", "legacy", 8, 1 / 2, 1 / 2, 0, 0),
    ("test", "official", 8, 0, 1, -1, -1),
    ("test", "clean", 4, 1, 3 / 4, 0, 1 / 2),
]


def test_the_rows_of_two_planted_runs_by_hand(runs: tuple[Run, Run]) -> None:
    rows = leak(*runs, name_of(runs[0]))
    columns = ("split", "protocol", "n", "a", "b", "low", "high")
    assert [tuple(getattr(row, column) for column in columns) for row in rows] == EXPECTED
    assert {row.task for row in rows} == {"epa"}
    for row in rows:
        assert row.difference == row.a - row.b
    p = [row.p for row in rows]
    # No resample of 10,000 is at or above zero where all differences are −1.
    assert p[4] == 2 / 10_001
    assert p[2] == p[3] == 1
    assert [p[0], p[1], p[5]] == pytest.approx([0.5] * 3, abs=0.05)
    # Holm over the six rows.
    assert rows[4].p_holm == 6 * p[4]
    assert rows[0].p_holm == rows[2].p_holm == 1


def test_best_is_the_first_runs(runs: tuple[Run, Run]) -> None:
    best = best_of_run(runs[0])
    assert best == name_of(runs[0])
    assert leak(*runs, "best") == leak(*runs, best)


def test_a_person_reads_per_cent_and_points(runs: tuple[Run, Run]) -> None:
    shown = readable(leak(*runs, "best"))
    assert [row["queries"] for row in shown] == 2 * ["all, answer shown (leaks)", "all", "unseen"]
    first = shown[1]
    del first["p (Holm)"]
    assert first == {
        "split": "dev",
        "queries": "all",
        "protocol": "official",
        "n": 8,
        "trained on all pairs": "62.5",
        "without shared texts": "37.5",
        "difference": "+25.0",
        "95 %": "+0.0 to +50.0",
    }
    assert shown[4]["difference"] == "-100.0"
    assert shown[4]["p (Holm)"] == "0.0012"


def test_runs_in_the_wrong_order_are_refused(runs: tuple[Run, Run]) -> None:
    run, without = runs
    with pytest.raises(InputError, match=r"without/config\.json: corpus\.decontaminate is 'train'"):
        leak(without, run, "best")
    with pytest.raises(InputError, match=r"all/config\.json: .* is 'none', expected 'train'; name"):
        leak(run, run, "best")


def test_a_run_from_before_the_option_has_all_pairs(runs: tuple[Run, Run]) -> None:
    path = runs[0].folder.config
    options = json.loads(path.read_text())
    before = leak(*runs, "best")
    del options["corpus"]["decontaminate"]
    atomic.write_json(path, options)
    assert leak(read_run(runs[0].folder.path), runs[1], "best") == before


def test_a_cell_that_the_second_run_lacks_is_refused(runs: tuple[Run, Run]) -> None:
    missing = name_of(runs[0], 1)
    with pytest.raises(InputError, match=rf"without: '{missing}' is no trained cell"):
        leak(*runs, missing)
    with pytest.raises(InputError, match=r"all: 'no-such-cell' is no trained cell"):
        leak(*runs, "no-such-cell")


def test_other_queries_in_the_second_run_are_refused(runs: tuple[Run, Run], small: Corpus) -> None:
    sets = candidate_sets(small, "test")
    path = runs[1].folder.cell(name_of(runs[0])).records
    found = [planted(sets, protocol, WITHOUT["dev", protocol]) for protocol in QUERIES]
    write_records({"dev": (sets, found), "test": (sets, found)}, path)
    with pytest.raises(InputError, match="misses 8 of the 8 queries"):
        leak(*runs, "best")


def test_the_command_prints_and_writes_the_table(
    runs: tuple[Run, Run], tmp_path: Path, capsys: Captured
) -> None:
    given = [
        "--run",
        runs[0].folder.path,
        "--without",
        runs[1].folder.path,
        "--csv",
        tmp_path / "x.csv",
    ]
    assert main(["leak", "best", *map(str, given)]) == 0
    printed = capsys.readouterr().out
    assert "| dev | all | official | 8 | 62.5 | 37.5 | +25.0 | +0.0 to +50.0 |" in printed
    table = pd.read_csv(tmp_path / "x.csv")
    columns = ["split", "protocol", "n", "a", "b", "low", "high"]
    assert [tuple(row) for row in table[columns].itertuples(index=False)] == EXPECTED


def test_the_command_refuses_and_writes_nothing(
    runs: tuple[Run, Run], tmp_path: Path, capsys: Captured
) -> None:
    given = [
        "--run",
        runs[1].folder.path,
        "--without",
        runs[0].folder.path,
        "--csv",
        tmp_path / "x.csv",
    ]
    assert main(["leak", "best", *map(str, given)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("counterpoint: ")
    assert "name the run on all pairs by --run" in printed.err
    assert printed.out == ""
    assert not (tmp_path / "x.csv").exists()
