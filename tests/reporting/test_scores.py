"""Records and logs to tables: what is there is counted, what is missing is named."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterpoint.cli.main import main
from counterpoint.config import loading, matrix
from counterpoint.config.options import RunConfig
from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.evaluation import metrics, statistics
from counterpoint.evaluation import records as records_module
from counterpoint.evaluation.records import QueryResults, write_records
from counterpoint.io import atomic
from counterpoint.io import text as text_module
from counterpoint.reporting import markdown, plots, scores
from counterpoint.runs import folder as folder_module
from counterpoint.runs.epoch_log import append
from counterpoint.study.old_logs import import_logs
from counterpoint.tasks.candidates import CandidateSets, candidate_sets

CONFIG: dict[str, Any] = {
    "run": "mini",
    "matrix": {
        "axes": {"fusion": ["cls", "concat"], "head": ["relu"], "decrease_rate": [0, 0.01]},
        "include": [{"fusion": "cls", "head": "relu", "initial_random_rate": 0, "margin": 0.8}],
    },
}


CORPUS = {"splits": {"train": "training", "dev": "validation", "test": "test"}}


def records(
    sets: CandidateSets,
    rank: list[int],
    reranked: list[int] | None,
    protocols: Sequence[str] = ("official", "clean"),
) -> list[QueryResults]:
    n = sets.pairs
    own = np.repeat(np.arange(n)[:, None], 2, axis=1)
    return [
        QueryResults(
            task="epa",
            protocol=protocol,
            queries=np.arange(n),
            candidates=np.full(n, 9),
            rank=np.resize(rank, n),
            nearest=own,
            reranked=None if reranked is None else np.resize(reranked, n),
            reordered=None if reranked is None else own,
        )
        for protocol in protocols
    ]


def finish(
    folder: Path,
    sets: CandidateSets,
    ranks: list[int],
    *,
    status: str = "finished",
    code: str = "a",
) -> None:
    """Leave what a finished cell leaves: half of the golds first before re-ranking."""
    folder.mkdir(parents=True)
    both = records(sets, [1, 2], ranks)
    write_records({"dev": (sets, both), "test": (sets, both)}, folder / "records.parquet")
    atomic.write_json(folder / "outcome.json", {"status": status, "reason": "because"})
    atomic.write_json(folder / "provenance.json", {"code": code})
    atomic.write_json(
        folder / "seconds.json",
        {
            "started": "2026-11-23T10:00:00+00:00",
            "ended": "2026-11-23T10:01:40+00:00",
            "total": 100.0,
        },
    )
    figure = {"retrieval": 0.5, "reranked": 0.25, "recall@10": 1.0}
    for epoch in range(3):
        accuracy = {"train": {"official": figure}, "dev": {"clean": figure}}
        append(folder / "epochs.jsonl", {"epoch": epoch, "accuracy": accuracy})


@pytest.fixture
def sets(small: Corpus) -> CandidateSets:
    return candidate_sets(small, "validation")


@pytest.fixture
def run(tmp_path: Path, sets: CandidateSets) -> Path:
    """Five planned cells: three done (one of them best), one failed, one missing; a baseline."""
    folder = tmp_path / "results" / "mini"
    cells = matrix.expand(loading.load(CONFIG, "test"), "test")
    rows = matrix.rows(cells)
    atomic.write_text(folder / "matrix.csv", text_module.csv_text(rows))
    atomic.write_json(folder / "config.json", {"baselines": ["random", "tfidf"], "corpus": CORPUS})
    names = [cell.name for cell in cells]
    for name, ranks in zip(names, ([1, 2, 3, 4], [1, 1, 2, 2], [3], []), strict=False):
        if ranks:
            finish(folder / "cells" / name, sets, ranks)
    (folder / "state" / names[3]).mkdir(parents=True)
    atomic.write_json(folder / "state" / names[3] / "failure.json", {"reason": "InputError: no"})
    own = {"dev": (sets, records(sets, [1, 1, 1, 2], None))}
    own["test"] = own["dev"]
    write_records(own, folder / "baselines" / "tfidf" / "records.parquet")
    return folder


def test_cells_csv_has_its_columns_and_the_figures_of_the_records(run: Path) -> None:
    markdown.write_tables(scores.overview(folder_module.read_run(run)), run / "tables", 1)
    table = pd.read_csv(run / "tables" / "cells.csv")
    assert list(table.columns) == [
        "kind", "cell", "fusion", "head", "decrease_rate", "initial_random_rate", "seed",
        "retrieval_loss.margin", "split", "protocol", "task", "stage", "metric", "value", "low",
        "high", "n",
    ]  # fmt: skip
    chosen = table[(table.metric == "accuracy@1") & (table.split == "dev")]
    chosen = chosen[chosen.protocol == "clean"]
    second = chosen[(chosen.fusion == "cls") & (chosen.decrease_rate == 0.01)]
    second = second[second.initial_random_rate == 1]
    assert dict(zip(second.stage, second.value, strict=True)) == {
        "retrieval": 0.5,
        "reranked": 0.5,
    }
    assert set(second.n) == {8}
    assert set(second.seed) == {1}
    baseline = chosen[chosen.kind == "baseline"]
    assert baseline.cell.tolist() == ["baseline/tfidf"]
    assert baseline.stage.tolist() == ["retrieval"]
    assert baseline.value.tolist() == [0.75]
    assert baseline[["fusion", "head", "decrease_rate", "seed"]].isna().all(axis=None)
    reciprocal = table[(table.metric == "mrr") & (table.stage == "reranked")]
    # 1, 1/2, 1/3, 1/4 over the first cell's eight queries, twice each
    assert reciprocal.value.iloc[0] == pytest.approx(25 / 48)


def seeded(
    folder: Path, sets: CandidateSets, ranks: dict[int, list[int]], planned: list[int]
) -> Path:
    """A run of one setting with several seeds, some of them trained, and of one with one seed."""
    values = {
        "run": "seeded",
        "matrix": {
            "axes": {"seed": planned, "head": ["relu"], "fusion": ["cls"], "decrease_rate": [0]},
            "include": [{"head": "linear", "fusion": "cls", "decrease_rate": 0}],
        },
    }
    cells = matrix.expand(loading.parse(RunConfig, values, "test"), "test")
    atomic.write_text(folder / "matrix.csv", text_module.csv_text(matrix.rows(cells)))
    atomic.write_json(folder / "config.json", {"baselines": [], "corpus": CORPUS})
    for cell in cells:
        if cell.options.head.kind == "linear":
            finish(folder / "cells" / cell.name, sets, [2])
        elif cell.options.seed in ranks:
            finish(folder / "cells" / cell.name, sets, ranks[cell.options.seed])
    return folder


# Of eight queries 4, 6 and 8 are right at the first place: 0.5, 0.75 and 1.
THREE_SEEDS = {1: [1, 2], 2: [1, 1, 1, 2], 3: [1]}


def test_seeds_have_mean_spread_and_interval(tmp_path: Path, sets: CandidateSets) -> None:
    run = seeded(tmp_path / "seeded", sets, THREE_SEEDS, [1, 2, 3])
    rows = scores.comparison_csv(scores.overview(folder_module.read_run(run))).set_index("head")
    assert rows.loc["relu", ["seeds", "seeds_planned"]].tolist() == [3, 3]
    assert rows.loc["relu", "dev_reranked"] == 0.75
    assert rows.loc["relu", "dev_reranked_sd"] == 0.25
    # t with two degrees of freedom has its 97.5 % point at 4.30265, by any table.
    reach = 4.30265 * 0.25 / 3**0.5
    assert rows.loc["relu", "dev_reranked_low"] == pytest.approx(0.75 - reach, abs=1e-5)
    assert rows.loc["relu", "dev_reranked_high"] == pytest.approx(0.75 + reach, abs=1e-5)
    assert rows.loc["relu", "dev_retrieval"] == 0.5
    assert rows.loc["relu", "dev_retrieval_sd"] == 0
    assert rows.loc["linear", "dev_reranked"] == 0
    assert rows.loc["linear", ["dev_reranked_sd", "dev_reranked_low"]].isna().all()


def test_two_seeds_have_a_spread_and_no_interval(tmp_path: Path, sets: CandidateSets) -> None:
    run = seeded(tmp_path / "seeded", sets, {1: [1, 2], 2: [1]}, [1, 2])
    rows = scores.comparison_csv(scores.overview(folder_module.read_run(run))).set_index("head")
    assert rows.loc["relu", "dev_reranked_sd"] == pytest.approx(0.5 / 2**0.5)
    assert rows.loc["relu", ["dev_reranked_low", "dev_reranked_high"]].isna().all()


def test_a_missing_seed_is_no_silent_mean(tmp_path: Path, sets: CandidateSets) -> None:
    run = seeded(tmp_path / "seeded", sets, {1: [1, 2], 3: [1]}, [1, 2, 3])
    rows = scores.comparison_csv(scores.overview(folder_module.read_run(run))).set_index("head")
    assert rows.loc["relu", ["seeds", "seeds_planned"]].tolist() == [2, 3]
    assert rows.loc["relu", [*scores.CLEAN, "dev_reranked_sd"]].isna().all()
    assert rows.loc["linear", ["seeds", "seeds_planned"]].tolist() == [1, 1]


def test_comparison_csv_has_every_protocol_and_the_ceiling(run: Path, sets: CandidateSets) -> None:
    name = pd.read_csv(run / "matrix.csv").cell[0]
    both = records(sets, [1, 12], [1, 12]) + records(sets, [11], [11, 11, 11, 1], ["legacy"])
    write_records(
        {"dev": (sets, both), "test": (sets, both)}, run / "cells" / name / "records.parquet"
    )
    rows = scores.comparison_csv(scores.overview(folder_module.read_run(run)))
    first = rows.iloc[0]
    assert first[["dev_reranked", "dev_ceiling", "test_ceiling"]].tolist() == [0.5] * 3
    assert first["dev_official_reranked"] == 0.5
    assert first[["dev_legacy_reranked", "dev_legacy_retrieval"]].tolist() == [0.25, 0]
    baseline = rows[rows.kind == "baseline"].iloc[0]
    assert baseline["dev_official_retrieval"] == 0.75
    assert baseline[["dev_reranked", "dev_official_reranked"]].isna().all()
    assert list(rows.columns[:12]) == [
        "kind", "system", "fusion", "head", "decrease_rate", "initial_random_rate",
        "retrieval_loss.margin", *scores.CLEAN, "seeds",
    ]  # fmt: skip


def short(sets: CandidateSets) -> list[QueryResults]:
    """Records without the first query."""
    fields = ("queries", "candidates", "rank", "nearest")
    return [
        dataclasses.replace(part, **{field: getattr(part, field)[1:] for field in fields})
        for part in records(sets, [1], None)
    ]


@pytest.mark.parametrize("system", ["random", "tfidf"], ids=["second", "first"])
def test_records_that_miss_a_query_stop_the_tables(
    tmp_path: Path, run: Path, sets: CandidateSets, system: str
) -> None:
    """Also where it is the first system that misses it."""
    for name in ("matrix.csv", "config.json"):
        atomic.write_text(tmp_path / "bare" / name, (run / name).read_text())
    for name in ("random", "tfidf"):
        part = short(sets) if name == system else records(sets, [1], None)
        write_records({"dev": (sets, part)}, tmp_path / f"bare/baselines/{name}/records.parquet")
    with pytest.raises(InputError) as caught:
        scores.all_figures(folder_module.read_run(tmp_path / "bare"))
    message = str(caught.value)
    first, second = ("random", "tfidf") if system == "random" else ("tfidf", "random")
    assert f"{first}/records.parquet: misses 1 of the 8 queries that" in message
    assert f"{second}/records.parquet answers (dev, official, epa)" in message
    assert f"such as {pool.ids[pool.pairs]}" in message
    assert "run snakemake again" in message


def test_the_best_is_not_chosen_from_records_that_miss_a_query(
    run: Path, sets: CandidateSets
) -> None:
    name = pd.read_csv(run / "matrix.csv").cell[0]
    write_records({"dev": (sets, short(sets))}, run / "cells" / name / "records.parquet")
    with pytest.raises(InputError, match=r"misses 1 of the 8 .* \(dev, clean, epa\)"):
        scores.best_of_run(folder_module.read_run(run))


def test_a_query_twice_stops_the_tables(run: Path, sets: CandidateSets) -> None:
    twice = records(sets, [1], None)[:1] * 2
    write_records({"test": (sets, twice)}, run / "baselines" / "tfidf" / "records.parquet")
    with pytest.raises(InputError, match=r"tfidf/records.parquet: test, official, epa: .* twice"):
        scores.all_figures(folder_module.read_run(run))


def test_train_may_have_other_queries_for_each_seed(run: Path, sets: CandidateSets) -> None:
    names = pd.read_csv(run / "matrix.csv").cell
    for name, part in ((names[0], short(sets)), (names[1], records(sets, [1], None))):
        write_records({"train": (sets, part)}, run / "cells" / name / "records.parquet")
    figures = scores.all_figures(folder_module.read_run(run))
    assert set(figures[figures.split == "train"].n) == {7, 8}


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("rank", 0, "rank is 0"),
        ("rank", None, "rank is <NA>"),
        ("reranked", -1, "reranked is -1"),
        ("reranked", None, "reranked is <NA>"),
    ],
)
def test_a_rank_that_is_none_is_named(
    run: Path, column: str, value: int | None, words: str
) -> None:
    path = next(run.glob("cells/**/records.parquet"))
    found = pd.read_parquet(path)
    found[column] = found[column].astype("Int64")
    found.loc[3, column] = value
    found.to_parquet(path)
    query = found.loc[3, "query"]
    with pytest.raises(InputError, match=f"parquet: dev, official, epa, query {query}: {words}"):
        records_module.read_records(path)


def test_a_file_that_is_no_records_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    path.write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"records\.parquet: not the records of a system"):
        records_module.read_records(path)
    pd.DataFrame({"split": ["dev"]}).to_parquet(path)
    with pytest.raises(InputError, match=r"records\.parquet: not the records of a system"):
        records_module.read_records(path)


def test_the_only_run_is_found(run: Path) -> None:
    assert folder_module.find_run(run.parent) == run
    with pytest.raises(InputError, match=r"found none; name the run with --run"):
        folder_module.find_run(run.parent / "nowhere")
    atomic.write_text(run.parent / "other" / "matrix.csv", "cell\n")
    with pytest.raises(InputError, match=r"found .*/mini, .*/other; name the run with --run"):
        folder_module.find_run(run.parent)


def test_all_tasks_at_once_give_what_each_gives_alone(run: Path, sets: CandidateSets) -> None:
    """Figures bootstraps all tasks with the same queries together."""
    table = scores.all_figures(folder_module.read_run(run))
    name = table.cell[0]
    alone = records_module.read_records(run / "cells" / name / "records.parquet")
    for (split, protocol), part in alone.groupby(["split", "protocol"]):
        bootstrap = statistics.Bootstrap(
            [records_module.debate_of(query) for query in part["query"]]
        )
        values = metrics.reciprocal_rank(part["reranked"].to_numpy())[:, None]
        low, high = bootstrap.interval(values)
        found = table[(table.cell == name) & (table.split == split)]
        found = found[(found.protocol == protocol) & (found.metric == "mrr")]
        found = found[found.stage == "reranked"].iloc[0]
        assert (found.low, found.high) == pytest.approx((low[0], high[0]), rel=1e-12)


def test_a_folder_that_is_no_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"matrix\.csv: no such file"):
        folder_module.read_run(tmp_path)


def test_curves_have_a_point_for_each_epoch_and_split(run: Path) -> None:
    curves = scores.curves(folder_module.read_run(run))
    assert len(curves) == 3 * 3 * 2  # cells, epochs, splits in the log
    assert set(curves.split) == {"train", "dev"}
    assert set(curves.value) == {0.25}


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_one_figure_a_fusion_and_head_the_same_each_time(run: Path, file_format: str) -> None:
    curves = scores.curves(folder_module.read_run(run))
    first = plots.draw_curves(curves, run / "plots", file_format, 60)
    assert [path.name for path in first] == [
        f"accuracy-cls-relu.{file_format}",
        f"accuracy-concat-relu.{file_format}",
    ]
    if file_format == "png":
        contents = [path.read_bytes() for path in first]
        assert contents == [
            path.read_bytes() for path in plots.draw_curves(curves, run / "plots", "png", 60)
        ]
        assert all(content.startswith(b"\x89PNG") for content in contents)


def test_cells_that_have_ended_have_a_figure_though_they_diverged_at_once(
    run: Path, sets: CandidateSets
) -> None:
    """The workflow waits for it."""
    concat = [cell for cell in folder_module.read_run(run).cells if cell.axes["fusion"] == "concat"]
    done, other = concat
    finish(other.folder, sets, [1], status="diverged")
    atomic.write_json(done.folder / "outcome.json", {"status": "diverged", "reason": "because"})
    for cell in concat:
        (cell.folder / "epochs.jsonl").write_text('{"epoch": 0, "accuracy": {}}\n')
    assert main.main(["plots", "--run", str(run), "--dpi", "60"]) == 0
    for fusion in ("cls", "concat"):
        assert (run / "plots" / f"accuracy-{fusion}-relu.png").stat().st_size > 0


def test_curves_that_lack_a_seed_leave_a_figure_as_it_is(run: Path) -> None:
    """Of cls and concat a cell each is still to come."""
    assert scores.ended(folder_module.read_run(run)) == set()


@pytest.fixture
def imported(run: Path, tmp_path: Path) -> Path:
    """The run with two logs of the seeds' scripts beside it, one of them without a test figure."""
    for name, splits in (("a", ("训练集", "验证集", "测试集")), ("b", ("训练集", "验证集"))):
        lines = [f"{split}top1 accuracy为{figure}" for figure in (0.5, 0.25) for split in splits]
        (tmp_path / f"{name}.log").write_text("\n".join(lines) + "\n")
    import_logs([tmp_path / "a.log", tmp_path / "b.log"], run.parent / "imported")
    return run


