"""The workflow end to end on a miniature: trained, re-run, broken, and planned for a cluster."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]

CHANGE = ["--config", "change=true"]
"""What an existing run must be told before it takes other options."""

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def miniature(tiny_bert: Path) -> dict[str, Any]:
    """Two frozen cells, and one that trains a tiny encoder."""
    return {
        "run": "mini",
        "encoder": {"name": str(tiny_bert), "max_tokens": 24},
        "training": {"epochs": 2, "learning_rate": 1e-3},
        "recipes": {},
        "matrix": {
            "axes": {"fusion": ["cls", "concat"], "head": ["relu"], "decrease_rate": [0.5]},
            "include": [{"head": "linear", "trainable": "all", "decrease_rate": 0.5}],
        },
    }


def snakemake(folder: Path, *arguments: str, status: int = 0) -> str:
    """Run snakemake there; its output without colours."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--nocolor", *arguments],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout + done.stderr


def planned(output: str) -> dict[str, int]:
    """Command to number of jobs in what snakemake says that it would do."""
    table = output.partition("Job stats:")[2].partition("\n\n")[0]
    jobs: Counter[str] = Counter()
    for name, count in re.findall(r"^([a-z]+)(?:_\d+)? +(\d+)$", table, re.MULTILINE):
        jobs[name] += int(count)
    return dict(jobs)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the workflow."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("config", "workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    return folder


def configure(folder: Path, values: dict[str, Any], name: str = "mini.yaml") -> list[str]:
    (folder / name).write_text(yaml.safe_dump(values), encoding="utf-8")
    return ["--configfile", name]


@pytest.fixture(scope="module")
def trained(checkout: Path, tiny_bert: Path) -> tuple[Path, str]:
    """The miniature after its first run, and what that printed."""
    values = miniature(tiny_bert)
    output = snakemake(checkout, "--cores", "2", *configure(checkout, values))
    return checkout, output


def test_one_command_gives_cells_tables_plots_and_a_summary(trained: tuple[Path, str]) -> None:
    folder, output = trained
    run = folder / "results" / "mini"
    assert "Run mini: 3 of 3 cells trained." in output
    assert "Best cell on dev: fusion~" in output
    table = pd.read_csv(run / "tables" / "cells.csv")
    assert set(table.kind) == {"cell", "baseline"}
    assert set(table.task) == {"sdoc", "sdc", "sdoa", "sda", "stc", "sta", "epc", "epa"}
    assert set(table.protocol) == {"official", "clean", "legacy", "legacy-subset"}
    assert set(table[table.kind == "baseline"].cell) == {
        f"baseline/{name}" for name in ("random", "tfidf", "bm25", "untrained")
    }
    assert table["value"].between(0, 1).all()
    for name in (
        "comparison.md",
        "comparison.csv",
        "strategies.md",
        "seeds.md",
        "protocols.md",
        "tasks.md",
        "claims.md",
        "claims.csv",
        "summary.txt",
    ):
        assert (run / "tables" / name).stat().st_size > 0
    assert len(list((run / "plots").glob("accuracy-*.png"))) == 3
    assert (run / "report" / "index.html").stat().st_size > 0
    assert len(list(run.glob("encoder/*/features.safetensors"))) == 1
    log = next(run.glob("logs/cells/**/*options~encoder.trainable=all.log"))
    assert "epoch   1" in log.read_text()


def test_nothing_is_left_to_do_afterwards(trained: tuple[Path, str]) -> None:
    output = snakemake(trained[0], "-n", "--configfile", "mini.yaml")
    assert "Nothing to be done" in output


def test_an_added_cell_trains_that_cell_alone(trained: tuple[Path, str], tiny_bert: Path) -> None:
    values = miniature(tiny_bert)
    values["matrix"]["include"].append({"head": "relu", "decrease_rate": 0.5, "margin": 0.7})
    arguments = configure(trained[0], values, "added.yaml")
    plan = planned(snakemake(trained[0], "-n", *arguments, *CHANGE))
    assert plan == {"train": 1, "summarise": 1, "all": 1, "total": 3}


