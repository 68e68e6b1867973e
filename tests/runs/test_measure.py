"""What jobs cost, measured: what it is measured on, and that it is what a job leaves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.config import cache_keys, matrix
from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.encoders.features import same_outputs, write_features
from counterpoint.errors import InputError
from counterpoint.runs.folder import CellFolder, RunFolder
from counterpoint.runs.job import Job
from counterpoint.runs.measure import EPOCHS, Bench, short
from tests.support.miniature import configuration


def bench(config: RunConfig, folder: RunFolder) -> Bench:
    return Bench(config, folder, arguments=None, device=torch.device("cpu"))


@pytest.fixture
def folder(small: Corpus, tmp_path: Path) -> RunFolder:
    """A run whose corpus is read and nothing else."""
    run = RunFolder(tmp_path / "mini")
    write_arguments(small, run.arguments)
    return run


def test_the_disk_space_is_what_a_job_leaves(
    folder: RunFolder, small: Corpus, tiny_bert: Path, rng: np.random.Generator, tmp_path: Path
) -> None:
    config = configuration(tiny_bert, matrix={}, training={"epochs": 10, "batch_size": 4})
    features = folder.features(cache_keys.features_key(config.encoder))
    write_features(
        same_outputs(rng.normal(size=(len(small.texts), 32)).astype(np.float32)), small, features
    )
    (cell,) = matrix.expand(config, "test")
    Job(
        options=cell.options,
        arguments=folder.arguments,
        features=features,
        tokens=None,
        threads=1,
        jobs_per_gpu=1,
        state=tmp_path / "state",
        out=tmp_path / "out",
    ).run()
    out = CellFolder(tmp_path / "out")
    left = sum(path.stat().st_size for path in (out.epochs, out.records, out.model))
    measures = bench(config, folder)
    cost = measures.cell(cell.options).of_epochs(10)
    assert cost.bytes == pytest.approx(left, rel=0.05)
    assert cost.seconds > 0
    assert f"{len(small.texts)} texts, their real vectors" in measures.notes[0]
    assert measures.encoding(config.encoder).seconds == 0
    assert measures.encoding(config.encoder).bytes == features.stat().st_size


def test_without_features_vectors_are_made_up_and_said_to_be(
    folder: RunFolder, small: Corpus, tiny_bert: Path
) -> None:
    config = configuration(tiny_bert, matrix={})
    measures = bench(config, folder)
    encoding = measures.encoding(config.encoder)
    assert encoding.seconds > 0
    assert encoding.bytes > 4 * 32 * len(small.texts)
    (cell,) = matrix.expand(config, "test")
    measures.cell(cell.options)
    notes = "; ".join(measures.notes)
    assert f"{len(small.texts)} of {len(small.texts)} texts encoded" in notes
    assert "made-up vectors of 32 dimensions" in notes


def test_a_live_encoder_is_measured_by_a_step_and_a_pass(
    folder: RunFolder, tiny_bert: Path
) -> None:
    values = {"encoder": {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all"}}
    config = configuration(tiny_bert, matrix={}, **values)
    (cell,) = matrix.expand(config, "test")
    measures = bench(config, folder)
    cost = measures.cell(cell.options)
    notes = "; ".join(measures.notes)
    assert "a step of 12 texts through the live encoder" in notes
    assert "texts encoded" in notes
    assert cost.fixed.bytes > (tiny_bert / "model.safetensors").stat().st_size


def test_a_mean_rate_stands_for_the_schedule(tiny_bert: Path) -> None:
    config = configuration(tiny_bert, matrix={}, mining={"decrease_rate": 0.5})
    (cell,) = matrix.expand(config, "test")
    options = short(cell.options)
    assert options.mining.initial_random_rate == (1 + 0.5 + 0 + 0) / 4
    assert options.mining.decrease_rate == 0
    assert options.training.epochs == EPOCHS
    assert options.training.batch_size == 4


def test_a_corpus_to_download_cannot_be_measured_on(tmp_path: Path, tiny_bert: Path) -> None:
    config = configuration(
        tiny_bert, corpus={"url": "https://example.org/c.zip", "sha256": "0" * 64}
    )
    with pytest.raises(InputError, match=r"corpus\.url: not downloaded yet"):
        bench(config, RunFolder(tmp_path / "mini")).encoding(config.encoder)
