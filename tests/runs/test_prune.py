"""Which states are stale, and that nothing else goes."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from counterpoint.cli.main import main
from counterpoint.config import loading, matrix
from counterpoint.config.run_options import RunConfig
from counterpoint.errors import InputError
from counterpoint.io import atomic
from counterpoint.runs import prune
from counterpoint.runs.folder import RunFolder
from counterpoint.runs.provenance import running_code
from counterpoint.training.checkpoint import CHECKPOINT, IDENTITY, CheckpointFolder, Identity
from counterpoint.versions import TRAINING_VERSION

CONFIG = {
    "run": "r",
    "matrix": {"axes": {"fusion": ["cls", "concat"], "head": ["linear"]}},
}


NOW = Identity(
    options={},
    corpus="a",
    inputs="",
    encoder=None,
    threads=1,
    device="cpu",
    torch="",
    numpy="",
    transformers="",
    training_version=TRAINING_VERSION,
    code=running_code(),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = RunFolder(tmp_path / "results/r")
    atomic.write_text(folder.config, loading.dump(loading.load(CONFIG, "test")))
    return folder.path


def cells(run: Path) -> dict[str, dict[str, Any]]:
    config = loading.load_written(RunConfig, RunFolder(run).config)
    return {c.name: c.options.model_dump(mode="json") for c in matrix.expand(config, "test")}


def state(run: Path, name: str, options: dict[str, Any], **more: Any) -> Path:
    """A saved state of a cell; the folder's."""
    identity = replace(NOW, options=options, **more)
    path = CheckpointFolder(RunFolder(run).state(name).path, identity).path
    (path / CHECKPOINT).write_bytes(b"12345")
    return path


def reasons(run: Path) -> dict[Path, str]:
    return {state.path: state.reason for state in prune.stale(run)}


def test_a_state_that_can_be_taken_up_stays(run: Path) -> None:
    for name, options in cells(run).items():
        state(run, name, options)
    assert prune.stale(run) == []


def test_each_kind_of_stale_state_is_named(run: Path) -> None:
    first, second = cells(run).items()
    other = {**first[1], "seed": 9}
    expected = {
        state(run, first[0], other): "the cell has other options now: seed (9 there, 1 now)",
        state(run, "fusion~none", first[1]): "no such cell is planned",
        state(run, *first, training_version=1): "another version of the training code made it",
        state(run, *first, code="0"): "another version of the training code made it",
    }
    kept = state(run, *first)
    finished = state(run, *second)
    atomic.write_text(RunFolder(run).cell(second[0]).outcome, "{}")
    expected[finished] = "its cell is finished"
    assert reasons(run) == expected
    assert kept.exists()


def test_a_state_whose_identity_cannot_be_read_is_stale(run: Path) -> None:
    path = state(run, *next(iter(cells(run).items())))
    (path / IDENTITY).write_text('{"code": 1}')
    assert reasons(run) == {path: "its identity.json cannot be read"}


def test_of_two_with_the_same_options_the_later_stays(run: Path) -> None:
    name, options = next(iter(cells(run).items()))
    old, new = (state(run, name, options, corpus=corpus) for corpus in ("a", "b"))
    # The later is the one that was saved last, also where it was begun first.
    os.utime(new / IDENTITY, (1, 1))
    os.utime(old / CHECKPOINT, (2, 2))
    assert reasons(run) == {old: "a later one is of another corpus, number of threads or machine"}
    assert new.exists()


def test_the_state_of_a_running_job_stays(run: Path) -> None:
    path = state(run, "gone", {})
    with FileLock(RunFolder(run).state("gone").lock):
        assert prune.stale(run) == []
    assert reasons(run) == {path: "no such cell is planned"}


def test_a_state_that_a_job_has_taken_up_since_stays(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = state(run, "gone", {})
    found = prune.stale(run)
    with FileLock(RunFolder(run).state("gone").lock):
        assert prune.remove(found) == []
    assert path.exists()
    with monkeypatch.context() as patch:
        patch.setattr(prune, "remove", lambda states: [])
        assert main(["clean", "--run", str(run)]) == 0
    assert "0 states, 0.0 MB removed; 1 kept" in capsys.readouterr().out
    assert prune.remove(found) == found
    assert not path.exists()


def test_the_command_names_sizes_and_removes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = state(run, "gone", {})
    kept = state(run, *next(iter(cells(run).items())))
    assert main(["clean", "--run", str(run), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{path}: no such cell is planned" in said
    assert "would be removed" in said
    assert path.exists()
    assert main(["clean", "--run", str(run)]) == 0
    assert not path.exists()
    assert kept.exists()
    assert main(["clean", "--run", str(run)]) == 0
    assert "nothing is stale" in capsys.readouterr().out


def test_a_folder_without_a_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        prune.stale(tmp_path)
