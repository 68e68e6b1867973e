"""The learning curves of cells, and of imported logs."""

from pathlib import Path

from counterpoint.reporting.curves import curves, ended
from counterpoint.runs.folder import read_run


def test_curves_have_a_point_for_each_epoch_and_split(run: Path) -> None:
    by_epoch = curves(read_run(run))
    assert len(by_epoch) == 3 * 3 * 2  # cells, epochs, splits in the log
    assert set(by_epoch.split) == {"train", "dev"}
    assert set(by_epoch.value) == {0.25}


def test_imported_logs_have_curves_under_the_protocol_that_leaks(run: Path, imported: Path) -> None:
    by_epoch = curves(read_run(imported))
    assert set(by_epoch[["split", "protocol"]].itertuples(index=False, name=None)) == {
        ("train", "official"), ("dev", "clean"),
        ("train", "legacy"), ("dev", "legacy"), ("test", "legacy"),
    }  # fmt: skip
    old = by_epoch[by_epoch.protocol == "legacy"]
    assert old[old.split == "dev"][["cell", "epoch", "value"]].to_numpy().tolist() == [
        ["imported/a", 0, 0.5],
        ["imported/a", 1, 0.25],
        ["imported/b", 0, 0.5],
        ["imported/b", 1, 0.25],
    ]
    assert old[["fusion", "head", "decrease_rate", "seed"]].isna().all(axis=None)
    cells = by_epoch[by_epoch.protocol != "legacy"]
    assert cells["seed"].tolist() == [1] * len(cells)
    assert str(cells["seed"].iloc[0]) == "1"


def test_curves_that_lack_a_seed_leave_a_figure_as_it_is(run: Path) -> None:
    """Of cls and concat a cell each is still to come."""
    assert ended(read_run(run)) == set()
