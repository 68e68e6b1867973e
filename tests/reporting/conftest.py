"""Runs that several tests of the reporting look at."""

from pathlib import Path
from typing import Any

import pytest

from counterpoint.corpus.arguments import Corpus
from counterpoint.evaluation.records import write_records
from counterpoint.runs.folder import RunFolder
from counterpoint.study.old_logs import import_logs
from counterpoint.tasks.candidates import CandidateSets, candidate_sets
from tests.support.runs import fail, finish, plan, query_results

CONFIG: dict[str, Any] = {
    "baselines": ["random", "tfidf"],
    "tables": {"axis": "retrieval_loss.margin"},
    "matrix": {
        "axes": {"fusion": ["cls", "concat"], "head": ["relu"], "decrease_rate": [0, 0.01]},
        "include": [{"fusion": "cls", "head": "relu", "initial_random_rate": 0, "margin": 0.8}],
    },
}


@pytest.fixture
def sets(small: Corpus) -> CandidateSets:
    """The candidate sets of the split for validation: eight queries in two debates."""
    return candidate_sets(small, "validation")


@pytest.fixture
def run(tmp_path: Path, sets: CandidateSets) -> Path:
    """Five planned cells: three done (one of them best), one failed, one missing; a baseline."""
    folder = RunFolder(tmp_path / "results" / "mini")
    names = [cell.name for cell in plan(folder.path, CONFIG, sets.ids)]
    for name, ranks in zip(names, ([1, 2, 3, 4], [1, 1, 2, 2], [3]), strict=False):
        finish(folder.cell(name), sets, ranks)
    fail(folder, names[3], "InputError: no")
    results = (sets, query_results(sets, [1, 1, 1, 2], None))
    write_records({"dev": results, "test": results}, folder.baseline("tfidf"))
    return folder.path


@pytest.fixture
def imported(run: Path, tmp_path: Path) -> Path:
    """The run with two logs of the original study beside it, one of them without a test score."""
    for name, splits in (("a", ("训练集", "验证集", "测试集")), ("b", ("训练集", "验证集"))):
        lines = [f"{split}top1 accuracy为{score}" for score in (0.5, 0.25) for split in splits]
        (tmp_path / f"{name}.log").write_text("\n".join(lines) + "\n")
    import_logs([tmp_path / "a.log", tmp_path / "b.log"], run.parent / "imported")
    return run
