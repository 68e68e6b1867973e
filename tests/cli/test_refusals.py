"""Input that cannot be used is refused by name, and nothing is written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpoint.cli import main
from counterpoint.config.options import CellOptions
from counterpoint.errors import InputError
from counterpoint.runs.job import Job
from tests.support.commands import URL, Captured, Inputs, refused

CORPUS_CASES = {
    "no corpus": (lambda i: ["corpus", "--corpus", i.nowhere], ["nowhere", "no such"]),
    "variable not set": (lambda i: ["corpus", "--corpus", "$NO_SUCH_X"], ["$NO_SUCH_X"]),
    "no zip": (lambda i: ["corpus", "--corpus", i.text], ["notes.txt", "not a zip"]),
    "bad file": (
        lambda i: ["corpus", "--corpus", i.bad],
        ["bad", "training/law/juries/pro/notes.txt"],
    ),
    "no such split": (
        lambda i: ["corpus", "--corpus", i.corpus, "--splits", "test=exam"],
        ["exam", "training, validation", "good"],
    ),
    "no such role": (
        lambda i: ["corpus", "--corpus", i.corpus, "--splits", "trian=training"],
        ["splits.trian", "did you mean 'splits.train'"],
    ),
    "no equals sign": (
        lambda i: ["corpus", "--corpus", i.corpus, "--splits", "training"],
        ["--splits", "ROLE=FOLDER", "'training'"],
    ),
    "no folder after it": (
        lambda i: ["corpus", "--corpus", i.corpus, "--splits", "train="],
        ["--splits", "'train='"],
    ),
    "url alone": (lambda i: URL, ["url", "sha256"]),
    "sha256 too short": (lambda i: [*URL, "--sha256", "abc"], ["sha256", '"abc"']),
}


INPUT_CASES = {
    "no table": (lambda i: i.baseline("tfidf", i.text), ["notes.txt", "counterpoint corpus"]),
    "half a table": (lambda i: i.baseline("tfidf", i.cut), ["cut.parquet"]),
    "a damaged table": (lambda i: i.baseline("tfidf", i.hurt), ["hurt.parquet"]),
    "no such table": (lambda i: i.baseline("tfidf", i.nowhere), ["nowhere", "o such file"]),
    "no features": (lambda i: i.baseline("untrained", i.arguments), ["--features"]),
    "features of another corpus": (
        lambda i: i.baseline("untrained", i.arguments, "--features", i.others),
        ["others.safetensors", "another corpus"],
    ),
    "half the features": (
        lambda i: i.baseline("untrained", i.arguments, "--features", i.cut_features),
        ["cut.safetensors"],
    ),
    "damaged features": (
        lambda i: i.baseline("untrained", i.arguments, "--features", i.hurt_features),
        ["hurt.safetensors", "damaged"],
    ),
    "an array of another kind": (
        lambda i: i.baseline("untrained", i.arguments, "--features", i.array),
        ["array.npy"],
    ),
    "features that are text": (
        lambda i: i.baseline("untrained", i.arguments, "--features", i.text),
        ["notes.txt"],
    ),
    "no such features": (
        lambda i: i.baseline("untrained", i.arguments, "--features", i.nowhere),
        ["nowhere"],
    ),
    "tokens that are features": (
        lambda i: ["features", "--arguments", i.arguments, "--tokens", i.features],
        ["features.safetensors"],
    ),
    "too few pairs": (lambda i: ["synthesize", "--pairs", "9"], ["--pairs", "9"]),
}


def options(text: object) -> Callable[[Inputs], list[object]]:
    return lambda _: ["matrix", "--config", text]


OPTION_CASES = {
    "bad JSON": (options('{"seed": 1'), ["--config", "JSON"]),
    "bad JSON in a file": (
        lambda i: ["matrix", "--config", i.text],
        ["notes.txt", "JSON"],
    ),
    "a file that is not UTF-8": (
        lambda i: ["matrix", "--config", i.binary],
        ["options.json"],
    ),
    "no such file": (
        lambda i: ["matrix", "--config", i.nowhere],
        ["nowhere"],
    ),
    "unknown section": (
        options('{"run": "a", "minning": {}}'),
        ["minning", "did you mean 'mining'"],
    ),
    "unknown option": (
        options('{"run": "a", "training": {"epoch": 3}}'),
        ["training.epoch", "did you mean 'training.epochs'"],
    ),
    "value out of range": (
        options('{"run": "a", "training": {"batch_size": 0}}'),
        ["training.batch_size", "0"],
    ),
    "value of another type": (options('{"run": "a", "seed": "one"}'), ["seed", '"one"']),
    "ReLU without a layer": (
        options('{"run": "a", "head": {"kind": "relu", "hidden": 0}}'),
        ["head.hidden 0", "'relu'"],
    ),
    "bad JSON of a matrix": (lambda i: ["matrix", "--config", '{"run": '], ["--config", "JSON"]),
    "unknown option of a matrix": (
        lambda i: ["matrix", "--config", '{"run": "a", "fussion": "cls"}'],
        ["--config", "fussion", "did you mean 'fusion'"],
    ),
}

ALL_CASES = {**CORPUS_CASES, **INPUT_CASES, **OPTION_CASES}


@pytest.mark.parametrize("case", ALL_CASES)
def test_bad_input_is_refused_by_name_and_writes_nothing(
    case: str, inputs: Inputs, capsys: Captured
) -> None:
    arguments, expected = ALL_CASES[case]
    message = refused(arguments(inputs), inputs.tmp, capsys)
    assert [part for part in expected if part not in message] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["tasks", "--split", "exam"],
        ["tasks", "--split", "training", "--corpus", "/no/such/corpus"],
        ["tables", "--run", "/no/such/run"],
        ["plots", "--run", "/no/such/run"],
    ],
    ids=" ".join,
)
def test_commands_without_an_output_refuse_alike(arguments: list[str], capsys: Captured) -> None:
    assert main.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("counterpoint: ")
    assert arguments[2] in printed.err or arguments[-1] in printed.err
    assert printed.out == ""


def test_training_on_features_of_another_corpus_leaves_no_result(
    inputs: Inputs, tmp_path: Path
) -> None:
    job = Job(
        options=CellOptions(),
        arguments=Path(inputs.arguments),
        features=Path(inputs.others),
        tokens=None,
        threads=1,
        jobs_per_gpu=1,
        state=tmp_path / "state",
        out=tmp_path / "out",
    )
    with pytest.raises(InputError, match=r"others\.safetensors"):
        job.run()
    assert not job.out.exists()
    # The summary of a run tells of failed cells from this file.
    reason = json.loads((tmp_path / "state" / "failure.json").read_text())["reason"]
    assert "others.safetensors" in reason


def test_an_output_folder_in_the_place_of_a_file_is_refused(
    tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "taken").write_text("keep")
    assert main.main(["corpus", "--out", str(tmp_path / "taken")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("counterpoint: ")
    assert "taken" in message
    assert (tmp_path / "taken").read_text() == "keep"


def test_a_download_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    out = tmp_path / "out"
    assert main.main([*URL, "--sha256", "0" * 64, "--out", str(out)]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("counterpoint: corpus.url http://127.0.0.1:9/x.zip: cannot be")
    assert not out.exists()
