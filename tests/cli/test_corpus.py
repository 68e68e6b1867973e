"""`counterpoint corpus` and `synthesize`: what they write and print."""

import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from counterpoint.cli import main
from counterpoint.corpus.arguments import Corpus, read_arguments
from tests.support.commands import BEIR, CONSOLE, Captured, Inputs, refused
from tests.support.debates import ROLES


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
    read = read_arguments(out / "arguments.parquet")
    assert (read.arguments, read.roles) == (small.arguments, small.roles)
    table = pd.read_csv(out / "audit.csv")
    assert table["split"].tolist() == list(ROLES.values())
    assert table["pairs"].tolist() == [8, 8, 8]
    markdown = (out / "audit.md").read_text()
    rows, _, notes = markdown.partition("\n\n")
    assert [line.split("|")[1].strip() for line in rows.splitlines()] == [
        "split",
        "---",
        *ROLES.values(),
    ]
    assert "- training: 16 files: 16 texts read, 0 bad, 0 ignored\n" in notes
    assert "- only 8 unseen queries in validation: a clean score over fewer than 30 says" in notes
    assert (out / "problems.txt").read_text() == ""
    printed = capsys.readouterr()
    assert printed.out == markdown
    assert printed.err == ""


def test_corpus_keeps_the_language_and_doubts_it(
    small_tree: dict[str, str], write_tree: Callable, tmp_path: Path, capsys: Captured
) -> None:
    root = str(write_tree(small_tree))
    given = ["corpus", "--corpus", root, "--out", str(tmp_path), "--language"]
    assert main.main([*given, "zh"]) == 0
    assert read_arguments(tmp_path / "arguments.parquet").language == "zh"
    doubt = "100% of the letters are in another script than 'zh'"
    assert doubt in capsys.readouterr().out
    assert doubt in (tmp_path / "audit.md").read_text()
    assert main.main([*given, "de"]) == 0
    assert "another script" not in capsys.readouterr().out
    assert main.main([*given, "cn"]) == 2
    assert "did you mean 'zh'?" in capsys.readouterr().err


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


def test_corpus_does_not_decontaminate_a_folder_from_itself(
    inputs: Inputs, capsys: Captured
) -> None:
    given = ["corpus", "--corpus", inputs.corpus, "--decontaminate", "train"]
    message = refused([*given, "--splits", "dev=training"], inputs.tmp, capsys)
    assert "corpus.decontaminate train would leave nothing of 'training'" in message


@pytest.mark.parametrize("command", [["corpus"], ["corpus", "--bad-files", "skip"]], ids=" ".join)
def test_corpus_says_what_to_do_with_beirs_layout(
    command: list[str], inputs: Inputs, write_tree: Callable, capsys: Captured
) -> None:
    folder = write_tree(BEIR, name="arguana")
    message = refused([*command, "--corpus", folder], inputs.tmp, capsys)
    assert f"corpus {folder}: BEIR's layout has no pairs to train on" in message
    assert "`counterpoint evaluate SYSTEM --corpus PATH`" in message
