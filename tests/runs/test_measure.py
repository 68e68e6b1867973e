"""What jobs cost, measured: what it is measured on, and that it is what a job leaves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from counterpoint.arrays import Ints
from counterpoint.config import cache_keys, matrix
from counterpoint.config.options import CellOptions
from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.encoders.features import FrozenFeatures, same_outputs, write_features
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.pairs import PairEncoder, PairTemplate, PairTokens
from counterpoint.encoders.tokens import load_tokenizer, tokenise, write_tokens
from counterpoint.errors import InputError
from counterpoint.models.cell_model import CellModel
from counterpoint.runs.estimate import CellCost, Cost
from counterpoint.runs.folder import CellFolder, RunFolder
from counterpoint.runs.job import Job
from counterpoint.runs.measure import EPOCHS, Bench, short
from counterpoint.runs.measure_pairs import PairCounts, PairSpeed, over_pairs
from counterpoint.training.data import CorpusData
from counterpoint.training.epochs import Ended
from counterpoint.training.reranker import RerankerTrainer
from tests.support.miniature import configuration

CPU = torch.device("cpu")


def vectors_of(corpus: Corpus) -> FrozenFeatures:
    """Made up."""
    x = np.random.default_rng(4).normal(size=(len(corpus.texts), 32))
    return FrozenFeatures(same_outputs(x.astype(np.float32)))


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


def over_first_stage(tiny_bert: Path, trainable: str = "none", **values: Any) -> RunConfig:
    """One cell with a cross-encoder, over a first stage of the same little BERT."""
    return configuration(
        tiny_bert,
        encoder={"name": str(tiny_bert), "max_tokens": 24, "trainable": trainable},
        projection={"width": "none"},  # so that no weights order the texts
        evaluation={"rerank": 3, "train_sample": 5, **values},
        reranker={
            "kind": "cross_encoder",
            "encoder": {"name": str(tiny_bert), "max_tokens": 16},
            "mining": {"negatives": 2, "top_m": 3},
            "training": {"epochs": 2, "batch_size": 3},
        },
        matrix={},
    )


def options_over(config: RunConfig) -> CellOptions:
    """Of the second stage."""
    return matrix.all_cells(config, "test")[-1].options


@pytest.mark.parametrize(
    ("values", "scored"),
    [
        # Five queries of train, eight each of dev and test, their three nearest.
        ({}, (5 + 8 + 8) * 3),
        ({"test_every_epoch": False}, (5 + 8) * 3),
        ({"epoch_tasks": ["epc", "epa"]}, (5 + 8 + 8) * 3 * 2),
    ],
)
def test_pairs_are_counted(
    small: Corpus, tiny_bert: Path, values: dict[str, Any], scored: int
) -> None:
    options, corpus = options_over(over_first_stage(tiny_bert, **values)), CorpusData(small)
    counts = PairCounts.of(options, corpus, vectors_of(small), CPU)
    # Two batches of three of the eight points, each with its counter and two negatives.
    assert counts.learnt == 2 * 3 * 3
    assert counts.scored == scored


def test_the_last_evaluation_reads_as_many_pairs_as_counted(
    small: Corpus, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, corpus = options_over(over_first_stage(tiny_bert)), CorpusData(small)
    vectors = vectors_of(small)
    counts = PairCounts.of(options, corpus, vectors, CPU)
    tokens = tokenise(small, options.reranker.encoder).candidate
    template = PairTemplate.of(load_tokenizer(options.reranker.encoder))
    encoder = PairEncoder(options.reranker.encoder, PairTokens(tokens, template))
    first = CellModel(options.first_stage(), vectors).eval()
    trainer = RerankerTrainer(options, corpus, first, encoder, CPU)
    read: list[int] = []
    embed = encoder.embed

    def counted(first: Ints, second: Ints) -> Iterator[tuple[Ints, torch.Tensor]]:
        read.append(len(first))
        return embed(first, second)

    monkeypatch.setattr(encoder, "embed", counted)
    for event in trainer.events():
        if isinstance(event, Ended):
            read.clear()
    assert sum(read) == counts.final


def test_a_cross_encoder_is_measured_by_pairs(folder: RunFolder, tiny_bert: Path) -> None:
    config = over_first_stage(tiny_bert)
    measures = bench(config, folder)
    cost = measures.cell(options_over(config))
    notes = "; ".join(measures.notes)
    assert "a step's 9 of 9 pairs through the cross-encoder" in notes
    assert "9 pairs read by it" in notes
    assert "made-up vectors of 32 dimensions" in notes
    assert cost.fixed.bytes > (tiny_bert / "model.safetensors").stat().st_size


def test_pairs_cost_by_their_number() -> None:
    on_vectors = CellCost(Cost(1.0, 100.0), Cost(2.0, 10.0))
    counts, speed = PairCounts(learnt=6, scored=20, final=50), PairSpeed(3.0, 0.5, 1000, 4)
    assert over_pairs(on_vectors, counts, speed, embedding=7.0) == CellCost(
        Cost(1 + 7 + 25, 1100.0), Cost(2 + 18 + 10, 10.0)
    )


@pytest.mark.parametrize("trainable", ["none", "all"])
def test_a_live_first_stage_embeds_once_before(
    folder: RunFolder, tiny_bert: Path, trainable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features of a frozen one are there, made by a job of their own."""
    config = over_first_stage(tiny_bert, trainable)
    measures = bench(config, folder)
    live = LiveEncoder(config.encoder, tokenise(measures.corpus, config.encoder))
    monkeypatch.setattr(measures, "_live", lambda _: (live, 1000.0))
    monkeypatch.setattr(measures, "on_vectors", lambda *_: CellCost(Cost(0, 0), Cost(0, 0)))
    cost = measures.cell(options_over(config))
    assert (cost.fixed.seconds > 1000) == (trainable == "all")
    assert cost.epoch.seconds < 1000


def test_tokens_are_as_large_as_their_file(
    folder: RunFolder, small: Corpus, tiny_bert: Path
) -> None:
    config = over_first_stage(tiny_bert)
    encoder, measures = config.reranker.encoder, bench(config, folder)
    guess = measures.tokens(encoder)
    assert guess.seconds > 0
    path = folder.tokens(cache_keys.tokens_key(encoder))
    write_tokens(tokenise(small, encoder), small, path, encoder)
    arrays = tokenise(small, encoder).candidate
    assert guess.bytes == arrays.ids.nbytes + arrays.starts.nbytes
    assert measures.tokens(encoder) == Cost(0.0, path.stat().st_size)


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
