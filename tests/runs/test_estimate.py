"""What a run will cost: cells and jobs counted, hours and disk from what is there or measured."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from counterpoint.cli.main import main
from counterpoint.config import cache_keys, loading, matrix
from counterpoint.config.options import RunConfig
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.encoders.features import write_features
from counterpoint.errors import InputError
from counterpoint.io import atomic
from counterpoint.runs import estimate as estimate_module
from counterpoint.runs.job import Job

CPU = torch.device("cpu")


def configuration(tiny_bert: Path, **values: Any) -> RunConfig:
    return loading.load(
        {
            "run": "mini",
            "encoder": {"name": str(tiny_bert), "max_tokens": 24},
            "training": {"epochs": 4, "batch_size": 4},
            "stopping": {"patience": None, "dev_loss_rises": None},
            "matrix": {"axes": {"fusion": ["cls", "concat"], "seed": [1, 2]}},
            "baselines": ["random", "untrained"],
            **values,
        },
        "test",
    )


def estimate(read: RunConfig, folder: Path, cores: int = 2) -> estimate_module.Plan:
    return estimate_module.plan(read, folder, arguments=None, cores=cores, device=CPU)


@pytest.fixture
def folder(small: Corpus, tmp_path: Path) -> Path:
    """A run whose corpus is read and nothing else."""
    write_arguments(small, tmp_path / "mini" / "corpus" / "arguments.parquet")
    return tmp_path / "mini"


def finish(folder: Path, name: str, seconds: float, size: int) -> None:
    """A cell whose files have so many bytes."""
    atomic.write_json(folder / name / "outcome.json", {})
    atomic.write_json(folder / name / "seconds.json", {"total": seconds})
    there = sum(path.stat().st_size for path in (folder / name).iterdir())
    atomic.write_text(folder / name / "records.parquet", "x" * (size - there))


def test_finished_cells_give_the_hours_and_bytes_of_the_others(
    folder: Path, small: Corpus, tiny_bert: Path
) -> None:
    read = configuration(tiny_bert)
    names = [cell.name for cell in matrix.expand(read, "test")]
    finish(folder / "cells", names[0], 3600, 1000)
    finish(folder / "cells", names[1], 7200, 3000)
    place = folder / "encoder" / cache_keys.features_key(read.encoder)
    x = np.zeros((len(small.texts), 32), np.float32)
    write_features(x, small, place / "features.safetensors")
    found = estimate(read, folder)
    assert (found.cells, found.done, found.parallel) == (4, 2, 2)
    assert found.hours == 1.5 * 2 / 2  # the median, two cells to go, two at a time
    features = (place / "features.safetensors").stat().st_size
    assert found.bytes == 1000 + 3000 + 2 * 2000 + features
    assert found.measured_on == ["2 finished cells"]
    assert not found.at_most
    one_at_a_time = configuration(tiny_bert, resources={"threads": 2})
    assert estimate(one_at_a_time, folder, cores=3).hours == 3.0


def test_jobs_are_counted_by_rule(folder: Path, tiny_bert: Path) -> None:
    """A live encoder needs tokens alone; the untrained baseline the base options' features."""
    read = configuration(
        tiny_bert,
        matrix={
            "axes": {"trainable": ["none", "all"], "max_tokens": [16, 32], "seed": [1, 2, 3]},
            "include": [{"pooling": "cls"}],
        },
    )
    found = estimate_module._jobs(
        read, cells := matrix.expand(read, "test"), estimate_module._frozen(read, cells)
    )
    assert found == {
        "corpus": 1,
        "tokens": 3,  # 16, 32, and the 24 of the base options
        "features": 4,  # 16, 32, 24 with the first token, 24 for the baseline
        "cell": 13,
        "baseline": 2,
        "matrix": 1,
        "summary": 1,
        "curves": 1,
        "page": 1,
    }


def test_the_measured_disk_space_is_what_a_cell_leaves(
    folder: Path, small: Corpus, tiny_bert: Path, rng: np.random.Generator
) -> None:
    read = configuration(tiny_bert, matrix={}, training={"epochs": 10, "batch_size": 4})
    place = folder / "encoder" / cache_keys.features_key(read.encoder)
    x = rng.normal(size=(len(small.texts), 32)).astype(np.float32)
    write_features(x, small, place / "features.safetensors")
    found = estimate(read, folder)
    (cell,) = matrix.expand(read, "test")
    Job(
        options=cell.options,
        arguments=folder / "corpus" / "arguments.parquet",
        features=place / "features.safetensors",
        tokens=None,
        threads=1,
        jobs_per_gpu=1,
        state=folder / "state",
        out=folder / "out",
    ).run()
    big = ("epochs.jsonl", "records.parquet", "model.safetensors")
    left = sum((folder / "out" / name).stat().st_size for name in big)
    features = (place / "features.safetensors").stat().st_size
    assert found.bytes - features == pytest.approx(left, rel=0.05)
    assert found.hours > 0
    assert f"{len(small.texts)} texts, their real vectors" in found.measured_on[0]


