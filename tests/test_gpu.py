"""What only a GPU can show; the rest of the suite runs the same code on a CPU."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.encoder import gathered
from counterpoint.encoders.live import LiveEncoder
from counterpoint.models.weights import unique_weights
from counterpoint.results.epoch_log import EpochRecord
from counterpoint.training.data import CorpusData
from counterpoint.training.epochs import StepTaken
from counterpoint.training.trainer import Trainer
from tests.support.encoders import other_versions
from tests.support.training import cell, live_encoder, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]

GPU = torch.device("cuda")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """A BERT whose activations take far more memory than its weights."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    sizes = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}
    with torch.random.fork_rng():
        torch.manual_seed(7)
        BertModel(BertConfig(**sizes, intermediate_size=1024)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    return folder


def trainer(corpus: Corpus, bert: Path, *, batch: int = 16, **encoder: Any) -> Trainer:
    options = cell(
        encoder={"name": str(bert), "max_tokens": 512, "trainable": "all", **encoder},
        training={"epochs": 1, "batch_size": batch, "learning_rate": 1e-4},
    )
    return Trainer(options, CorpusData(corpus), live_encoder(options, corpus), GPU)


def run(trained: Trainer) -> EpochRecord:
    return train(trained).log[0]


def weights(trained: Trainer) -> dict[str, torch.Tensor]:
    """Away from the GPU, whose memory is measured."""
    return {name: value.cpu() for name, value in unique_weights(trained.model).items()}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_real_lack_of_memory_backs_off_to_the_same_training(
    corpus: Corpus, bert: Path, precision: str
) -> None:
    settings: dict[str, Any] = {
        "batch": 32, "dropout": 0.0, "precision": precision, "batch_tokens": 2048
    }  # fmt: skip
    start = weights(trainer(corpus, bert, **settings))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    whole = trainer(corpus, bert, **settings)
    expected = run(whole)
    wanted = weights(whole)
    # What is needed however small the pieces are, and what whole batches took.
    held, used = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    del whole
    torch.cuda.empty_cache()
    cut = trainer(corpus, bert, **settings)
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.set_per_process_memory_fraction((held + used) / 2 / total)
    try:
        found = run(cut)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert cut.model.encoder.pieces > 1
    assert "out of memory: batches go in 2 pieces" in found.events
    assert not [event for event in expected.events if "memory" in event]
    tolerance = 1e-4 if precision == "float32" else 1e-2
    losses = asdict(found.losses["train"])
    assert losses == pytest.approx(asdict(expected.losses["train"]), rel=tolerance)
    # Where a gradient is nothing but rounding Adam takes a step all the same.
    after = weights(cut)
    moved = sum(float((wanted[name] - start[name]).abs().sum()) for name in start)
    apart = sum(float((wanted[name] - after[name]).abs().sum()) for name in start)
    assert apart < (0.02 if precision == "float32" else 0.3) * moved


def test_nothing_waits_for_the_device_within_an_epoch(corpus: Corpus, bert: Path) -> None:
    trained = trainer(corpus, bert, batch=4, precision="bfloat16")
    steps, last = 0, len(trained.data.pairs) // 4
    try:
        for event in trained.events():
            if isinstance(event, StepTaken):
                steps += 1
                # From the first step's end to the last one's.
                ends = event.steps == last
                torch.cuda.set_sync_debug_mode("default" if ends else "error")
                if steps == 1:
                    with pytest.raises(RuntimeError, match="synchroniz"):
                        torch.ones(1, device=GPU).item()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert steps == last


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("trainable", ["all", 2])
def test_texts_in_a_row_give_the_vectors_and_gradients_of_padded_ones(
    corpus: Corpus, bert: Path, pooling: str, trainable: object
) -> None:
    settings: dict[str, Any] = {"dropout": 0.0, "pooling": pooling, "trainable": trainable}
    found = []
    for precision, packs in (("float32", False), ("bfloat16", False), ("bfloat16", True)):
        with nullcontext() if packs else other_versions():
            live = trainer(corpus, bert, precision=precision, **settings).model.encoder
        assert isinstance(live, LiveEncoder)
        assert live.packs == packs
        x = live(torch.arange(24), "query")
        x.square().sum().backward()
        learning = [each.grad for each in live.parameters() if each.grad is not None]
        with torch.no_grad():
            embedded = gathered(live.eval().embed(torch.arange(24), "query"), 24)
        found.append([x.detach(), embedded, torch.cat([each.flatten() for each in learning])])
    for exact, padded, packed in zip(*found, strict=True):
        rounding = (padded - exact).norm() / exact.norm()
        assert (packed - exact).norm() / exact.norm() < 2 * rounding
        assert (packed - padded).norm() / exact.norm() < 2 * rounding


def test_dropout_acts_on_texts_in_a_row(corpus: Corpus, bert: Path) -> None:
    live = trainer(corpus, bert, precision="bfloat16", dropout=0.3).model.encoder.train()
    assert isinstance(live, LiveEncoder)
    assert live.packs
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(live(torch.arange(8), "query").detach())
    torch.testing.assert_close(drawn[0], drawn[1], rtol=0, atol=0)
    assert (drawn[0] - drawn[2]).norm() > 0.01 * drawn[0].norm()


def test_a_compiled_encoder_learns_the_same(corpus: Corpus, bert: Path) -> None:
    plain, compiled = (
        run(trainer(corpus, bert, precision="bfloat16", dropout=0.0, compile=asked))
        for asked in (False, True)
    )
    losses = asdict(compiled.losses["train"])
    assert losses == pytest.approx(asdict(plain.losses["train"]), rel=1e-2)
