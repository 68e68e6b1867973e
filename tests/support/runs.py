"""Runs as the program leaves them, with made-up results."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from counterpoint.config import matrix
from counterpoint.config.loading import parse
from counterpoint.config.matrix import Cell
from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import Argument, Corpus, write_arguments
from counterpoint.evaluation.records import QueryResults, write_records
from counterpoint.io.atomic import write_json, write_text
from counterpoint.io.text import csv_text
from counterpoint.results import epoch_log
from counterpoint.results.epoch_log import (
    Distances,
    EpochRecord,
    EpochScores,
    Losses,
    NegativeCounts,
    Spread,
)
from counterpoint.results.files import Failure, Outcome, Provenance, Seconds
from counterpoint.runs.folder import CellFolder, RunFolder
from counterpoint.tasks.candidates import CandidateSets
from tests.support.debates import ROLES

FIVE_CELLS: dict[str, Any] = {
    "baselines": ["random", "tfidf"],
    "tables": {"axis": "retrieval_loss.margin"},
    "matrix": {
        "axes": {"fusion": ["cls", "concat"], "head": ["relu"], "decrease_rate": [0, 0.01]},
        "include": [{"fusion": "cls", "head": "relu", "initial_random_rate": 0, "margin": 0.8}],
    },
}


def plan(
    folder: Path, values: Mapping[str, Any], ids: Iterable[str] = (), **corpus: Any
) -> list[Cell]:
    """Plan a run; its cells.

    Args:
        folder: of the run.
        values: its configuration, less the name.
        ids: of the arguments of its corpus.
        corpus: options of the section `corpus`.
    """
    whole = {"run": "mini", **values}
    whole["corpus"] = {"splits": ROLES, **whole.get("corpus", {}), **corpus}
    config = parse(RunConfig, whole, "test")
    cells = matrix.expand(config, "test")
    run = RunFolder(folder)
    write_text(run.matrix, csv_text(matrix.rows(cells)))
    write_json(run.config, config.model_dump(mode="json"))
    write_arguments(Corpus([argument(name) for name in ids], ROLES, {}), run.arguments)
    return cells


def argument(name: str) -> Argument:
    """The argument that ArguAna's layout gives such an id."""
    split, theme, debate, rest = name.split("/")
    return Argument(
        id=name,
        pair=f"{name[:-1]}a",
        split=split,
        theme=theme,
        debate=debate,
        side=rest[:3],
        number=1,
        kind="counter" if name.endswith("b") else "point",
        text=name,
        text_hash=name,
    )


def query_results(
    sets: CandidateSets,
    rank: Sequence[int],
    reranked: Sequence[int] | None,
    protocols: Sequence[str] = ("official", "clean"),
) -> list[QueryResults]:
    """Ranks on `epa`, repeated over the queries."""
    n = sets.pairs
    own = np.repeat(np.arange(n)[:, None], 2, axis=1)
    return [
        QueryResults(
            task="epa",
            protocol=protocol,
            queries=np.arange(n),
            golds=np.arange(n)[:, None],
            candidates=np.full(n, 9),
            ranks=np.resize(rank, (n, 1)),
            nearest=own,
            reranked_ranks=None if reranked is None else np.resize(reranked, (n, 1)),
            reordered=None if reranked is None else own,
        )
        for protocol in protocols
    ]


def short(sets: CandidateSets) -> list[QueryResults]:
    """The same without the first query."""
    fields = ("queries", "golds", "candidates", "ranks", "nearest")
    return [
        dataclasses.replace(part, **{field: getattr(part, field)[1:] for field in fields})
        for part in query_results(sets, [1], None)
    ]


def epoch_record(number: int, **changes: Any) -> EpochRecord:
    """An epoch of which dev and test have scores."""
    scores = EpochScores(retrieval=0.5, reranked=0.25, recall_at_10=1.0)
    spread = Spread(mean=0.5, std=0.1)
    losses = Losses(retrieval=0.5, counter=0.6, negative=0.1, total=1.0)
    record = EpochRecord(
        epoch=number,
        learning_rate=1e-3,
        random_rate=1.0,
        negatives=NegativeCounts(random=10, hard_point=4, hard_counter=2, same_debate=3),
        losses=dict.fromkeys(("train", "dev", "test"), losses),
        distances=dict.fromkeys(("train", "dev", "test"), Distances(spread, spread)),
        accuracy={"train": {"official": scores}, "dev": {"clean": scores}},
        gap=0.1,
        spread=1.0,
    )
    return dataclasses.replace(record, **changes)


def write_files(
    folder: CellFolder,
    *,
    status: Any = "finished",
    code: str = "a",
    epochs: int = 3,
    best_epoch: int = 1,
    parameters: Mapping[str, int] | None = None,
    train: float = 50.0,
    total: float = 100.0,
) -> None:
    """The JSON files of a trained cell."""
    outcome = Outcome(status, "because", epochs, best_epoch, parameters or {"head": 7})
    outcome.write(folder.outcome)
    times = ("2026-11-23T10:00:00+00:00", "2026-11-23T10:01:40+00:00")
    Seconds(*times, total, {"train": train}).write(folder.seconds)
    Provenance(
        counterpoint="0",
        training_version=1,
        code=code,
        commit=None,
        corpus="c",
        seed=1,
        device="cpu",
        threads=1,
        python="3.11",
        platform="Linux",
        processors=None,
        packages={"torch": "9.9"},
    ).write(folder.provenance)


def finish(
    folder: CellFolder,
    sets: CandidateSets,
    ranks: Sequence[int],
    *,
    status: str = "finished",
    code: str = "a",
) -> None:
    """Leave what a finished cell leaves: half of the golds first before re-ranking."""
    both = query_results(sets, [1, 2], ranks)
    write_records({"dev": (sets, both), "test": (sets, both)}, folder.records)
    write_files(folder, status=status, code=code)
    write_epochs(folder, [epoch_record(number) for number in range(3)])


def write_epochs(folder: CellFolder, records: Iterable[EpochRecord]) -> None:
    """The epoch log, anew."""
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.epochs.unlink(missing_ok=True)
    folder.epochs.touch()
    for record in records:
        epoch_log.append(folder.epochs, record)


def fail(folder: RunFolder, name: str, reason: str) -> None:
    """Leave what a failed cell leaves."""
    Failure(reason).write(folder.state(name).failure)


# Of eight queries 4, 6 and 8 are right at the first place: 0.5, 0.75 and 1.
THREE_SEEDS = {1: [1, 2], 2: [1, 1, 1, 2], 3: [1]}


def seeded(
    folder: Path, sets: CandidateSets, ranks: Mapping[int, Sequence[int]], planned: Sequence[int]
) -> Path:
    """A run of one setting with several seeds, some of them trained, and of one with one seed."""
    values = {
        "baselines": [],
        "matrix": {
            "axes": {
                "seed": list(planned),
                "head": ["relu"],
                "fusion": ["cls"],
                "decrease_rate": [0],
            },
            "include": [{"head": "linear", "fusion": "cls", "decrease_rate": 0}],
        },
    }
    for cell in plan(folder, values, sets.ids):
        own = RunFolder(folder).cell(cell.name)
        if cell.options.head.kind == "linear":
            finish(own, sets, [2])
        elif cell.options.seed in ranks:
            finish(own, sets, ranks[cell.options.seed])
    return folder
