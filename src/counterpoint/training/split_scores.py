"""Scores of a system on the splits of a cell: an epoch's, and at the end per-query results."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from counterpoint.arrays import Ints
from counterpoint.config.options import EvaluationOptions
from counterpoint.evaluation.evaluate import EPOCH_TASK, Evaluation, epoch_scores, query_results
from counterpoint.evaluation.records import DEPTH, QueryResults
from counterpoint.evaluation.second_stage import Reranker
from counterpoint.results.epoch_log import EpochScores
from counterpoint.search.distances import Costs
from counterpoint.tasks.candidates import TASKS, CandidateSets
from counterpoint.tasks.protocols import PROTOCOLS, WITH_TASKS
from counterpoint.training.data import CellData

T = TypeVar("T")

Results = dict[str, tuple[CandidateSets, list[QueryResults]]]
"""By split: its candidate sets and what became of its queries."""


class System(Protocol):
    """Both stages of a cell as they are now."""

    def costs_of(self, sets: CandidateSets) -> Costs:
        """Of all rows of a split to its queries."""

    @property
    def reranker(self) -> Reranker:
        """The second stage."""


class SplitScores:
    """Scores a cell's systems.

    Args:
        data: of the cell.
        options: what is measured.
    """

    def __init__(self, data: CellData, options: EvaluationOptions) -> None:
        self._data = data
        self._options = options
        self.held_out = ("dev", "test") if options.test_every_epoch else ("dev",)
        """The splits that each epoch is evaluated on, beside train."""

    @property
    def other_tasks(self) -> list[str]:
        """Tasks that an epoch is scored on beside `epa`."""
        asked = self._options.epoch_tasks
        return [task for task in TASKS if task in asked and task != EPOCH_TASK]

    def accuracy(self, system: System, task: str = EPOCH_TASK) -> dict[str, dict[str, EpochScores]]:
        """By split and protocol the scores of an epoch on a task."""
        roles = ("train", *self.held_out)
        return self._once_a_folder(roles, lambda role: self._scores(role, system, task))

    def final(self, system: System) -> Results:
        """Per-query results by split: all tasks and protocols.

        The train split has its sample of queries; every one is seen, so `clean` asks none.
        """
        results = self._once_a_folder(
            ("train", "dev", "test"), lambda role: self._results(role, system)
        )
        return {role: (self._data.sets(role), of_role) for role, of_role in results.items()}

    def _once_a_folder(self, roles: Sequence[str], of_role: Callable[[str], T]) -> dict[str, T]:
        """By role; dev and test may be the same folder, but train has queries of its own."""
        known: dict[tuple[bool, str], T] = {}
        result = {}
        for role in roles:
            key = role == "train", self._data.folders[role]
            if key not in known:
                known[key] = of_role(role)
            result[role] = known[key]
        return result

    def _scores(self, role: str, system: System, task: str) -> dict[str, EpochScores]:
        """Of an epoch, split and task, by protocol."""
        sets = self._data.sets(role)
        protocols, queries = self._asked(role, WITH_TASKS)
        return epoch_scores(
            sets,
            system.costs_of(sets),
            system.reranker,
            task=task,
            protocols=protocols,
            queries=queries,
            top_k=self._options.top_k,
        )

    def _results(self, role: str, system: System) -> list[QueryResults]:
        sets = self._data.sets(role)
        protocols, queries = self._asked(role, PROTOCOLS)
        depth = max(DEPTH, *self._options.top_k)
        evaluation = Evaluation(protocols=protocols, queries=queries, depth=depth)
        return query_results(sets, system.costs_of(sets), system.reranker, evaluation)

    def _asked(self, role: str, protocols: Iterable[str]) -> tuple[list[str], Ints | None]:
        """The protocols and queries of a split: every query of train is seen, and few are asked."""
        train = role == "train"
        return (
            [name for name in protocols if not (train and PROTOCOLS[name].unseen_only)],
            self._data.train_queries if train else None,
        )
