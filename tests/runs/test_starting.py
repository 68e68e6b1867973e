"""Before the first job: the plan in a line, and batches that no corpus fills."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from counterpoint.config.loading import dump
from counterpoint.config.matrix import expand
from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.io.atomic import write_text
from counterpoint.runs.folder import RunFolder
from counterpoint.runs.opening import Opened
from counterpoint.runs.starting import Stop, begin
from counterpoint.tasks.audit import write_corpus
from tests.support.miniature import configuration

Captured = pytest.CaptureFixture[str]


def opened(config: RunConfig, results: Path) -> Opened:
    cells = {cell.name: cell for cell in expand(config, "test")}
    return Opened(config, RunFolder(results / config.run), cells, None)


def test_a_batch_larger_than_the_pairs_of_the_audit_is_refused(
    small: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    run = opened(configuration(tiny_bert, training={"batch_size": 9}), tmp_path)
    write_corpus(small, [], run.folder.audit.parent)
    with pytest.raises(InputError, match=r"9 is more than the 8 .* \(4 of 4 cells\)"):
        begin(run, {"train"}, local=True, cores=2)


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
    begin(run, {"tables"}, local=True, cores=2)
    assert capsys.readouterr().err == ""
    begin(run, {"train"}, local=False, cores=None)
    assert capsys.readouterr().err == "counterpoint: run mini: 4 cells\n"
    assert calls == []


def test_an_audit_without_a_training_folder_tells_nothing(tiny_bert: Path, tmp_path: Path) -> None:
    run = opened(configuration(tiny_bert, training={"batch_size": 9}), tmp_path)
    write_text(run.folder.audit, "split,roles,trained_pairs\nvalidation,dev,0\n")
    begin(run, {"train"}, local=False, cores=None)
