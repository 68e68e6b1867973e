"""`counterpoint baselines`: several systems in one process."""

from pathlib import Path

import pytest

from counterpoint.cli import main
from tests.support.commands import Captured, Inputs


def evaluate(inputs: Inputs, out: Path, *names: str) -> int:
    arguments = ["baselines", *names, "--arguments", str(inputs.arguments)]
    return main.main([*arguments, "--features", str(inputs.features), "--out", str(out)])


def test_several_at_once_are_what_each_is_alone(inputs: Inputs, tmp_path: Path) -> None:
    names = ("tfidf", "untrained", "random")
    assert evaluate(inputs, tmp_path / "all", *names) == 0
    for name in names:
        assert evaluate(inputs, tmp_path / "alone", name) == 0
    files = {path.relative_to(tmp_path / "all") for path in (tmp_path / "all").rglob("*.*")}
    assert files == {
        Path(name, file) for name in names for file in ("records.parquet", "ties.json")
    }
    for file in files:
        assert (tmp_path / "all" / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()


def test_one_that_is_none_is_refused_by_its_name(
    inputs: Inputs, tmp_path: Path, capsys: Captured
) -> None:
    assert evaluate(inputs, tmp_path, "random", "bm26") == 2
    assert "baseline 'bm26': no such baseline" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evaluate(inputs, tmp_path)
