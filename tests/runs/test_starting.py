"""Before the first job: the plan in a line, and batches that no corpus fills."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from counterpoint.cli.main import main
from counterpoint.config.loading import dump
from counterpoint.config.matrix import expand
from counterpoint.config.options import CellOptions, EncoderOptions, RunConfig
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.errors import InputError
from counterpoint.io.atomic import write_text
from counterpoint.runs import starting
from counterpoint.runs.estimate import CellCost, Cost
from counterpoint.runs.folder import RunFolder
from counterpoint.runs.measure import Bench
from counterpoint.runs.opening import Opened
from counterpoint.runs.starting import Quick, Stop, begin, quick_text
from counterpoint.tasks.audit import write_corpus
from tests.support.miniature import configuration

Captured = pytest.CaptureFixture[str]


class Told:
    """Epochs that cost more for a wider projection."""

    def __init__(self) -> None:
        self.asked: list[CellOptions] = []

    @property
    def notes(self) -> Sequence[str]:
        return [f"{len(self.asked)} cells"]

    def encoding(self, options: EncoderOptions) -> Cost:
        return Cost(1, 2)

    def cell(self, options: CellOptions) -> CellCost:
        self.asked.append(options)
        return CellCost(Cost(0, 0), Cost(int(options.projection.width), 0))


def opened(config: RunConfig, results: Path) -> Opened:
    cells = {cell.name: cell for cell in expand(config, "test")}
    return Opened(config, RunFolder(results / config.run), cells, None)


def bench(config: RunConfig, small: Corpus, folder: Path) -> Bench:
    run = RunFolder(folder / "mini")
    write_arguments(small, run.arguments)
    return Bench(config, run, arguments=None, device=torch.device("cpu"))


# ---- the plan ----


def test_the_plan_is_a_line(small: Corpus, tiny_bert: Path, tmp_path: Path) -> None:
    text = quick_text(bench(configuration(tiny_bert), small, tmp_path), cores=2)
    assert text.startswith("run mini: 4 cells; about ")
    assert ", 2 at a time; about " in text
    assert "made-up vectors of 32 dimensions" in text
    assert "\n" not in text


def test_few_kinds_of_cells_are_measured(tiny_bert: Path) -> None:
    axes = {"fusion": ["embedding", "cls", "concat"], "head": ["relu", "linear"], "seed": [1, 2]}
    told = Told()
    quick = Quick(told)
    for cell in expand(configuration(tiny_bert, matrix={"axes": axes}), "test"):
        quick.cell(cell.options)
    assert [options.fusion for options in told.asked] == ["concat"]
    assert quick.notes == ["1 cells"]


def test_after_a_while_the_dearest_stands_for_the_rest(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = {"width": [8, 32, 16, 64], "trainable": ["none", "all"]}
    cells = [cell.options for cell in expand(configuration(tiny_bert, matrix={"axes": axes}), "t")]
    told = Told()
    quick = Quick(told)
    frozen = [options for options in cells if options.encoder.trainable == "none"]
    first = [quick.cell(options).epoch.seconds for options in frozen[:3]]
    monkeypatch.setattr(starting, "BUDGET_SECONDS", 0.0)
    assert first == [8, 32, 16]
    assert quick.cell(frozen[3]).epoch.seconds == 32
    # Nothing is known yet of a live encoder, so the first one is measured all the same.
    live = [options for options in cells if options.encoder.trainable == "all"]
    assert [quick.cell(options).epoch.seconds for options in live] == [8, 8, 8, 8]


def test_a_cell_that_cannot_be_measured_stops_no_other(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    config = configuration(tiny_bert, matrix={"axes": {"trainable": ["none", 9]}})
    text = quick_text(bench(config, small, tmp_path), cores=2)
    assert text.startswith("run mini: 2 cells; no estimate of the time: encoder.trainable: 9 layer")


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


# ---- what cannot be done ----


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


def test_so_it_is_where_the_corpus_has_been_read_already(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    run = opened(configuration(tiny_bert, training={"batch_size": 9}), tmp_path)
    write_corpus(small, [], run.folder.audit.parent)
    with pytest.raises(InputError, match=r"9 is more than the 8 .* \(4 of 4 cells\)"):
        begin(run, {"train"}, local=True, cores=2)


def test_an_encoder_that_cannot_be_loaded_is_refused(
    small: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = configuration(Path("nobody/no-such-encoder"))
    with pytest.raises(InputError, match="nobody/no-such-encoder"):
        quick_text(bench(config, small, tmp_path), cores=2)


# ---- in the workflow ----


class Calls(list[list[str]]):
    """Stands in for `subprocess.run`."""

    def __init__(self, status: int | None) -> None:
        self.status = status

    def __call__(self, command: list[str], **options: Any) -> Any:
        self.append(command)
        if self.status is None:
            raise subprocess.TimeoutExpired(command, 1)
        return subprocess.CompletedProcess(command, self.status)


@pytest.mark.parametrize("status", [0, 1, 2, None])
def test_the_plan_is_made_by_a_process_of_its_own(
    status: int | None,
    tiny_bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    calls = Calls(status)
    monkeypatch.setattr("counterpoint.runs.starting.subprocess.run", calls)
    run = opened(configuration(tiny_bert), tmp_path)
    if status == 2:
        with pytest.raises(Stop):
            begin(run, {"corpus", "train"}, local=True, cores=2)
    else:
        begin(run, {"corpus", "train"}, local=True, cores=2)
    (command,) = calls
    assert command[1:5] == ["-m", "counterpoint", "plan", "--quick"]
    assert command[-2:] == ["--cores", "2"]
    assert dump(run.config) in command
    assert ("machine is busy" in capsys.readouterr().err) == (status is None)


def test_nothing_is_measured_where_nothing_is_trained_or_elsewhere(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    calls = Calls(0)
    monkeypatch.setattr("counterpoint.runs.starting.subprocess.run", calls)
    run = opened(configuration(tiny_bert), tmp_path)
    begin(run, {"tables", "matrix"}, local=True, cores=2)
    assert capsys.readouterr().err == ""
    begin(run, {"train"}, local=False, cores=None)
    assert capsys.readouterr().err == "counterpoint: run mini: 4 cells\n"
    assert calls == []


def test_an_audit_without_a_training_folder_tells_nothing(tiny_bert: Path, tmp_path: Path) -> None:
    run = opened(configuration(tiny_bert, training={"batch_size": 9}), tmp_path)
    write_text(run.folder.audit, "split,roles,trained_pairs\nvalidation,dev,0\n")
    begin(run, {"train"}, local=False, cores=None)
