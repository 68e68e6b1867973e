"""Runs with all that a page shows."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from counterpoint.cli.main import main
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.evaluation.records import QueryResults, write_records
from counterpoint.io.atomic import write_text
from counterpoint.io.text import csv_text
from counterpoint.results.epoch_log import EpochRecord, EpochScores, Losses, NegativeCounts
from counterpoint.runs.folder import RunFolder
from counterpoint.tasks.candidates import CandidateSets, candidate_sets
from tests.support import runs
from tests.support.debates import ROLES
from tests.support.old_logs import lines_of, text_of

GRID: dict[str, Any] = {
    "axes": {
        "fusion": ["embedding", "cls", "concat"],
        "head": ["linear", "layernorm", "relu", "layernorm_relu"],
        "decrease_rate": [0, 0.02],
    }
}
EVIL = '</script><script>document.title = "broken"</script> & <b>bold</b>'


def query_results(
    sets: CandidateSets,
    first: Sequence[int],
    reranked: Sequence[int] | None,
    protocols: Sequence[str],
) -> list[QueryResults]:
    """Ranks, repeated over the queries; what is chosen is the gold or the next query's."""
    n = sets.pairs
    own = np.arange(n)
    after = None if reranked is None else np.resize(reranked, n)
    wrong = np.stack([(own + 1) % n, own], axis=1)
    order = None if after is None else np.where((after == 1)[:, None], wrong[:, ::-1], wrong)
    plain = runs.query_results(sets, first, reranked, protocols)
    return [dataclasses.replace(part, nearest=wrong, reordered=order) for part in plain]


def epoch(number: int) -> EpochRecord:
    scores = EpochScores(retrieval=0.5, reranked=0.25 + number / 100, recall_at_10=1.0)
    losses = Losses(retrieval=0.5, counter=0.6, negative=0.1 + number / 10, total=1.0)
    both = {"official": scores, "clean": scores}
    return runs.epoch_record(
        number,
        random_rate=1 - number / 50,
        losses=dict.fromkeys(("train", "dev", "test"), losses),
        accuracy={"train": {"official": scores}, "dev": both, "test": both},
        negatives=NegativeCounts(random=10, hard_point=4, hard_counter=number, same_debate=3),
    )


class Maker:
    """Leaves what a run leaves."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self.run = RunFolder(folder)
        self.corpus = corpus
        self.protocols: tuple[str, ...] = ("official", "clean", "legacy")
        self.splits = ROLES

    def plan(self, values: dict[str, Any], baselines: Sequence[str] = ()) -> list[str]:
        """Plan a matrix; the names of its cells."""
        options = {"matrix": values, "baselines": list(baselines)}
        cells = runs.plan(self.run.path, options, splits=self.splits)
        write_arguments(self.corpus, self.run.arguments)
        audit = [{"split": "training", "roles": "train", "pairs": 1234, "tasks_left_out": ""}]
        write_text(self.run.audit, csv_text(audit))
        return [cell.name for cell in cells]

    def _write(self, path: Path, first: Sequence[int], reranked: Sequence[int] | None) -> None:
        by_split = {}
        for role in ("dev", "test"):
            sets = candidate_sets(self.corpus, self.splits[role])
            by_split[role] = (sets, query_results(sets, first, reranked, self.protocols))
        write_records(by_split, path)

    def finish(self, name: str, ranks: Sequence[int], status: str = "finished") -> None:
        """Leave a trained cell, half of whose golds rank first before re-ranking."""
        own = self.run.cell(name)
        self._write(own.records, [1, 2], ranks)
        runs.write_files(own, status=status)
        runs.write_epochs(own, [epoch(number) for number in range(3)])

    def fail(self, name: str) -> None:
        """Leave a failed cell, and its log."""
        runs.fail(self.run, name, "RuntimeError: <i>no</i> memory")
        write_text(self.run.cell_log(name), "…\n")

    def baseline(self, name: str, ranks: Sequence[int]) -> None:
        self._write(self.run.baseline(name), ranks, None)

    def import_log(self, *axes: str) -> None:
        """Import `old.log`, of which dev was asked 81 queries and test is missing."""
        path = self.run.path.parent / "old.log"
        log = text_of(lines_of([(0.5, 60 / 81), (0.75, 71 / 81), (0.75, 68 / 81)]))
        write_text(path, log)
        given = [part for axis in axes for part in ("--axis", axis)]
        assert main(["import-log", str(path), "--out", str(self.run.imported), *given]) == 0

    def report(self, *options: str) -> Path:
        """Make it by the command, tables and all."""
        assert main(["report", "--run", str(self.run.path), *options]) == 0
        return self.run.report
