"""What the tables and the page of a run are made from."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pandas as pd

from counterpoint.config.matrix import RECIPE, recipes
from counterpoint.evaluation.records import SPLITS
from counterpoint.evaluation.scoring import select
from counterpoint.reporting import settings as settings_module
from counterpoint.reporting.imported import compared
from counterpoint.reporting.missing import NO_BASELINE, TIED, lacking, unscored
from counterpoint.reporting.scores import best_cell, ceiling_k, ceilings
from counterpoint.reporting.settings import (
    CEILINGS,
    CLEAN_SCORES,
    OTHER_SCORES,
    score_column,
    setting_axes,
)
from counterpoint.runs.folder import Run
from counterpoint.tasks.candidates import TASKS
from counterpoint.tasks.protocols import CLEAN, few_unseen


class Listed(NamedTuple):
    """A system that stands beside others."""

    name: str
    label: str
    stage: str
    """Whose scores are the system's: the second one's where it has one."""
    reason: str = ""
    """Why it has no score; empty where it has some."""


def recipe_label(name: str) -> str:
    """What tables call a recipe, `recipe/NAME`: one that is called `recipe` just that."""
    label = name.removeprefix(RECIPE)
    return label if label == "recipe" else f"{label} (recipe)"


@dataclass(frozen=True)
class Overview:
    """A run with its scores, in the shapes in which tables and charts want them."""

    run: Run
    scores: pd.DataFrame
    """One row a score, as `scores.all_scores` gives them."""

    @cached_property
    def ceilings(self) -> pd.DataFrame:
        """What re-ranking can reach at most; see `scores.ceilings`."""
        return ceilings(self.run, self.scores)

    @property
    def ceiling_name(self) -> str:
        """The ceiling as a metric: `recall@10` where ten texts are re-ranked."""
        return f"recall@{ceiling_k(self.run) or 'k'}"

    @property
    def ceiling_of(self) -> str:
        """In words, what it is the ceiling of."""
        k = ceiling_k(self.run)
        return "re-ranking k, the cell's `evaluation.rerank`" if k is None else f"re-ranking {k}"

    @cached_property
    def systems(self) -> pd.DataFrame:
        """One row a system; see `settings.systems`."""
        return settings_module.systems(self.scores, self.ceilings)

    @cached_property
    def settings(self) -> pd.DataFrame:
        """One row a setting; see `settings.settings`."""
        return settings_module.settings(self.run, self.systems)

    @property
    def baselines(self) -> pd.DataFrame:
        """The rows of `systems` that are no cells."""
        return self.systems[self.systems["kind"] == "baseline"]

    @property
    def recipes(self) -> pd.DataFrame:
        """The rows of `systems` that are cells outside the matrix."""
        return self.systems[self.systems["kind"] == "recipe"]

    @cached_property
    def imported(self) -> pd.DataFrame:
        """One row a score of an imported log that stands beside cells; see `imported.compared`."""
        return compared(self.run)

    @cached_property
    def listed(self) -> list[Listed]:
        """The systems that stand beside each other, as far as they have results."""
        return [system for system in self.planned if system.name in self.systems.index]

    @cached_property
    def planned(self) -> list[Listed]:
        """The systems that tables have rows of: the best cell, all recipes, all baselines."""
        best = [] if self.best is None else [Listed(self.best, "best cell", "reranked")]
        # A recipe whose classifier is not trained re-ranks nothing.
        k_of = {cell.name: cell.options.rerank for cell in recipes(self.run.config, "config.json")}
        outside = [
            Listed(
                cell.name,
                recipe_label(cell.name),
                "reranked" if k_of[cell.name] > 1 else "retrieval",
                lacking([cell]),
            )
            for cell in self.run.recipes
        ]
        baselines = [
            Listed(
                f"baseline/{name}",
                f"{name} (baseline)",
                "retrieval",
                self._without_score(f"baseline/{name}"),
            )
            for name in dict.fromkeys(self.run.config.baselines)
        ]
        return [*best, *outside, *baselines]

    @cached_property
    def best(self) -> str | None:
        """The name of the best cell of the matrix."""
        cells = self.systems[self.systems["kind"] == "cell"]
        return best_cell(_by_name(cells["dev_reranked"]))

    @cached_property
    def best_baseline(self) -> str | None:
        """The baseline that is best on dev, as `baseline/NAME`."""
        return best_cell(_by_name(self.baselines["dev_retrieval"]))

    @property
    def asked(self) -> str:
        """The split that scores are told of: test, or dev where that is the same or has none."""
        if "test" not in self.run.held_out:
            return "dev"
        return "test" if len(select(self.scores, split="test", protocol=CLEAN.name)) else "dev"

    def score(
        self, system: str, split: str, protocol: str, stage: str
    ) -> "pd.Series[float] | None":
        """Accuracy@1 on `epa`, with `low`, `high` and `n`, where the system has that."""
        return self._scored.get((system, split, protocol, stage))

    @cached_property
    def _scored(self) -> "dict[tuple[str, ...], pd.Series[float]]":
        """What `score` gives, by what it is asked for."""
        rows = select(self.scores, task="epa", metric="accuracy@1")
        rows = rows[rows["value"].notna()]  # a baseline that ties everywhere has none
        names = rows[["cell", "split", "protocol", "stage"]].itertuples(index=False, name=None)
        return {key: row for key, (_, row) in zip(names, rows.iterrows(), strict=True)}

    @property
    def ties(self) -> list[str]:
        """A line for each baseline that ties everywhere."""
        return [line for name, ties in self.run.tied.items() for line in ties.told(name)]

    @property
    def notes(self) -> list[str]:
        """A line for each of `listed` that ties everywhere, or that BM25 has a weight in."""
        weights = {system.name: self.run.weight(system.name) for system in self.listed}
        return [
            *self.ties,
            *(weight.told(name) for name, weight in weights.items() if weight is not None),
        ]

    def by_task(self, split: str, protocol: str) -> "dict[str, dict[str, pd.Series[float] | None]]":
        """Accuracy@1 of each of `listed` by task, where it has that."""
        table = select(self.scores, split=split, protocol=protocol, metric="accuracy@1")
        result: dict[str, dict[str, pd.Series[float] | None]] = {}
        for system in self.listed:
            rows = select(table, cell=system.name, stage=system.stage)
            scores = {str(score["task"]): score for _, score in rows.iterrows()}
            result[system.name] = {task: scores.get(task) for task in TASKS}
        return result

    def _without_score(self, baseline: str) -> str:
        """Why a baseline has no score; or nothing."""
        if baseline not in self.systems.index:
            return NO_BASELINE
        return TIED if baseline in self.run.tied else ""

    def why(self, split: str, protocol: str, reason: str = "") -> str:
        """Why there is no score: a reason for all of them, or what the records do not have."""
        return reason or unscored(self.scores, split, protocol)

    @cached_property
    def few_unseen(self) -> list[str]:
        """A sentence for each of the corpus's folders with few unseen queries, or none."""
        folders = self.run.config.corpus.splits
        unseen: dict[str, int] = {}
        for split in SPLITS:
            rows = select(self.scores, split=split)
            if len(rows):
                asked = select(rows, protocol=CLEAN.name)["n"]
                unseen.setdefault(getattr(folders, split), int(asked.max()) if len(asked) else 0)
        return [line for folder, count in unseen.items() for line in few_unseen(folder, count)]

    @property
    def on_few_unseen(self) -> str:
        """The same as lines below scores; nothing where there is none."""
        return "".join(f"\n{line}\n" for line in self.few_unseen)

    def comparison(self) -> pd.DataFrame:
        """`comparison.csv`: a row a setting that has cells, a recipe, baseline, imported log."""
        trained = self.settings[self.settings["seeds"] > 0]
        cells = trained.assign(
            kind="cell", system="", best=[self.best in cells for cells in trained["cells"]]
        )
        others = [
            rows.assign(system=rows.index, best=False) for rows in (self.recipes, self.baselines)
        ]
        others.append(self._imported_rows())
        frames = [frame for frame in (cells, *others) if not frame.empty]
        spreads = [f"{column}_{part}" for column in CLEAN_SCORES for part in ("sd", "low", "high")]
        columns = ["kind", "system", *setting_axes(self.run), *CLEAN_SCORES, "seeds", "best"]
        columns += ["seeds_planned", *CEILINGS, *spreads, *OTHER_SCORES]
        return pd.concat(frames or [cells], ignore_index=True).reindex(columns=columns)

    def _imported_rows(self) -> pd.DataFrame:
        """A row an imported log, its scores in the columns of its protocol."""
        rows = []
        for name, scores in self.imported.groupby("cell", sort=False):
            first = scores.iloc[0]
            row = {axis: first[axis] for axis in setting_axes(self.run)}
            row |= {"kind": first["kind"], "system": name, "best": False}
            for _, score in scores[scores["split"].isin(SPLITS)].iterrows():
                row[score_column(score["split"], score["protocol"], score["stage"])] = score[
                    "value"
                ]
            rows.append(row)
        return pd.DataFrame(rows)


def _by_name(scores: "pd.Series[float]") -> dict[str, float]:
    return {str(name): float(score) for name, score in scores.dropna().items()}