def test_imported_logs_have_curves_under_the_protocol_that_leaks(run: Path, imported: Path) -> None:
    curves = scores.curves(folder_module.read_run(imported))
    assert set(curves[["split", "protocol"]].itertuples(index=False, name=None)) == {
        ("train", "official"), ("dev", "clean"),
        ("train", "legacy"), ("dev", "legacy"), ("test", "legacy"),
    }  # fmt: skip
    old = curves[curves.protocol == "legacy"]
    assert old[old.split == "dev"][["cell", "epoch", "value"]].to_numpy().tolist() == [
        ["imported/a", 0, 0.5],
        ["imported/a", 1, 0.25],
        ["imported/b", 0, 0.5],
        ["imported/b", 1, 0.25],
    ]
    assert old[["fusion", "head", "decrease_rate", "seed"]].isna().all(axis=None)
    cells = curves[curves.protocol != "legacy"]
    assert cells["seed"].tolist() == [1] * len(cells)
    assert str(cells["seed"].iloc[0]) == "1"


def test_imported_logs_change_no_curve_of_a_cell(run: Path, imported: Path) -> None:
    curves = scores.curves(folder_module.read_run(imported))
    both = plots.draw_curves(curves, run / "plots", "png", 60)
    contents = [path.read_bytes() for path in both]
    assert [path.name for path in both][-1] == "imported.png"
    (run.parent / "imported").rename(run.parent / "elsewhere")
    alone = plots.draw_curves(scores.curves(folder_module.read_run(run)), run / "plots", "png", 60)
    assert [path.read_bytes() for path in alone] == contents[:-1]


