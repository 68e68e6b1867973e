"""The learning curves of cells, and of imported logs."""

from pathlib import Path

import pandas as pd

from counterpoint.cli.main import main
from counterpoint.reporting.curves import curves, ended, epoch_table
from counterpoint.reporting.scores import write_scores
from counterpoint.reporting.tables import write_comparisons
from counterpoint.results.epoch_log import EpochScores
from counterpoint.runs.folder import read_run
from tests.support.old_logs import THREE, lines_of, text_of
from tests.support.runs import epoch_record, write_epochs


def test_curves_have_a_point_for_each_epoch_and_split(run: Path) -> None:
    by_epoch = curves(read_run(run))
    assert len(by_epoch) == 3 * 3 * 2  # cells, epochs, splits in the log
    assert set(by_epoch.split) == {"train", "dev"}
    assert set(by_epoch.value) == {0.25}


def test_imported_logs_have_curves_under_the_protocol_that_leaks(run: Path, imported: Path) -> None:
    by_epoch = curves(read_run(imported))
    assert set(by_epoch[["split", "protocol"]].itertuples(index=False, name=None)) == {
        ("train", "official"), ("dev", "clean"),
        ("train", "legacy-subset"), ("dev", "legacy-subset"), ("test", "legacy-subset"),
    }  # fmt: skip
    old = by_epoch[by_epoch.kind == "imported"]
    assert old[old.split == "dev"][["cell", "epoch", "value"]].to_numpy().tolist() == [
        ["imported/a", 0, 0.5],
        ["imported/a", 1, 0.25],
        ["imported/b", 0, 0.5],
        ["imported/b", 1, 0.25],
    ]
    assert old[["fusion", "head", "decrease_rate", "seed"]].isna().all(axis=None)
    cells = by_epoch[by_epoch.kind == "cell"]
    assert cells["seed"].tolist() == [1] * len(cells)
    assert str(cells["seed"].iloc[0]) == "1"


def test_curves_that_lack_a_seed_leave_a_figure_as_it_is(run: Path) -> None:
    """Of cls and concat a cell each is still to come."""
    assert ended(read_run(run)) == set()


def test_the_table_of_epochs_has_every_number_of_every_epoch(run: Path, imported: Path) -> None:
    read = read_run(imported)
    write_comparisons(read, write_scores(read), 1, intervals=False)
    table = pd.read_csv(run / "tables" / "curves.csv", dtype={"seed": "Int64"})
    assert list(table.columns) == [
        "kind", "cell", "fusion", "head", "decrease_rate", "initial_random_rate", "seed",
        "retrieval_loss.margin", "epoch", "split", "protocol", "task", "stage", "measure",
        "value",
    ]  # fmt: skip
    keys = ["cell", "epoch", "split", "protocol", "task", "stage", "measure"]
    assert not table.duplicated(keys).any()
    cells = table[table.kind == "cell"]
    # Three cells of three epochs: train and dev have three scores each, three splits four losses.
    assert len(cells) == 3 * 3 * (2 * 3 + 3 * 4)
    first = cells[(cells.cell == cells.cell.iloc[0]) & (cells.epoch == 2)]
    found = first.set_index(["split", "stage", "measure"])["value"]
    assert found["dev", "retrieval", "accuracy@1"] == 0.5
    assert found["dev", "reranked", "accuracy@1"] == 0.25
    assert found["dev", "retrieval", "recall@10"] == 1
    losses = first[first.protocol.isna() & (first.split == "test")]
    assert dict(zip(losses.measure, losses.value, strict=True)) == {
        "loss": 1.0, "retrieval loss": 0.5, "counter loss": 0.6, "negative loss": 0.1,
    }  # fmt: skip
    assert first["seed"].tolist() == [1] * len(first)
    old = table[table.kind == "imported"]
    assert len(old) == 2 * 3 + 2 * 2
    assert old["fusion"].isna().all()


def test_an_imported_logs_axes_and_losses_stand_in_the_table_of_epochs(
    run: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.log").write_text(text_of(lines_of(THREE)))
    command = ["import-log", str(tmp_path / "c.log"), "--out", str(run.parent / "imported")]
    axes = ["--axis", "fusion=concat", "--axis", "decrease_rate=0.01"]
    # The rates that the matrix has are whole numbers, 0 and 1.
    axes += ["--axis", "initial_random_rate=0.5"]
    assert main([*command, *axes]) == 0
    table = epoch_table(read_run(run))
    old = table[table.kind == "imported"]
    assert set(old["initial_random_rate"]) == {0.5}
    assert set(old["fusion"]) == {"concat"}
    assert set(old["decrease_rate"]) == {0.01}
    assert old["seed"].isna().all()
    assert old[old.measure == "loss"][["epoch", "split", "value"]].to_numpy().tolist() == [
        [epoch, "train", 2.0] for epoch in range(3)
    ]


def test_other_k_and_tasks_of_an_epoch_stand_in_the_table_and_in_no_curve(run: Path) -> None:
    cell = read_run(run).trained[0]
    scores = EpochScores(0.5, 0.25, 1.0, {"retrieval@3": 0.75, "reranked@3": 0.625})
    accuracy = {"dev": {"clean": scores}}
    record = epoch_record(0, accuracy=accuracy, tasks={"sdoc": accuracy})
    write_epochs(cell.folder, [record])
    table = epoch_table(read_run(run))
    own = table[(table.cell == cell.name) & table.task.notna()]
    assert own[["task", "stage", "measure", "value"]].to_numpy().tolist() == [
        [task, *row]
        for task in ("epa", "sdoc")
        for row in (
            ("retrieval", "accuracy@1", 0.5),
            ("reranked", "accuracy@1", 0.25),
            ("retrieval", "recall@10", 1.0),
            ("retrieval", "accuracy@3", 0.75),
            ("reranked", "accuracy@3", 0.625),
        )
    ]
    drawn = curves(read_run(run))
    assert drawn[drawn.cell == cell.name]["value"].tolist() == [0.25]
