"""Which system of a run answers."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from counterpoint.errors import InputError
from counterpoint.reporting.scores import current_scores
from counterpoint.retrieval import systems
from counterpoint.retrieval.card import Stated, card
from counterpoint.retrieval.card import Trained as Card
from counterpoint.retrieval.choosing import load_system, told_of_best
from counterpoint.retrieval.systems import best_with_vectors
from counterpoint.runs.folder import CellFolder, Run, read_run
from tests.support.trained import Trained, make_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Trained:
    return make_run(tmp_path_factory.mktemp("run"), tiny_bert)


@pytest.mark.parametrize(
    ("scores", "name", "told"),
    [
        (
            {"cell": 0.5, "recipe/r": 0.6, "baseline/bm25": 0.7, "baseline/untrained": 0.5},
            "recipe/r",
            "the best on dev is recipe/r, which answers 60.0 % of the unseen queries; BM25 "
            "(70.0 %) would answer more, without vectors to search by",
        ),
        (
            {"cell": 0.5, "baseline/untrained": 0.6, "baseline/tfidf": 0.1},
            "baseline/untrained",
            "the best on dev is the encoder as it comes, which answers 60.0 % of the unseen "
            "queries",
        ),
    ],
)
def test_the_best_on_dev_that_has_vectors_answers(
    scores: dict, name: str, told: str, trained: Trained
) -> None:
    assert best_with_vectors(read_run(trained.folder), scores) == name
    assert told_of_best(scores, name) == told


def test_without_a_score_nothing_is_the_best(trained: Trained) -> None:
    with pytest.raises(InputError, match="best: no system with vectors has a score"):
        best_with_vectors(read_run(trained.folder), {"baseline/bm25": 0.5})


def test_the_scores_of_a_run_are_read_once(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(run: Run) -> pd.DataFrame:
        calls.append(run)
        return current_scores(run)

    monkeypatch.setattr(systems, "current_scores", counted)
    load_system("best", trained.folder, "cpu")
    assert len(calls) == 1


def test_systems_are_loaded_by_name_and_by_folder(trained: Trained) -> None:
    best, told = load_system("best", trained.folder, "cpu")
    assert best.name in told or best.name == "baseline/untrained"
    for name in (trained.frozen, trained.live, "baseline/untrained"):
        assert load_system(name, trained.folder, "cpu")[0].name == name
    cell, _ = load_system(str(trained.folder / "cells" / trained.live), None, "cpu")
    assert cell.fingerprint == load_system(trained.live, trained.folder, "cpu")[0].fingerprint
    with pytest.raises(InputError, match="has no vectors"):
        load_system("baseline/bm25", trained.folder, "cpu")


def test_a_cell_whose_scores_are_with_bm25_says_that_its_vectors_alone_rank(
    trained: Trained, tmp_path: Path
) -> None:
    copy = tmp_path / "cell"
    shutil.copytree(trained.folder / "cells" / trained.frozen, copy)
    assert "BM25" not in load_system(str(copy), None, "cpu")[1]
    options = json.loads((copy / "options.json").read_text())
    options["evaluation"]["first_stage"] = "rrf"
    (copy / "options.json").write_text(json.dumps(options))
    retriever, told = load_system(str(copy), None, "cpu")
    assert told.endswith("first stage with BM25, and here its vectors alone rank")
    shown = card(Card(None, retriever.name, CellFolder(copy), retriever.options), Stated(), "x")
    assert "first stage in which BM25 ranks too" in shown