@pytest.mark.parametrize(
    "values",
    [
        {"tables": {"decimals": 2}},
        {"plots": {"dpi": 60}},
        {"resources": {"jobs_per_gpu": 4, "memory_mb": 999}},
    ],
    ids=["tables", "plots", "resources"],
)
def test_options_of_tables_plots_and_resources_train_nothing(
    trained: tuple[Path, str], tiny_bert: Path, values: dict[str, Any]
) -> None:
    arguments = configure(trained[0], {**miniature(tiny_bert), **values}, "other.yaml")
    output = snakemake(trained[0], "-n", *arguments)
    assert set(planned(output)) - {"all", "total"} <= {"summarise"}


def test_an_option_of_training_trains_every_cell_again(
    trained: tuple[Path, str], tiny_bert: Path
) -> None:
    values = miniature(tiny_bert)
    values["training"]["learning_rate"] = 2e-3
    arguments = configure(trained[0], values, "other.yaml")
    plan = planned(snakemake(trained[0], "-n", *arguments, *CHANGE))
    assert plan["train"] == 3
    assert "features" not in plan
    assert "corpus" not in plan


def test_tables_plots_and_report_never_train(trained: tuple[Path, str], tiny_bert: Path) -> None:
    values = {**miniature(tiny_bert), "run": "untrained"}
    arguments = configure(trained[0], values, "untrained.yaml")
    output = snakemake(trained[0], "tables", "plots", "report", "--cores", "2", *arguments)
    assert set(planned(output)) == {"tables", "plots", "report", "total"}
    run = trained[0] / "results" / "untrained"
    assert "0 of 3 cells trained" in (run / "tables" / "summary.txt").read_text()
    assert (run / "report" / "index.html").stat().st_size > 0
    # Without outputs, they are made again whenever they are asked for.
    assert planned(snakemake(trained[0], "tables", "-n", *arguments)) == {"tables": 1, "total": 1}


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a folder: what it holds, and when it was written."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_an_existing_run_needs_nothing_but_its_name(trained: tuple[Path, str]) -> None:
    run = trained[0] / "results" / "mini"
    before = contents(run)
    for path in (run / "tables" / "cells.csv", run / "tables" / "summary.txt"):
        path.unlink()
    output = snakemake(trained[0], "tables", "--cores", "2", "--config", "run=mini")
    assert planned(output) == {"tables": 1, "total": 1}
    assert "Run mini: 3 of 3 cells trained." in output
    after = contents(run)
    assert after.keys() - before.keys() == {"logs/tables.log"}
    for name in ("matrix.csv", "config.json"):
        assert after[name] == before[name]
    assert after["tables/cells.csv"][0] == before["tables/cells.csv"][0]
    assert "Nothing to be done" in snakemake(trained[0], "-n", "--config", "run=mini")


@pytest.mark.parametrize("how", [["-n"], ["--cores", "2"], ["tables", "--cores", "2"]], ids=str)
def test_an_existing_run_takes_no_other_options_unasked(
    trained: tuple[Path, str], how: list[str]
) -> None:
    results = trained[0] / "results"
    before = contents(results)
    options = ["--config", "run=mini", "training={epochs: 3}", "baselines=[bm25]"]
    output = snakemake(trained[0], *how, *options, status=2)
    assert "run 'mini' was begun with other options (results/mini/config.json → now):" in output
    assert "  training.epochs: 2 → 3\n" in output
    assert '→ ["bm25"]' in output
    assert "It would cost: 3 cells to train, 3 of them anew, about " in output
    assert "change=true" in output
    assert contents(results) == before


def test_an_existing_run_takes_other_options_when_told(trained: tuple[Path, str]) -> None:
    options = ["--config", "run=mini", "training={epochs: 3}", "change=true"]
    assert planned(snakemake(trained[0], "-n", *options))["train"] == 3


def test_a_lock_is_taken_away_whatever_the_options(trained: tuple[Path, str]) -> None:
    snakemake(trained[0], "--unlock", "--config", "run=mini", "training={epochs: 3}")


