"""What tests of the commands share: inputs good and bad, and a check of refusals."""

import sys
from pathlib import Path

import numpy as np
import pytest

from counterpoint.cli import main
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.encoders.features import same_outputs, write_features

CONSOLE = str(Path(sys.executable).with_name("counterpoint"))
Captured = pytest.CaptureFixture[str]


URL = ["corpus", "--url", "http://127.0.0.1:9/x.zip"]


BEIR = {
    "corpus.jsonl": '{"_id": "d", "text": "juries"}\n{"_id": "e", "text": "judges and juries"}',
    "queries.jsonl": '{"_id": "q", "text": "juries"}',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\td\t1\n",
}


class Inputs:
    """What commands are given: good inputs, and several bad ones."""

    def __init__(self, tmp: Path, tree: dict[str, str], small: Corpus) -> None:
        self.tmp = tmp
        self.corpus = self._tree("good", tree)
        self.arguments = tmp / "arguments.parquet"
        write_arguments(small, self.arguments)
        self.features = tmp / "features.safetensors"
        write_features(
            same_outputs(np.ones((len(small.texts), 4), np.float32)), small, self.features
        )
        fewer = Corpus(small.arguments[:8], small.roles, small.bare_debates)
        self.others = tmp / "others.safetensors"
        write_features(same_outputs(np.ones((len(fewer.texts), 4), np.float32)), fewer, self.others)
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

    def baseline(self, name: str, arguments: Path, *more: object) -> list[object]:
        return ["baselines", name, "--arguments", arguments, *more]


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