def test_imported_logs_are_drawn_without_any_cell(
    run: Path, imported: Path, tmp_path: Path
) -> None:
    empty = run.parent / "empty"
    for name in ("matrix.csv", "config.json"):
        atomic.write_text(empty / name, (run / name).read_text())
    curves = scores.curves(folder_module.read_run(empty))
    assert len(curves) == 2 * 3 + 2 * 2  # epochs times splits of either log
    paths = plots.draw_curves(curves, tmp_path / "plots", "svg", 60)
    assert [path.name for path in paths] == ["imported.svg"]


def test_results_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "file.json"
    atomic.write_json(target, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(target, {"a": float("nan")})
    with (  # noqa: PT012  the body must fail half-way
        pytest.raises(RuntimeError, match="half"),
        atomic.replacing(target) as temporary,
    ):
        temporary.write_text("half")
        raise RuntimeError("half")
    assert json.loads(target.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_main_figures_are_drawn_the_same_each_time(run: Path) -> None:
    figures = scores.all_figures(folder_module.read_run(run))
    drawn = [plots.draw_figures(figures, run / name, "png", 50) for name in ("a", "b")]
    assert [path.name for path in drawn[0]] == ["rates.png", "heatmap.png"]
    for one, other in zip(*drawn, strict=True):
        assert one.read_bytes() == other.read_bytes()
    written = run / "tables" / "cells.csv"
    written.parent.mkdir(exist_ok=True)
    figures.to_csv(written, index=False)
    read = scores.written_figures(folder_module.read_run(run))
    pd.testing.assert_frame_equal(read, figures, check_dtype=False)


def test_written_figures_that_are_behind_are_computed_anew(run: Path) -> None:
    figures = scores.all_figures(folder_module.read_run(run))
    written = run / "tables" / "cells.csv"
    written.parent.mkdir(exist_ok=True)
    figures[figures["kind"] == "baseline"].to_csv(written, index=False)
    read = scores.written_figures(folder_module.read_run(run))
    pd.testing.assert_frame_equal(read, figures, check_dtype=False)


def test_equal_seeds_are_drawn_without_a_bar(run: Path) -> None:
    figures = scores.all_figures(folder_module.read_run(run))
    chosen = (
        figures[figures["kind"] == "cell"]
        .iloc[:1]
        .assign(split="dev", protocol="clean", task="epa", stage="reranked", metric="accuracy@1")
    )
    # Their mean as floats lies outside them.
    equal = pd.concat([chosen.assign(seed=seed, value=61 / 713) for seed in (1, 2, 3)])
    assert equal.groupby("fusion")["value"].mean().iloc[0] != 61 / 713
    assert len(plots.draw_figures(equal, run / "plots", "svg", 50)) == 2


def test_a_setting_without_all_its_seeds_is_not_averaged() -> None:
    cells = [
        folder_module.CellResult(
            f"{fusion}-{seed}", {"fusion": fusion, "seed": seed}, Path(), "done"
        )
        for fusion in ("cls", "concat")
        for seed in (1, 2)
    ]
    run = SimpleNamespace(cells=cells)
    there = pd.DataFrame({"cell": ["cls-1", "cls-2", "concat-2", "baseline/bm25"]})
    kept = scores.without_parts(run, there)["cell"].tolist()
    assert kept == ["cls-1", "cls-2", "baseline/bm25"]


def test_without_a_cell_there_is_no_figure(run: Path) -> None:
    figures = scores.all_figures(folder_module.read_run(run))
    baselines = figures[figures["kind"] == "baseline"]
    assert plots.draw_figures(baselines, run / "plots", "svg", 50) == []
    assert not (run / "plots").exists()