def test_one_value_on_the_command_line_is_a_sections_main_option(checkout: Path) -> None:
    options = ["run=short", "corpus=sample", "head=relu", "matrix={axes: {fusion: [cls, concat]}}"]
    snakemake(checkout, "tables", "--cores", "1", "--config", *options)
    written = json.loads((checkout / "results" / "short" / "config.json").read_text())
    assert written["head"] == {"kind": "relu", "hidden": 256}
    assert written["corpus"]["path"] == "sample"
    assert written["corpus"]["splits"]["dev"] == "validation"
    cells = pd.read_csv(checkout / "results" / "short" / "matrix.csv")
    assert cells["fusion"].tolist() == ["cls", "concat"]
    output = snakemake(checkout, "-n", "--config", "run=short", "mining=0.5", status=2)
    assert "--config: the configuration is not valid\n  mining: name its options" in output


def test_own_pairs_are_two_cells_and_all_baselines_at_once(checkout: Path) -> None:
    rows = [f"The point {number}.,The counter {number}.,{number // 2}" for number in range(20)]
    (checkout / "pairs.csv").write_text("\n".join(["point,counter,debate", *rows]))
    options = ["--configfile", "config/quick.yaml", "--config", "corpus=pairs.csv"]
    plan = planned(snakemake(checkout, "-n", *options))
    assert (plan["train"], plan["baselines"]) == (2, 1)


def test_every_rule_has_the_name_of_its_command(checkout: Path) -> None:
    for path in (checkout / "workflow" / "rules").glob("*.smk"):
        text = path.read_text()
        rules = re.findall(r"^rule (\w+):$(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
        # A rule for each batch is numbered.
        rules += re.findall(
            r'^    rule:$\s+name:\s+f"([a-z]+)_(.*)', text, re.MULTILINE | re.DOTALL
        )
        for name, body in rules:
            assert f" counterpoint {name} " in body, name
        assert len(rules) == len(re.findall(r"^ *rule\b", text, re.MULTILINE)), path


def test_cores_change_no_result(trained: tuple[Path, str], tiny_bert: Path) -> None:
    """A cell by hand, on one core and in a run where nothing is trained."""
    run, copy = trained[0] / "results" / "mini", trained[0] / "by-hand"
    cell = next(path for path in run.glob("cells/**/options~base") if "fusion~cls" in str(path))
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("cells", "state"))
    name = str(cell.relative_to(run / "cells"))
    command = [sys.executable, "-m", "counterpoint", "train", "--run", str(copy), name]
    subprocess.run(command, check=True, capture_output=True, timeout=200)
    for file in ("epochs.jsonl", "records.parquet", "model.safetensors"):
        assert (copy / "cells" / name / file).read_bytes() == (cell / file).read_bytes(), file


@pytest.mark.parametrize(("margins", "outputs"), [([1.0], 0), ([0.8], 0), ([0.8, 1.0], 2)])
def test_a_table_over_an_axis_is_an_output_where_cells_differ_in_it(
    checkout: Path, tiny_bert: Path, margins: list[float], outputs: int
) -> None:
    values = {**miniature(tiny_bert), "run": "margins", "tables": {"axis": "margin"}}
    values["matrix"] = {"axes": {"margin": margins}}
    output = snakemake(checkout, "--summary", *configure(checkout, values, "margins.yaml"))
    assert output.count("results/margins/tables/axis.") == outputs


def test_a_failed_cell_is_told_and_stops_no_other(checkout: Path, tiny_bert: Path) -> None:
    values = {**miniature(tiny_bert), "run": "failing"}
    values["matrix"]["include"] = [{"trainable": 9, "decrease_rate": 0.5}]
    output = snakemake(checkout, "--cores", "2", *configure(checkout, values, "f.yaml"), status=1)
    assert "2 of 3 cells trained" in output
    assert "1 cells failed:" in output
    assert "9 layers of 2" in output
    text = (checkout / "results" / "failing" / "tables" / "summary.txt").read_text()
    assert "9 layers of 2" in text


