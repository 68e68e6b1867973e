"""`counterpoint tasks`: the candidates of each task are counted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpoint.cli import main
from tests.support.commands import BEIR, Captured
from tests.support.debates import ROLES

KEYS = ["queries", "sdoc", "sdc", "sdoa", "sda", "stc", "sta", "epc", "epa"]


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
    assert main.main(["tasks", "--corpus", str(path), "--split", "validation", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["queries"] == 2
    assert main.main(["tasks", "--corpus", str(path), "--split", "test"]) == 2
    assert "no split 'test'; expected one of train, dev, exam" in capsys.readouterr().err


def test_tasks_of_beirs_layout_are_refused(write_tree: Callable, capsys: Captured) -> None:
    folder = str(write_tree(BEIR, name="arguana"))
    assert main.main(["tasks", "--corpus", folder, "--split", "test"]) == 2
    assert "counterpoint evaluate SYSTEM" in capsys.readouterr().err