def test_without_features_vectors_are_made_up_and_said_to_be(
    folder: Path, small: Corpus, tiny_bert: Path
) -> None:
    read = configuration(tiny_bert, stopping={})
    found = estimate(read, folder)
    assert found.at_most
    notes = "; ".join(found.measured_on)
    assert f"{len(small.texts)} of {len(small.texts)} texts encoded" in notes
    assert "made-up vectors of 32 dimensions" in notes
    assert found.bytes > 4 * 32 * len(small.texts)
    assert "time left    at most about" in found.text()


def test_a_live_encoder_is_measured_by_a_step_and_a_pass(folder: Path, tiny_bert: Path) -> None:
    values = {"encoder": {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all"}}
    read = configuration(tiny_bert, matrix={}, baselines=[], **values)
    found = estimate(read, folder)
    notes = "; ".join(found.measured_on)
    assert "a step of 12 texts through the live encoder" in notes
    assert "texts encoded" in notes
    weights = (tiny_bert / "model.safetensors").stat().st_size
    assert found.bytes > weights
    assert found.jobs["features"] == 0


def test_more_epochs_take_longer_by_as_much(
    folder: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell's cost is a constant and a rate an epoch, whatever they were measured to be."""
    rates = (np.array([100.0, 7.0]), np.array([10.0, 1.0]))
    monkeypatch.setattr(estimate_module._Bench, "_measure", lambda self, options: rates)
    monkeypatch.setattr(
        estimate_module._Bench, "encode", lambda self, options: np.array([360.0, 5.0])
    )
    axes = {"epochs": [4, 40], "fusion": ["cls", "concat"]}
    found = estimate(configuration(tiny_bert, matrix={"axes": axes}), folder)
    assert found.hours == pytest.approx((2 * (140 + 500) / 2 + 360) / 3600)
    assert found.bytes == 2 * (7 + 4) + 2 * (7 + 40) + 5


@pytest.mark.parametrize(
    ("axis", "values", "measured"),
    [
        ("batch", [4, 8], 2),
        ("projection.width", [8, "none"], 2),
        ("backend", ["exact", "balltree"], 2),
        ("margin", [0.5, 1.0], 1),
        ("seed", [1, 2], 1),
        ("decrease_rate", [0.0, 0.1], 1),
    ],
)
def test_what_sets_an_epochs_cost_is_measured_for_each(
    folder: Path,
    tiny_bert: Path,
    monkeypatch: pytest.MonkeyPatch,
    axis: str,
    values: list[object],
    measured: int,
) -> None:
    seen: list[object] = []
    cost = (np.zeros(2), np.zeros(2))
    monkeypatch.setattr(
        estimate_module._Bench, "_measure", lambda self, options: seen.append(options) or cost
    )
    monkeypatch.setattr(estimate_module._Bench, "encode", lambda self, options: np.zeros(2))
    estimate(configuration(tiny_bert, matrix={"axes": {axis: values}}), folder)
    assert len(seen) == measured


def test_a_mean_rate_stands_for_the_schedule(tiny_bert: Path) -> None:
    (cell,) = matrix.expand(
        configuration(tiny_bert, matrix={}, mining={"decrease_rate": 0.5}), "test"
    )
    short = estimate_module._short(cell.options)
    assert short.mining.initial_random_rate == (1 + 0.5 + 0 + 0) / 4
    assert short.mining.decrease_rate == 0
    assert short.training.epochs == estimate_module.EPOCHS
    assert short.training.batch_size == 4


def test_a_corpus_to_download_cannot_be_measured_on(tmp_path: Path, tiny_bert: Path) -> None:
    corpus = {"url": "https://example.org/c.zip", "sha256": "0" * 64}
    with pytest.raises(InputError, match=r"corpus\.url: not downloaded yet"):
        estimate(configuration(tiny_bert, corpus=corpus), tmp_path / "mini")


def test_the_command_plans_a_run_and_a_configuration(
    folder: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = configuration(tiny_bert, matrix={"axes": {"fusion": ["cls"]}}, baselines=["random"])
    atomic.write_json(folder / "config.json", read.model_dump(mode="json"))
    assert main(["plan", "--run", str(folder), "--cores", "1"]) == 0
    assert capsys.readouterr().out.startswith("cells        1, 0 of them done\n")
    arguments = ["--arguments", str(folder / "corpus" / "arguments.parquet")]
    assert main(["plan", "--config", str(folder / "config.json"), *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["run"], found["cells"], found["jobs"]["cell"]) == ("mini", 1, 1)
    assert found["hours"] > 0
