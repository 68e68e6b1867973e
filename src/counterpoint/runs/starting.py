"""What is told before the first job: what the run will cost, and batches that no corpus fills."""

import csv
import subprocess
import sys
import time
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from counterpoint.config.loading import dump
from counterpoint.config.matrix import Cell, expand
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders.names import MissingEncoder
from counterpoint.errors import InputError
from counterpoint.runs.estimate import CellCost, Cost, Measures, Plan, plan
from counterpoint.runs.folder import RunFolder
from counterpoint.runs.opening import Opened
from counterpoint.runs.progress import duration
from counterpoint.tasks.candidates import candidate_sets
from counterpoint.tasks.training_pairs import trainable, training_pairs

if TYPE_CHECKING:  # it loads torch
    from counterpoint.runs.measure import Bench

BUDGET_SECONDS = 4.0
"""After so long no further kind of cell is measured."""

PATIENCE_SECONDS = 60.0
"""How long an estimate is waited for: on a busy machine it may never come."""


class Stop(Exception):
    """The run cannot be done, and why has been printed."""


def begin(run: Opened, rules: Collection[str], *, local: bool, cores: int | None) -> None:
    """Print what a run will cost, or why it cannot be done.

    Args:
        run: as it was opened.
        rules: that have a job to run.
        local: whether jobs run on this machine, which can then be measured.
        cores: that there are.

    Raises:
        InputError: a batch is larger than what there is to train on.
        Stop: the run cannot be done for another reason.
    """
    if "train" not in rules:
        return
    if "corpus" not in rules:
        check_batches(run.cells.values(), _audited_pairs(run.folder))
    if not local:
        _say(f"run {run.config.run}: {len(run.cells)} cells")
        return
    # In a process of its own, because torch would stay in this one as long as the run takes.
    command = [sys.executable, "-m", "counterpoint", "plan", "--quick", "--config"]
    command += [dump(run.config), *(["--cores", str(cores)] if cores else [])]
    try:
        status = subprocess.run(
            command, check=False, timeout=PATIENCE_SECONDS, stdout=sys.stderr
        ).returncode
    except subprocess.TimeoutExpired:
        _say("no estimate of the time, because the machine is busy")
        return
    if status == 2:
        raise Stop


def quick_text(bench: "Bench", cores: int) -> str:
    """A run's cost in a sentence, from few kinds of cells.

    Args:
        bench: that measures the run.
        cores: that snakemake will get.

    Raises:
        InputError: a batch is larger than what there is to train on, or an encoder cannot be had.
    """
    cells = expand(bench.config, "plan")
    try:
        pairs = number_of_pairs(bench.corpus)
    except InputError as error:
        return _without_estimate(bench.config.run, len(cells), error)
    check_batches(cells, pairs)
    try:
        return _sentence(plan(bench.config, bench.folder, Quick(bench), cores=cores))
    except MissingEncoder:
        raise
    except InputError as error:  # of one cell perhaps, which need not stop the others
        return _without_estimate(bench.config.run, len(cells), error)


def check_batches(cells: Iterable[Cell], pairs: int | None) -> None:
    """Refuse batches that are larger than what there is to train on.

    Args:
        cells: of the run.
        pairs: different training pairs; None where that is not known.

    Raises:
        InputError: one is.
    """
    sizes = [cell.options.training.batch_size for cell in cells]
    large = [size for size in sizes if pairs is not None and size > pairs]
    if large:
        raise InputError(
            f"training.batch_size: {max(large)} is more than the {pairs} different training pairs "
            f"({len(large)} of {len(sizes)} cells); give a smaller batch"
        )


def number_of_pairs(corpus: Corpus) -> int:
    """How many different pairs of a corpus are trained on."""
    sets = candidate_sets(corpus, corpus.roles["train"])
    return len(training_pairs(sets, trainable(corpus, sets)))


def _audited_pairs(folder: RunFolder) -> int | None:
    """The same of a run's corpus, as its audit counted them."""
    if not folder.audit.is_file():
        return None
    with folder.audit.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if "train" in row["roles"].split()]
    return int(rows[0]["trained_pairs"]) if rows else None


class Quick:
    """Measures few kinds of cells, and takes the dearest for the others.

    Args:
        measures: that are asked.
    """

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        # Apart for live encoders and frozen ones.
        self._known: dict[bool, dict[Hashable, CellCost]] = {}
        self._began = time.perf_counter()

    @property
    def notes(self) -> Sequence[str]:
        """What it was measured on, so far."""
        return self._measures.notes

    def encoding(self, options: EncoderOptions) -> Cost:
        """Of the tokens and features of a frozen encoder; no seconds where they are there."""
        return self._measures.encoding(options)

    def cell(self, options: CellOptions) -> CellCost:
        """Of a cell: at most that of the dearest that was measured."""
        # The widest fusion stands for all.
        widest = options.model_copy(update={"fusion": "concat"})
        training = (options.training.batch_size, options.training.batch_sampler)
        kind = (options.encoder, options.projection, options.mining.backend, training)
        live = options.encoder.trainable != "none"
        known = self._known.setdefault(live, {})
        if kind not in known:
            is_late = time.perf_counter() - self._began > BUDGET_SECONDS
            known[kind] = (
                max(known.values(), key=lambda cost: cost.epoch.seconds)
                if known and is_late
                else self._measures.cell(widest)
            )
        return known[kind]


def _sentence(plan: Plan) -> str:
    done = f", {plan.done} of them done" if plan.done else ""
    time_left = f"{'at most ' * plan.at_most}about {duration(plan.hours * 3600)}"
    measured = f" (from {'; '.join(plan.measured_on)})" if plan.measured_on else ""
    return (
        f"run {plan.run}: {plan.cells} cells{done}; {time_left}, {plan.parallel} at a time; about "
        f"{plan.bytes / 1e6:,.0f} MB{measured}"
    )


def _without_estimate(run: str, cells: int, error: InputError) -> str:
    return f"run {run}: {cells} cells; no estimate of the time: {str(error).splitlines()[0]}"


def _say(text: str) -> None:
    print(f"counterpoint: {text}", file=sys.stderr)
