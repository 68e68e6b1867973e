"""Opening a run: whose options it has, and what is refused before any job starts."""

from pathlib import Path
from typing import Any

import pytest

from counterpoint.config.loading import load, load_written
from counterpoint.config.run_options import RunConfig
from counterpoint.errors import InputError
from counterpoint.runs.opening import Opened, open_run
from tests.support.existing import existing

DEFAULTS: dict[str, Any] = {
    "run": "demo",
    "training": {"epochs": 60},
    "matrix": {"axes": {"fusion": ["cls", "concat"], "seed": [1, 2, 3]}},
}
MINE: dict[str, Any] = {
    "run": "mine",
    "corpus": {"bad_files": "skip"},
    "training": {"epochs": 5},
    "matrix": {"axes": {"fusion": ["cls", "concat"]}},
}


def opened(
    results: Path, *files: dict[str, Any], may_refuse: bool = True, **command_line: Any
) -> Opened:
    named = {f"file{number}.yaml": values for number, values in enumerate(files)}
    return open_run(
        {"config/config.yaml": DEFAULTS, **named},
        command_line,
        results=results,
        may_refuse=may_refuse,
    )


def refusal(results: Path, *files: dict[str, Any], **command_line: Any) -> str:
    with pytest.raises(InputError) as caught:
        opened(results, *files, **command_line)
    return str(caught.value)


# ---- whose options ----


def test_a_new_run_has_the_options_of_the_files_and_the_command_line(tmp_path: Path) -> None:
    found = opened(tmp_path, {"training": {"batch_size": 4}}, run="new", seed=7)
    assert found.config.run == "new"
    assert found.folder.path == tmp_path / "new"
    assert (found.config.training.epochs, found.config.training.batch_size) == (60, 4)
    assert found.config.seed == 7
    assert len(found.cells) == 6


def test_an_existing_run_that_the_command_line_names_has_its_own_options(tmp_path: Path) -> None:
    cells = existing(tmp_path, MINE, finished=2)
    found = opened(tmp_path, run="mine")
    assert found.config == load_written(RunConfig, tmp_path / "mine" / "config.json")
    assert list(found.cells) == [cell.name for cell in cells]


def test_what_else_is_given_goes_on_top_of_its_own_options(tmp_path: Path) -> None:
    existing(tmp_path, MINE)
    found = opened(tmp_path, {"evaluation": {"rerank": 3}}, run="mine", seed=7)
    assert found.config == load({**MINE, "evaluation": {"rerank": 3}, "seed": 7}, "test")


def test_a_run_that_a_file_names_has_the_options_of_the_files(tmp_path: Path) -> None:
    existing(tmp_path, MINE)
    assert opened(tmp_path, {"run": "mine"}).config.training.epochs == 60


def test_a_run_is_itself_in_a_folder_of_another_name(tmp_path: Path) -> None:
    existing(tmp_path, MINE, finished=2)
    (tmp_path / "mine").rename(tmp_path / "yours")
    found = opened(tmp_path, run="yours")
    assert found.config == load({**MINE, "run": "yours"}, "test")


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path / "results", run="../x")
    assert message.startswith("--config: the configuration is not valid\n  run: ")


# ---- other options for an existing run ----


def test_other_options_for_an_existing_run_are_refused_and_told(tmp_path: Path) -> None:
    existing(tmp_path, MINE, finished=2, seconds=[60, 120])
    message = refusal(tmp_path, run="mine", training={"epochs": 9})
    assert message.splitlines() == [
        f"run 'mine' was begun with other options ({tmp_path / 'mine' / 'config.json'} → now):",
        "  training.epochs: 5 → 9",
        "It would cost: 2 cells to train, 2 of them anew, about 3 min 00 s of computing by "
        "finished ones; 0 cells kept.",
        "Nothing is changed. To go on all the same add --config change=true; for another run, "
        "run=NAME; for this one as it is, give only run=mine.",
    ]


def test_so_are_those_of_files(tmp_path: Path) -> None:
    existing(tmp_path, {**DEFAULTS, "seed": 4}, finished=1)
    message = refusal(tmp_path)
    assert "  seed: 4 → 1" in message
    assert "run=demo" in message


@pytest.mark.parametrize("change", [True, "true"])
def test_who_says_so_may_change_a_run(tmp_path: Path, change: Any) -> None:
    existing(tmp_path, MINE, finished=2)
    found = opened(tmp_path, run="mine", training={"epochs": 9}, change=change)
    assert found.config == load({**MINE, "training": {"epochs": 9}}, "test")
    assert "  training.epochs: 5 → 9" in refusal(
        tmp_path, run="mine", training={"epochs": 9}, change=False
    )


def test_a_job_of_a_run_is_never_refused(tmp_path: Path) -> None:
    existing(tmp_path, MINE, finished=2)
    found = opened(tmp_path, run="mine", training={"epochs": 9}, may_refuse=False)
    assert found.config.training.epochs == 9


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_change_is_true_or_false(tmp_path: Path, value: Any) -> None:
    assert "--config: change: expected true or false" in refusal(tmp_path, run="mine", change=value)


def test_change_is_no_option_of_a_file(tmp_path: Path) -> None:
    assert "file0.yaml: the configuration is not valid\n  change: unknown key" in refusal(
        tmp_path, {"change": True}
    )


def test_a_configuration_that_no_version_wrote_is_refused(tmp_path: Path) -> None:
    existing(tmp_path, DEFAULTS)
    (tmp_path / "demo" / "config.json").write_text('{"run": "demo", "fusoin": 1}')
    message = refusal(tmp_path)
    assert "config.json" in message
    assert "change=true" in message
    assert opened(tmp_path, change=True).config.run == "demo"


# ---- what cannot be there ----


def test_a_tracker_that_is_not_installed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "mlflow" in refusal(tmp_path, trackers=["mlflow"])


def test_a_corpus_that_is_not_there_is_refused_with_its_source(tmp_path: Path) -> None:
    message = refusal(tmp_path, corpus="no/such.csv")
    assert message.startswith("--config: corpus.path: no/such.csv: no such folder")


@pytest.mark.parametrize("name", ["/no/such/folder", "./bert", "a/b/c", "$MODEL", "my model"])
def test_an_encoder_that_cannot_be_found_is_refused_once_with_its_source(
    tmp_path: Path, name: str
) -> None:
    message = refusal(tmp_path, encoder=name)
    assert message.startswith(f"--config: encoder.name: {name!r}: no such folder")
    assert len(message.splitlines()) == 1
    axes = {"encoder": [name, "all-MiniLM-L6-v2"], "seed": [1, 2, 3]}
    message = refusal(tmp_path, {"matrix": {"axes": axes}})
    assert message.startswith(f"file0.yaml: encoder.name: {name!r}: no such folder")
    assert len(message.splitlines()) == 1


def test_a_corpus_is_known_by_its_contents_and_a_download_by_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("point,counter\n")
    before = opened(tmp_path, corpus=str(tmp_path / "pairs.csv")).corpus_fingerprint
    (tmp_path / "pairs.csv").write_text("counter,point\n")
    assert opened(tmp_path, corpus=str(tmp_path / "pairs.csv")).corpus_fingerprint != before
    download = {"url": "https://example.org/a.zip", "sha256": "0" * 64}
    assert opened(tmp_path, corpus=download).corpus_fingerprint == "0" * 64
