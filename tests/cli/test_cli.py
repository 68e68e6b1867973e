"""The command line: what it prints and writes, and how it refuses what it cannot use."""

import argparse
import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import counterpoint
from counterpoint.cli import main
from counterpoint.corpus.arguments import Corpus, read_arguments, write_arguments
from counterpoint.encoders.features import write_features
from counterpoint.versions import program_version
from tests.support.debates import ROLES

KEYS = ["queries", "sdoc", "sdc", "sdoa", "sda", "stc", "sta", "epc", "epa"]
SPLITS = [f"{role}={folder}" for role, folder in ROLES.items()]
CONSOLE = str(Path(sys.executable).with_name("counterpoint"))
Captured = pytest.CaptureFixture[str]


def subcommands() -> dict[str, argparse.ArgumentParser]:
    actions = main.make_parser()._actions
    return next(a for a in actions if isinstance(a, argparse._SubParsersAction)).choices


# Counting candidates


@pytest.mark.parametrize("split", ROLES.values())
def test_tasks_prints_one_line_of_json(split: str, capsys: Captured) -> None:
    assert main.main(["tasks", "--split", split, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert list(json.loads(out)) == KEYS


def test_tasks_counts_a_corpus_that_was_worked_by_hand(
    small_tree: dict[str, str], write_tree: Callable, capsys: Captured
) -> None:
    # Two debates, a theme each, with two pairs a side: 8 queries. A query has 2 counters of its
    # side, 4 of its debate, and beside those 2 other points of the other side, 3 of the debate;
    # its theme is its debate; the portal has 8 counters and 7 other points.
    root = str(write_tree(small_tree))
    assert main.main(["tasks", "--corpus", root, "--split", "test", "--json"]) == 0
    each = [2, 4, 2 + 2, 4 + 3, 4, 4 + 3, 8, 8 + 7]
    assert list(json.loads(capsys.readouterr().out).values()) == [8, *(8 * n for n in each)]


# docs/method.md, "The eight tasks"
@pytest.mark.parametrize(
    ("split", "counts"),
    [
        ("training", [4065, 15737, 31089, 31091, 58135, 1620065, 3236103, 16522059, 33042219]),
        ("validation", [1287, 4877, 9635, 9637, 17987, 177553, 353823, 1656165, 3311247]),
    ],
)
def test_tasks_counts_the_published_candidates(
    split: str, counts: list[int], arguana: str, capsys: Captured
) -> None:
    assert main.main(["tasks", "--corpus", arguana, "--split", split, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == dict(zip(KEYS, counts, strict=True))


def test_tasks_prints_a_line_for_each_count_without_json(capsys: Captured) -> None:
    assert main.main(["tasks", "--split", "training"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == KEYS


def test_tasks_counts_the_split_that_is_named_in_a_file_of_pairs(
    tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "pairs.csv"
    splits = ["train"] * 3 + ["dev"] * 2 + ["exam"]
    lines = [f"point {n},counter {n},{split}\n" for n, split in enumerate(splits)]
    path.write_text("point,counter,split\n" + "".join(lines))
    for split in ("train", "dev", "exam"):
        assert main.main(["tasks", "--corpus", str(path), "--split", split, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["queries"] == splits.count(split)
    assert main.main(["tasks", "--corpus", str(path), "--split", "validation"]) == 2
    assert "no split 'validation'; expected one of train, dev, exam" in capsys.readouterr().err


# Reading a corpus


def test_corpus_writes_the_table_and_its_audit(
    small: Corpus,
    small_tree: dict[str, str],
    write_tree: Callable,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    out = tmp_path / "out"
    assert main.main(["corpus", "--corpus", str(write_tree(small_tree)), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "arguments.parquet",
        "audit.csv",
        "audit.md",
        "problems.txt",
    ]
    assert read_arguments(out / "arguments.parquet") == small
    table = pd.read_csv(out / "audit.csv")
    assert table["split"].tolist() == list(ROLES.values())
    assert table["pairs"].tolist() == [8, 8, 8]
    markdown = (out / "audit.md").read_text()
    assert [line.split("|")[1].strip() for line in markdown.splitlines()] == [
        "split",
        "---",
        *ROLES.values(),
    ]
    assert (out / "problems.txt").read_text() == ""
    printed = capsys.readouterr()
    assert printed.out == markdown
    assert printed.err == ""


def test_corpus_takes_the_roles_from_splits(
    small_tree: dict[str, str], write_tree: Callable, tmp_path: Path
) -> None:
    given = ["train=training", "dev=validation", "test=validation"]
    root = str(write_tree(small_tree))
    assert main.main(["corpus", "--corpus", root, "--splits", *given, "--out", str(tmp_path)]) == 0
    roles = {"train": "training", "dev": "validation", "test": "validation"}
    assert read_arguments(tmp_path / "arguments.parquet").roles == roles


def test_corpus_lists_what_it_skips(
    small_tree: dict[str, str], write_tree: Callable, tmp_path: Path, capsys: Captured
) -> None:
    bad = {"training/law/juries/pro/notes.txt": "x", "test/law/juries/pro/pro01b-counter.txt": ""}
    root, out = write_tree(small_tree | bad), tmp_path / "out"
    arguments = ["corpus", "--corpus", str(root), "--bad-files", "skip", "--out", str(out)]
    assert main.main(arguments) == 0
    problems = (out / "problems.txt").read_text()
    assert [line.split(": ")[0] for line in problems.splitlines()] == list(bad)
    assert problems in capsys.readouterr().err
    assert len(read_arguments(out / "arguments.parquet").arguments) == 48 - 1


def test_corpus_downloads_nothing_that_is_in_the_cache(
    small_tree: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made.zip"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in small_tree.items():
            archive.writestr(path, text)
    checksum = hashlib.sha256(made.read_bytes()).hexdigest()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = tmp_path / "cache" / "counterpoint"
    cache.mkdir(parents=True)
    made.rename(cache / f"{checksum[:16]}.zip")
    # Port 9 discards; nobody listens there.
    url = ["--url", "http://127.0.0.1:9/corpus.zip", "--sha256", checksum]
    assert main.main(["corpus", *url, "--out", str(tmp_path / "out")]) == 0
    assert len(read_arguments(tmp_path / "out" / "arguments.parquet").arguments) == 48


def test_synthesize_writes_a_corpus(tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "made"
    assert main.main(["synthesize", "--pairs", "20", "--seed", "3", "--out", str(out)]) == 0
    assert len(list(out.rglob("*b-counter.txt"))) == 20
    assert main.main(["tasks", "--corpus", str(out), "--split", "training", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["queries"] == 12  # 60 % of 20


# Help


def test_help_lists_every_command(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(["--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    listed = set(re.findall(r"^ {4}([a-z-]+)", out, flags=re.MULTILINE))
    assert set(subcommands()) == listed >= {"corpus", "tasks", "train", "tables", "plots"}


@pytest.mark.parametrize("name", sorted(subcommands()))
def test_the_help_of_a_command_mentions_all_its_options(name: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main([name, "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    for action in subcommands()[name]._actions:
        for option in action.option_strings:
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", out.split("options:")[1])


def test_the_version_is_the_packages(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"counterpoint {program_version()}\n"


def test_no_message_names_a_command_that_does_not_exist() -> None:
    folder = Path(counterpoint.__file__).parent
    strings = [
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    named = {name for text in strings for name in re.findall(r"`counterpoint ([a-z]+)", text)}
    assert named - set(subcommands()) == set()
    assert "corpus" in named


# Refusals


class World:
    """What the commands below are given: good inputs, and several bad ones."""

    def __init__(self, tmp: Path, tree: dict[str, str], small: Corpus) -> None:
        self.tmp = tmp
        self.corpus = self._tree("good", tree)
        self.arguments = tmp / "arguments.parquet"
        write_arguments(small, self.arguments)
        self.features = tmp / "features.safetensors"
        write_features(np.ones((len(small.texts), 4), np.float32), small, self.features)
        fewer = Corpus(small.arguments[:8], small.roles, small.bare_debates)
        self.others = tmp / "others.safetensors"
        write_features(np.ones((len(fewer.texts), 4), np.float32), fewer, self.others)
        whole = self.arguments.read_bytes()
        self.cut = self._file("cut.parquet", whole[: len(whole) // 2])
        footer = whole[:-300] + b"\xff" * 280 + whole[-20:]
        self.hurt = self._file("hurt.parquet", footer)
        packed = self.features.read_bytes()
        self.cut_features = self._file("cut.safetensors", packed[: len(packed) // 2])
        self.hurt_features = self._file("hurt.safetensors", packed[:-40] + b"\xff" * 40)
        self.array = tmp / "array.npy"
        np.save(self.array, np.ones(3))
        self.text = self._file("notes.txt", b"no table")
        self.binary = self._file("options.json", b"\xff\xfe{}")
        self.bad = self._tree("bad", tree | {"training/law/juries/pro/notes.txt": "x"})
        self.nowhere = tmp / "nowhere"

    def _file(self, name: str, content: bytes) -> Path:
        (self.tmp / name).write_bytes(content)
        return self.tmp / name

    def _tree(self, name: str, tree: dict[str, str]) -> Path:
        for path, text in tree.items():
            target = self.tmp / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return self.tmp / name

    def train(self, *more: object) -> list[object]:
        state = self.tmp / "state"
        return ["train", "--arguments", self.arguments, "--state", state, *more]

    def baseline(self, name: str, arguments: Path, *more: object) -> list[object]:
        return ["baseline", name, "--arguments", arguments, *more]


@pytest.fixture
def world(tmp_path: Path, small_tree: dict[str, str], small: Corpus) -> World:
    (tmp_path / "world").mkdir()
    return World(tmp_path / "world", small_tree, small)


def refused(arguments: list[object], folder: Path, capsys: Captured) -> str:
    """The message of a command that refuses its input and writes nothing."""
    before = {path for path in folder.rglob("*") if path.is_file()}
    status = main.main([*map(str, arguments), "--out", str(folder / "out" / "inner")])
    printed = capsys.readouterr()
    assert status == 2
    assert printed.err.startswith("counterpoint: ")
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert {path for path in folder.rglob("*") if path.is_file()} - before == set()
    return printed.err


URL = ["corpus", "--url", "http://127.0.0.1:9/x.zip"]

CORPUS_CASES = {
    "no corpus": (lambda w: ["corpus", "--corpus", w.nowhere], ["nowhere", "no such"]),
    "variable not set": (lambda w: ["corpus", "--corpus", "$NO_SUCH_X"], ["$NO_SUCH_X"]),
    "no zip": (lambda w: ["corpus", "--corpus", w.text], ["notes.txt", "not a zip"]),
    "bad file": (
        lambda w: ["corpus", "--corpus", w.bad],
        ["bad", "training/law/juries/pro/notes.txt"],
    ),
    "no such split": (
        lambda w: ["corpus", "--corpus", w.corpus, "--splits", "test=exam"],
        ["exam", "training, validation", "good"],
    ),
    "no such role": (
        lambda w: ["corpus", "--corpus", w.corpus, "--splits", "trian=training"],
        ["splits.trian", "did you mean 'splits.train'"],
    ),
    "no equals sign": (
        lambda w: ["corpus", "--corpus", w.corpus, "--splits", "training"],
        ["--splits", "ROLE=FOLDER", "'training'"],
    ),
    "no folder after it": (
        lambda w: ["corpus", "--corpus", w.corpus, "--splits", "train="],
        ["--splits", "'train='"],
    ),
    "url alone": (lambda w: URL, ["url", "sha256"]),
    "sha256 too short": (lambda w: [*URL, "--sha256", "abc"], ["sha256", '"abc"']),
}

INPUT_CASES = {
    "no table": (lambda w: w.baseline("tfidf", w.text), ["notes.txt", "counterpoint corpus"]),
    "half a table": (lambda w: w.baseline("tfidf", w.cut), ["cut.parquet"]),
    "a damaged table": (lambda w: w.baseline("tfidf", w.hurt), ["hurt.parquet"]),
    "no such table": (lambda w: w.baseline("tfidf", w.nowhere), ["nowhere", "o such file"]),
    "no features": (lambda w: w.baseline("untrained", w.arguments), ["--features"]),
    "features of another corpus": (
        lambda w: w.baseline("untrained", w.arguments, "--features", w.others),
        ["others.safetensors", "another corpus"],
    ),
    "half the features": (
        lambda w: w.baseline("untrained", w.arguments, "--features", w.cut_features),
        ["cut.safetensors"],
    ),
    "damaged features": (
        lambda w: w.baseline("untrained", w.arguments, "--features", w.hurt_features),
        ["hurt.safetensors", "damaged"],
    ),
    "an array of another kind": (
        lambda w: w.baseline("untrained", w.arguments, "--features", w.array),
        ["array.npy"],
    ),
    "features that are text": (
        lambda w: w.baseline("untrained", w.arguments, "--features", w.text),
        ["notes.txt"],
    ),
    "no such features": (
        lambda w: w.baseline("untrained", w.arguments, "--features", w.nowhere),
        ["nowhere"],
    ),
    "tokens that are features": (
        lambda w: ["features", "--arguments", w.arguments, "--tokens", w.features],
        ["features.safetensors"],
    ),
    "too few pairs": (lambda w: ["synthesize", "--pairs", "9"], ["--pairs", "9"]),
}


def options(text: object) -> Callable[[World], list[object]]:
    return lambda w: w.train("--features", w.features, "--options", text)


OPTION_CASES = {
    "bad JSON": (options('{"seed": 1'), ["--options", "JSON"]),
    "bad JSON in a file": (
        lambda w: w.train("--features", w.features, "--options", w.text),
        ["notes.txt", "JSON"],
    ),
    "a file that is not UTF-8": (
        lambda w: w.train("--features", w.features, "--options", w.binary),
        ["options.json"],
    ),
    "no such file": (
        lambda w: w.train("--features", w.features, "--options", w.nowhere),
        ["nowhere"],
    ),
    "unknown section": (options('{"minning": {}}'), ["minning", "did you mean 'mining'"]),
    "unknown option": (
        options('{"training": {"epoch": 3}}'),
        ["training.epoch", "did you mean 'training.epochs'"],
    ),
    "value out of range": (
        options('{"training": {"batch_size": 0}}'),
        ["training.batch_size", "0"],
    ),
    "value of another type": (options('{"seed": "one"}'), ["seed", '"one"']),
    "ReLU without a layer": (
        options('{"head": {"kind": "relu", "hidden": 0}}'),
        ["head.hidden 0", "'relu'"],
    ),
    "bad JSON of a matrix": (lambda w: ["matrix", "--config", '{"run": '], ["--config", "JSON"]),
    "unknown option of a matrix": (
        lambda w: ["matrix", "--config", '{"run": "a", "fussion": "cls"}'],
        ["--config", "fussion", "did you mean 'fusion'"],
    ),
}

ALL_CASES = {**CORPUS_CASES, **INPUT_CASES, **OPTION_CASES}


@pytest.mark.parametrize("case", ALL_CASES)
def test_bad_input_is_refused_by_name_and_writes_nothing(
    case: str, world: World, capsys: Captured
) -> None:
    arguments, expected = ALL_CASES[case]
    message = refused(arguments(world), world.tmp, capsys)
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
    world: World, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out"
    arguments = [*world.train("--features", world.others), "--out", out]
    assert main.main([str(part) for part in arguments]) == 2
    assert "others.safetensors" in capsys.readouterr().err
    assert not out.exists() or list(out.iterdir()) == []
    # The summary of a run tells of failed cells from this file.
    reason = json.loads((world.tmp / "state" / "failure.json").read_text())["reason"]
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


def test_a_file_whose_name_is_not_utf8_is_one_of_the_bad_files(
    small_tree: dict[str, str], write_tree: Callable, tmp_path: Path
) -> None:
    root, out = write_tree(small_tree), tmp_path / "out"
    odd = os.fsencode(root / "training/law/juries/pro") + b"/caf\xe9.txt"
    with open(odd, "w") as stream:
        stream.write("text")
    # A process of its own, because pytest's stderr refuses such a name and a real one does not.
    given = [CONSOLE, "corpus", "--corpus", str(root), "--out", str(out)]
    stopped = subprocess.run(given, capture_output=True, text=True, check=False)
    assert stopped.returncode == 2
    assert "training/law/juries/pro/caf" in stopped.stderr
    skipped = subprocess.run(
        [*given, "--bad-files", "skip"], capture_output=True, text=True, check=False
    )
    assert skipped.returncode == 0, skipped.stderr
    assert "training/law/juries/pro/caf" in (out / "problems.txt").read_text("utf-8", "replace")
    assert len(read_arguments(out / "arguments.parquet").arguments) == 48


def test_a_link_to_nothing_is_one_of_the_bad_files(
    small_tree: dict[str, str], write_tree: Callable, tmp_path: Path
) -> None:
    root, out = write_tree(small_tree), tmp_path / "out"
    (root / "training/law/juries/pro/pro09a-point.txt").symlink_to("nowhere.txt")
    given = ["corpus", "--corpus", str(root), "--bad-files", "skip", "--out", str(out)]
    assert main.main(given) == 0
    problems = (out / "problems.txt").read_text()
    assert "training/law/juries/pro/pro09a-point.txt" in problems


@pytest.mark.parametrize(
    "arguments",
    [
        ["synthesize", "--pairs", "0", "--out", "x"],
        ["synthesize", "--pairs", "many", "--out", "x"],
        ["corpus"],
        ["corps", "--out", "x"],
        [],
    ],
    ids=" ".join,
)
def test_arguments_that_do_not_parse_end_with_status_2(
    arguments: list[str], capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(arguments)
    assert exit_.value.code == 2
    assert "usage: counterpoint" in capsys.readouterr().err


# What is loaded


def loaded(code: str) -> set[str]:
    """The modules, among those that take long, that some code loads."""
    slow = [
        "torch",
        "transformers",
        "numpy",
        "pandas",
        "pydantic",
        "sklearn",
        "pyarrow",
        "matplotlib",
        "snakemake",
    ]
    script = f"{code}\nimport sys\nprint(*(m for m in {slow} if m in sys.modules), file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(result.stderr.split())


def test_importing_the_command_line_loads_nothing_slow() -> None:
    assert loaded("import counterpoint.cli.main") == set()


def test_help_loads_nothing_slow() -> None:
    code = "import counterpoint.cli.main as c\ntry: c.main(['--help'])\nexcept SystemExit: pass"
    assert loaded(code) == set()


def test_a_training_job_loads_torch_but_neither_transformers_pandas_nor_sklearn() -> None:
    found = loaded("import counterpoint.runs.job")
    assert "torch" in found
    assert not found & {"transformers", "pandas", "sklearn"}


def test_the_console_command_ends_with_the_status_of_main() -> None:
    command = [CONSOLE, "tasks", "--split", "exam"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("counterpoint: corpus ")
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["synthesize", "--pairs", "10", "--out", "x", "--seed", "-1"],
        ["synthesize", "--pairs", "none", "--out", "x"],
        ["tables", "--run", "x", "--decimals", "-1"],
    ],
    ids=" ".join,
)
def test_numbers_out_of_range_are_refused_with_the_value(
    arguments: list[str], capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main.main(arguments)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "expected a whole number of at least" in message
    assert repr(arguments[-1]) in message or repr(arguments[2]) in message


# Decontaminated training


def test_corpus_decontaminates_and_counts_what_training_drops(
    small_tree: dict[str, str], write_tree: Callable, tmp_path: Path, capsys: Captured
) -> None:
    training = "training/law/juries/pro/pro01a-point.txt"
    tree = small_tree | {training: small_tree["test/sport/boxing/con/con02b-counter.txt"]}
    root = str(write_tree(tree))
    dropped, unseen = {}, {}
    for value in ("none", "train"):
        out = tmp_path / value
        given = ["corpus", "--corpus", root, "--decontaminate", value, "--out", str(out)]
        assert main.main(given) == 0
        assert read_arguments(out / "arguments.parquet").decontaminate == value
        table = pd.read_csv(out / "audit.csv").set_index("split")
        dropped[value] = table["dropped_pairs"].to_dict()
        unseen[value] = table["unseen_queries"].to_dict()
        assert table["trained_pairs"]["training"] == 8 - (value == "train")
        assert capsys.readouterr().out == (out / "audit.md").read_text()
    assert dropped["none"] == {"training": 0, "validation": 0, "test": 0}
    assert dropped["train"] == {"training": 1, "validation": 0, "test": 0}
    assert unseen["none"] == unseen["train"] == {"training": 0, "validation": 8, "test": 7}


def test_corpus_does_not_decontaminate_a_folder_from_itself(world: World, capsys: Captured) -> None:
    given = ["corpus", "--corpus", world.corpus, "--decontaminate", "train"]
    message = refused([*given, "--splits", "dev=training"], world.tmp, capsys)
    assert "corpus.decontaminate train would leave nothing of 'training'" in message


# Other layouts and corpora


BEIR = {
    "corpus.jsonl": '{"_id": "d", "text": "juries"}\n{"_id": "e", "text": "judges and juries"}',
    "queries.jsonl": '{"_id": "q", "text": "juries"}',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\td\t1\n",
}


@pytest.mark.parametrize("command", [["corpus"], ["corpus", "--bad-files", "skip"]], ids=" ".join)
def test_corpus_says_what_to_do_with_beirs_layout(
    command: list[str], world: World, write_tree: Callable, capsys: Captured
) -> None:
    folder = write_tree(BEIR, name="arguana")
    message = refused([*command, "--corpus", folder], world.tmp, capsys)
    assert f"corpus {folder}: BEIR's layout has no pairs to train on" in message
    assert "`counterpoint evaluate SYSTEM --corpus PATH`" in message


def test_tasks_of_beirs_layout_are_refused(write_tree: Callable, capsys: Captured) -> None:
    folder = str(write_tree(BEIR, name="arguana"))
    assert main.main(["tasks", "--corpus", folder, "--split", "test"]) == 2
    assert "counterpoint evaluate SYSTEM" in capsys.readouterr().err


def test_evaluate_prints_the_figures_of_a_baseline(
    small_tree: dict[str, str],
    write_tree: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, tree, first in (
        ("debates", small_tree, "| test | official | retrieval | 8 |"),
        # d is the query's own text.
        ("beir", BEIR, "| test | beir | retrieval | 1 | 100.0 (100.0–100.0) |"),
    ):
        folder = str(write_tree(tree, name=name))
        assert main.main(["evaluate", "baseline/tfidf", "--corpus", folder]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[2].startswith(first)
        table = pd.read_csv(tmp_path / "evaluations" / "baseline" / "tfidf" / name / "figures.csv")
        assert set(table.system) == {"baseline/tfidf"}


def test_evaluate_refuses_and_writes_nothing(
    world: World, write_tree: Callable, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(world.tmp)
    broken = write_tree(BEIR | {"qrels/test.tsv": "q\tx\t1\n"}, name="broken")
    for given, expected in (
        (["best"], "found none; name the run with --run"),
        (["baseline/tfidf", "--corpus", broken], "document 'x' is not in corpus.jsonl"),
        (["baseline/tfidf", "--corpus", world.bad], "training/law/juries/pro/notes.txt"),
        (["baseline/none", "--corpus", world.corpus], "'none': no such baseline"),
    ):
        assert expected in refused(["evaluate", *given, "--trec"], world.tmp, capsys)
