"""Runs that several tests of the reporting look at."""

from pathlib import Path

import pytest

from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import Corpus
from counterpoint.corpus.sources import open_source
from counterpoint.evaluation.records import write_records
from counterpoint.runs.folder import RunFolder
from counterpoint.study.old_logs import import_logs
from counterpoint.tasks.candidates import CandidateSets, candidate_sets
from tests.support.debates import ROLES, debate
from tests.support.pages import EVIL, GRID, Maker
from tests.support.runs import FIVE_CELLS, fail, finish, plan, query_results


@pytest.fixture
def sets(small: Corpus) -> CandidateSets:
    """The candidate sets of the split for validation: eight queries in two debates."""
    return candidate_sets(small, "validation")


@pytest.fixture
def run(tmp_path: Path, sets: CandidateSets) -> Path:
    """Five planned cells: three done (one of them best), one failed, one missing; a baseline."""
    folder = RunFolder(tmp_path / "results" / "mini")
    names = [cell.name for cell in plan(folder.path, FIVE_CELLS, sets.ids)]
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


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three splits, each with six debates of four pairs; one test point is malicious markup."""
    root = tmp_path_factory.mktemp("corpus")
    for split in ROLES.values():
        for number in range(6):
            for path, text in debate(split, "law", f"d{number}", {"pro": 2, "con": 2}).items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                evil = EVIL if path.startswith("test/law/d0/pro/pro01a") else ""
                (root / path).write_text(text + evil, encoding="utf-8")
    return read_corpus(open_source(str(root)), ROLES)[0]


@pytest.fixture
def maker(tmp_path: Path, corpus: Corpus) -> Maker:
    return Maker(tmp_path / "results" / "mini", corpus)


@pytest.fixture(scope="session")
def partial(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Path:
    """24 planned cells, of which ten are missing, two failed and one diverged; two baselines."""
    made = Maker(tmp_path_factory.mktemp("partial") / "results" / "mini", corpus)
    names = made.plan(GRID, ["random", "tfidf"])
    made.baseline("random", [9])
    made.baseline("tfidf", [1, 2, 2, 2])
    for place, name in enumerate(names[:12]):
        # Of four queries one is answered, by one cell two.
        made.finish(name, [1, 1, 2, 2] if place == 5 else [1, 2, 2, 2],
                    status="diverged" if place == 7 else "finished")  # fmt: skip
    for name in names[12:14]:
        made.fail(name)
    made.report()
    return made.run.path
