"""The line before the first job: quickly made, and no encoder loaded."""

from pathlib import Path
from typing import Any

import pytest
import torch

from counterpoint.cli.main import main
from counterpoint.config.loading import dump
from counterpoint.config.matrix import all_cells, expand
from counterpoint.config.options import CellOptions
from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.encoders.hub import MissingEncoder
from counterpoint.errors import InputError
from counterpoint.runs import quick
from counterpoint.runs.estimate import CellCost, Cost
from counterpoint.runs.folder import RunFolder
from counterpoint.runs.measure import Bench
from counterpoint.runs.quick import Quick, Shape, quick_text
from tests.support.miniature import configuration

Captured = pytest.CaptureFixture[str]


def bench(config: RunConfig, small: Corpus, folder: Path) -> Bench:
    run = RunFolder(folder / "mini")
    write_arguments(small, run.arguments)
    return Bench(config, run, arguments=None, device=torch.device("cpu"))


class Tried:
    """Stands in for `Bench.on_vectors`: epochs that cost as much as the projection is wide."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[CellOptions] = []
        monkeypatch.setattr(bench, "on_vectors", self)

    def __call__(self, options: CellOptions, *_: Any) -> CellCost:
        self.asked.append(options)
        return CellCost(Cost(0, 0), Cost(int(options.projection.width), 0))


def test_the_plan_is_a_line(small: Corpus, tiny_bert: Path, tmp_path: Path) -> None:
    text = quick_text(bench(configuration(tiny_bert), small, tmp_path), cores=2)
    assert text.startswith("run mini: 4 cells; about ")
    assert ", 2 at a time; about " in text
    assert "made-up vectors; " in text  # then, perhaps, that the machine is busy
    assert text.endswith("; matrix products of the encoder's size)")
    assert "\n" not in text


def test_no_encoder_is_loaded(
    small: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "_live", None)
    config = configuration(tiny_bert, matrix={"axes": {"trainable": ["none", "all"]}})
    assert "2 cells; about " in quick_text(bench(config, small, tmp_path), cores=2)


def test_a_live_cell_costs_more_by_its_passes_and_steps(
    small: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(tiny_bert, matrix={"axes": {"trainable": ["none", "all"]}})
    measures = bench(config, small, tmp_path)
    Tried(measures, monkeypatch)
    monkeypatch.setattr(Quick, "_pass", lambda *_: 10.0)
    frozen, live = (Quick(measures).cell(cell.options) for cell in expand(config, "test"))
    assert live.fixed.seconds - frozen.fixed.seconds == pytest.approx(20)
    # Two batches of four of the eight pairs: three texts each, there and back.
    steps = 2 * 10 * 12 / len(small.texts) * 3
    assert live.epoch.seconds - frozen.epoch.seconds == pytest.approx(10 + steps)
    weights = (tiny_bert / "model.safetensors").stat().st_size
    assert live.fixed.bytes - frozen.fixed.bytes == weights


def second_stage(tiny_bert: Path, **training: int) -> RunConfig:
    """A cell with a cross-encoder over a frozen first stage."""
    return configuration(
        tiny_bert,
        evaluation={"rerank": 3, "train_sample": 5},
        reranker={
            "kind": "cross_encoder",
            "encoder": {"name": str(tiny_bert), "max_tokens": 16},
            "mining": {"negatives": 2, "top_m": 3},
            "training": {"epochs": 2, "batch_size": 4, **training},
        },
        matrix={},
    )


def test_a_cross_encoder_costs_by_the_pairs_that_it_learns_from_and_reads(
    small: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = second_stage(tiny_bert)
    measures = bench(config, small, tmp_path)
    tried = Tried(measures, monkeypatch)
    monkeypatch.setattr(Bench, "_live", None)
    monkeypatch.setattr(Quick, "_pass", lambda *_: 10.0)
    first, second = (Quick(measures).cell(cell.options) for cell in all_cells(config, "test"))
    assert not any(options.reads_pairs for options in tried.asked)
    # Eight points with three texts each, there and back; then the three nearest of 5 + 8 + 8.
    assert second.epoch.seconds - first.epoch.seconds == pytest.approx(10 * (8 * 3 * 3 + 3 * 21))
    weights = (tiny_bert / "model.safetensors").stat().st_size
    assert second.fixed.bytes - first.fixed.bytes == weights
    assert "2 cells; about " in quick_text(measures, cores=2)


def test_a_cross_encoders_batch_is_named(small: Corpus, tiny_bert: Path, tmp_path: Path) -> None:
    config = second_stage(tiny_bert, batch_size=9)
    with pytest.raises(InputError, match=r"^reranker\.training\.batch_size: 9 is more than the 8"):
        quick_text(bench(config, small, tmp_path), cores=2)


def test_an_encoders_shape_is_that_of_its_file(tiny_bert: Path, tmp_path: Path) -> None:
    shape = Shape.of(str(tiny_bert))
    assert shape is not None
    assert (shape.layers, shape.hidden) == (2, 32)
    assert shape.products == 2 * (4 * 32**2 + 2 * 32 * shape.inner)
    assert Shape.of("nobody/no-such-encoder") is None
    (tmp_path / "config.json").write_text('{"n_layers": 6, "dim": 768}')
    (tmp_path / "model.safetensors").touch()
    assert Shape.of(str(tmp_path)) is None


def test_few_kinds_of_cells_are_tried(
    small: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = {"fusion": ["embedding", "cls", "concat"], "head": ["relu", "linear"], "seed": [1, 2]}
    config = configuration(tiny_bert, matrix={"axes": axes})
    measures = bench(config, small, tmp_path)
    tried, measure = Tried(measures, monkeypatch), Quick(measures)
    for cell in expand(config, "test"):
        measure.cell(cell.options)
    assert [options.fusion for options in tried.asked] == ["concat"]


def test_after_a_while_the_dearest_stands_for_the_rest(
    small: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(tiny_bert, matrix={"axes": {"width": [8, 32, 16, 64]}})
    cells = [cell.options for cell in expand(config, "test")]
    measures = bench(config, small, tmp_path)
    Tried(measures, monkeypatch)
    measure = Quick(measures)
    assert [measure.cell(options).epoch.seconds for options in cells[:3]] == [8, 32, 16]
    monkeypatch.setattr(quick, "BUDGET_SECONDS", 0.0)
    assert measure.cell(cells[3]).epoch.seconds == 32
    # Of live encoders nothing is known yet, so the first one is tried all the same.
    encoder = cells[3].encoder.model_copy(update={"trainable": "all"})
    live = cells[3].model_copy(update={"encoder": encoder})
    assert measure.cell(live).epoch.seconds > 64


def test_a_cell_that_cannot_be_measured_stops_no_other(
    small: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> CellCost:
        raise InputError("encoder.trainable: 9 layers of 2\nand more")

    measures = bench(configuration(tiny_bert), small, tmp_path)
    monkeypatch.setattr(measures, "on_vectors", refuse)
    assert quick_text(measures, cores=2) == (
        "run mini: 4 cells; no estimate of the time: encoder.trainable: 9 layers of 2"
    )


def test_a_corpus_that_cannot_be_read_is_left_to_its_rule(tiny_bert: Path, tmp_path: Path) -> None:
    config = configuration(tiny_bert, corpus=str(tmp_path / "nowhere"))
    run = RunFolder(tmp_path / "mini")
    text = quick_text(Bench(config, run, arguments=None, device=torch.device("cpu")), cores=2)
    assert text.startswith("run mini: 4 cells; no estimate of the time: ")
    assert "nowhere" in text


def test_the_command_prints_the_line(
    small: Corpus, tiny_bert: Path, tmp_path: Path, capsys: Captured
) -> None:
    write_arguments(small, tmp_path / "arguments.parquet")
    arguments = ["--arguments", str(tmp_path / "arguments.parquet"), "--cores", "3"]
    config = dump(configuration(tiny_bert))
    assert main(["plan", "--quick", "--config", config, *arguments]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("counterpoint: run mini: 4 cells; about ")
    assert ", 3 at a time" in line


def test_a_batch_larger_than_the_pairs_is_one_sentence(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    config = configuration(tiny_bert, matrix={"axes": {"batch_size": [4, 8, 9], "seed": [1, 2]}})
    with pytest.raises(InputError) as caught:
        quick_text(bench(config, small, tmp_path), cores=2)
    assert str(caught.value) == (
        "training.batch_size: 9 is more than the 8 different training pairs (2 of 6 cells); give a "
        "smaller batch"
    )


def test_an_encoder_that_cannot_be_had_is_refused(
    small: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    config = configuration(Path("nobody/no-such-encoder"))
    with pytest.raises(MissingEncoder, match="nobody/no-such-encoder"):
        quick_text(bench(config, small, tmp_path), cores=2)