def test_a_cell_that_fails_costs_the_others_of_its_job_nothing(
    checkout: Path, tiny_bert: Path
) -> None:
    values = {**miniature(tiny_bert), "run": "together", "resources": {"cells_per_job": 9}}
    values["matrix"]["include"] = [{"trainable": ["all", 9], "decrease_rate": 0.5}]
    arguments = configure(checkout, values, "together.yaml")
    output = snakemake(checkout, "--cores", "2", *arguments, status=1)
    assert planned(output)["train"] == 2
    assert "3 of 4 cells trained" in output
    run = checkout / "results" / "together"
    records = sorted(run.glob("cells/**/records.parquet"))
    before = [path.stat().st_mtime_ns for path in records]
    assert len(records) == 3
    snakemake(checkout, "--cores", "2", *arguments, status=1)
    assert [path.stat().st_mtime_ns for path in records] == before
    (beside,) = run.glob("logs/cells/**/options~encoder.trainable=all.log")
    assert "trained before; left alone\n" in beside.read_text()
    assert "epoch" not in beside.read_text()
    for log in run.glob("logs/cells/**/options~base.log"):
        assert "epoch   1" in log.read_text()  # its job has succeeded, and is not run again
    (frozen,) = (path for path in records if "fusion~cls" in str(path))
    shutil.rmtree(frozen.parent)
    assert planned(snakemake(checkout, "-n", *arguments))["train"] == 2


def test_a_terminated_cell_is_retried_and_goes_on(checkout: Path, tiny_bert: Path) -> None:
    values = {**miniature(tiny_bert), "run": "terminated"}
    values["training"]["epochs"] = 8
    values["stopping"] = {"patience": None, "dev_loss_rises": None}
    values["resources"] = {"checkpoint_seconds": 0}
    axes = {"fusion": ["cls"], "head": ["relu"], "decrease_rate": [0.5], "trainable": ["all"]}
    values["matrix"] = {"axes": axes}
    arguments = ["--cores", "1", "--retries", "1", "--until", "train_1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments, *configure(checkout, values, "t.yaml")],
        cwd=checkout,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    state = checkout / "results" / "terminated" / "state"
    while not list(state.glob("**/checkpoint.safetensors")):
        assert process.poll() is None, process.stderr.read() if process.stderr else None
        time.sleep(0.1)
    (running,) = state.glob("**/progress.json")
    job = psutil.Process(json.loads(running.read_text())["pid"])
    shell = job.parent()
    assert "bash" in shell.name()
    # As a cluster would, which knows the job's group alone.
    for each in (shell, job):
        each.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    (log,) = (checkout / "results" / "terminated" / "logs" / "cells").glob("**/*.log")
    assert "goes on in epoch" in log.read_text()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"trainng": {"epochs": 1}}, ["trainng", "unknown key", "did you mean 'training'"]),
        ({"head": "rlu"}, ["head.kind", '"rlu"', "layernorm_relu"]),
        ({"matrix": {"axes": {"margin": [1.0, -2]}}}, ["margin=-2", "greater than 0"]),
        ({"encoder": "no/such/model"}, ["'no/such/model': no such folder"]),
        ({"training": {"batch": 4}}, ["training.batch: is called training.batch_size now"]),
        ({"corpus": {"path": "$COUNTERPOINT_NOWHERE"}}, ["$COUNTERPOINT_NOWHERE", "not set"]),
        ({"corpus": {"path": "no/such/corpus.zip"}}, ["no/such/corpus.zip", "no such folder"]),
        ({"corpus": {"path": "Snakefile"}}, ["Snakefile: not a zip file", "expected a folder"]),
    ],
    ids=["key", "choice", "cell", "encoder", "old key", "variable", "path", "no zip"],
)
def test_a_bad_configuration_stops_before_any_job(
    checkout: Path, values: dict[str, Any], words: list[str]
) -> None:
    arguments = configure(checkout, {"run": "bad", **values}, "bad.yaml")
    output = snakemake(checkout, "--cores", "1", *arguments, status=2)
    assert "bad.yaml" in output
    for word in words:
        assert word in output
    assert "Traceback" not in output
    assert not (checkout / "results" / "bad").exists()


