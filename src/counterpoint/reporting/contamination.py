"""What the leak was worth: a cell trained on all pairs, and without those shared with dev or test.

Both evaluated on the same queries, all (`official`) and unseen (`clean`), and by the protocol that
shows the classifier its answer (`legacy`).
"""

from collections.abc import Sequence

from counterpoint.errors import InputError
from counterpoint.io.text import percent, signed
from counterpoint.reporting.compare import Comparison, compare, points
from counterpoint.reporting.scores import records_of
from counterpoint.runs.folder import Run
from counterpoint.tasks.protocols import LEGACY

QUERIES = {LEGACY.name: "all, answer shown (leaks)", "official": "all", "clean": "unseen"}


def leak(run: Run, without: Run, cell: str) -> list[Comparison]:
    """One row a split and protocol on `epa`, as `compare` gives them: A all pairs, B without.

    Args:
        run: trained on all pairs.
        without: trained with `corpus.decontaminate: train`.
        cell: its name, the same in both runs, or `best` of the first.

    Raises:
        InputError: the second run is not decontaminated, or lacks the cell.
    """
    for one, expected in ((run, "none"), (without, "train")):
        # A run from before there was the option has all pairs.
        decontaminate = one.config.corpus.decontaminate
        if decontaminate != expected:
            raise InputError(
                f"{one.folder.config}: corpus.decontaminate is {decontaminate!r}, expected "
                f"{expected!r}; name the run on all pairs by --run and the decontaminated one by "
                "--without"
            )
    name, _ = records_of(run, cell)
    return compare(run, name, name, other=without, protocols=tuple(QUERIES), tasks=("epa",))


def readable(comparisons: Sequence[Comparison]) -> list[dict[str, object]]:
    """The rows for a person: scores in %, what the shared texts were worth in points."""
    return [
        {
            "split": one.split,
            "queries": QUERIES[one.protocol],
            "protocol": one.protocol,
            "n": one.n,
            "trained on all pairs": percent(one.a, 1),
            "without shared texts": percent(one.b, 1),
            "difference": signed(100 * one.difference, 1),
            "95 %": points(one),
            "p (Holm)": f"{one.p_holm:.4f}",
        }
        for one in comparisons
    ]
