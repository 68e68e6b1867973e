"""Before the first job: a run's cost is told, or why it cannot be done; its plan is written."""

import csv
import subprocess
import sys
from collections.abc import Collection, Iterable

from counterpoint.config.loading import dump
from counterpoint.config.matrix import Cell
from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.runs.folder import RunFolder
from counterpoint.runs.opening import Opened, write_plan
from counterpoint.tasks.candidates import candidate_sets
from counterpoint.tasks.training_pairs import trainable, training_pairs

PATIENCE_SECONDS = 60.0
"""How long an estimate is waited for: on a busy machine it may never come."""


class Stop(Exception):
    """The run cannot be done, and why has been printed."""


def begin(run: Opened, rules: Collection[str], *, local: bool, cores: int | None) -> None:
    """Print what a run will cost, or why it cannot be done; then write its plan for its jobs.

    That is no job of its own: what such a job writes, others would depend on, and a changed option
    of the tables would train every cell again.

    Args:
        run: as it was opened.
        rules: that have a job to run.
        local: whether jobs run on this machine, which can then be measured.
        cores: that there are.

    Raises:
        InputError: a batch is larger than what there is to train on.
        Stop: the run cannot be done for another reason.
        OSError: its folder cannot be written.
    """
    if "train" in rules:
        _tell_cost(run, rules, local=local, cores=cores)
    write_plan(run.folder, run.config, run.cells.values())


def check_batches(cells: Iterable[Cell], pairs: int | None) -> None:
    """Refuse batches that are larger than what there is to train on.

    Args:
        cells: of the run.
        pairs: different training pairs; None where that is not known.

    Raises:
        InputError: one is.
    """
    by_option: dict[str, list[int]] = {}
    for cell in cells:
        option = f"{'reranker.' * cell.options.reads_pairs}training.batch_size"
        by_option.setdefault(option, []).append(cell.options.stage.training.batch_size)
    for option, sizes in by_option.items():
        large = [size for size in sizes if pairs is not None and size > pairs]
        if large:
            raise InputError(
                f"{option}: {max(large)} is more than the {pairs} different training pairs "
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


def _tell_cost(run: Opened, rules: Collection[str], *, local: bool, cores: int | None) -> None:
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


def _say(text: str) -> None:
    print(f"counterpoint: {text}", file=sys.stderr)