def test_a_bad_corpus_stops_with_its_report(checkout: Path) -> None:
    place = checkout / "broken" / "training" / "law" / "juries" / "pro"
    place.mkdir(parents=True)
    (place / "pro01a-point.txt").write_text("A point.")
    (place / "pro01c-reply.txt").write_text("A reply.")
    values = {"run": "broken", "corpus": {"path": "broken"}}
    arguments = configure(checkout, values, "broken.yaml")
    output = snakemake(checkout, "--cores", "1", *arguments, status=1)
    assert "pro01c-reply.txt: the name does not parse" in output
    assert "there is no such split" in output
    assert not (checkout / "results" / "broken" / "corpus" / "arguments.parquet").exists()


def test_an_encoder_axis_need_not_hold_the_base_value(checkout: Path, tiny_bert: Path) -> None:
    values = {**miniature(tiny_bert), "run": "poolings"}
    values["matrix"] = {"axes": {"pooling": ["cls", "pooler"]}}
    arguments = configure(checkout, values, "poolings.yaml")
    plan = planned(snakemake(checkout, "-n", *arguments))
    # The third features are the base options', for the untrained baseline; tokens are shared.
    assert (plan["tokens"], plan["features"]) == (1, 3)


def test_numbers_and_nulls_on_the_command_line_are_read(checkout: Path) -> None:
    overrides = [
        "training={epochs: 2, learning_rate: 3e-6}",
        "stopping={patience: null}",
        "matrix={axes: {fusion: [embedding, cls, concat], decrease_rate: ['0']}}",
        "run=typed",
    ]
    snakemake(checkout, "tables", "--cores", "1", "--config", *overrides)
    config = json.loads((checkout / "results" / "typed" / "config.json").read_text())
    assert config["training"]["epochs"] == 2
    assert config["training"]["learning_rate"] == 3e-6
    assert config["stopping"]["patience"] is None
    cells = pd.read_csv(checkout / "results" / "typed" / "matrix.csv")
    assert cells["fusion"].tolist() == ["embedding", "cls", "concat"]


def test_a_changed_corpus_is_read_again(checkout: Path, small_tree: dict[str, str]) -> None:
    for path, text in small_tree.items():
        (checkout / "debates" / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / "debates" / path).write_text(text)
    target = "results/debates/corpus/arguments.parquet"
    arguments = configure(checkout, {"run": "debates", "corpus": {"path": "debates"}}, "d.yaml")
    snakemake(checkout, target, "--cores", "1", *arguments)
    assert "Nothing to be done" in snakemake(checkout, target, "-n", *arguments)
    (checkout / "debates" / next(iter(small_tree))).write_text("Another text altogether.")
    assert planned(snakemake(checkout, target, "-n", *arguments))["corpus"] == 1


def test_the_105_cells_of_the_default_matrix_share_four_jobs_on_two_cores(checkout: Path) -> None:
    """And its recipe has one."""
    assert planned(snakemake(checkout, "-n", "--cores", "2"))["train"] == 4 + 1
    marks = re.findall(
        r"^results/demo/cells/\S+/trained\t", snakemake(checkout, "--summary"), re.MULTILINE
    )
    assert len(marks) == 105 + 1


def test_slurm_jobs_ask_for_what_they_need(checkout: Path, tiny_bert: Path) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm")
    values = {**miniature(tiny_bert), "run": "cluster"}
    arguments = configure(checkout, values, "cluster.yaml")
    output = snakemake(
        checkout, "-n", "--workflow-profile", "profiles/slurm", "--quiet", "host", *arguments
    )
    assert planned(output)["train"] == 3
    cell = output.partition("rule train_1:")[2].partition("\n\n")[0]
    assert "gpu=1" in cell
    assert "mem_mb=3000" in cell
    assert "runtime=60" in cell
