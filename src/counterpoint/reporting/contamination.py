"""What the leak was worth: a cell trained on all pairs, and without those shared with dev or test.

Both evaluated on the same queries, all (`official`) and unseen (`clean`), and by the protocol that
shows the classifier its answer (`legacy`).
"""

from collections.abc import Sequence
from typing import Any

from counterpoint.errors import InputError
from counterpoint.reporting.compare import compare, records_of
from counterpoint.runs.folder import Run
from counterpoint.tasks.protocols import LEGACY

QUERIES = {LEGACY.name: "all, answer shown (leaks)", "official": "all", "clean": "unseen"}


def leak(run: Run, without: Run, cell: str) -> list[dict[str, Any]]:
    """One row a split and protocol on `epa`, as `compare` gives them: A all pairs, B without.

    Args:
        run: trained on all pairs.
        without: trained with `corpus.decontaminate: train`.
        cell: its name, the same in both runs, or `best` of the first.

    Raises:
        InputError: the second run is not decontaminated, or lacks the cell.
    """
    for each, expected in ((run, "none"), (without, "train")):
        # A run from before there was the option has all pairs.
        found = each.config.corpus.decontaminate
        if found != expected:
            raise InputError(
                f"{each.folder.config}: corpus.decontaminate is {found!r}, expected {expected!r}; "
                "name the run on all pairs by --run and the decontaminated one by --without"
            )
    name, _ = records_of(run, cell)
    return compare(run, name, name, other=without, protocols=tuple(QUERIES), tasks=("epa",))


def readable(rows: Sequence[dict[str, Any]]) -> list[dict[str, object]]:
    """The rows for a person: figures in %, what the shared texts were worth in points."""
    return [
        {
            "split": row["split"],
            "queries": QUERIES[row["protocol"]],
            "protocol": row["protocol"],
            "n": row["n"],
            "trained on all pairs": f"{100 * row['a']:.1f}",
            "without shared texts": f"{100 * row['b']:.1f}",
            "difference": f"{100 * row['difference']:+.1f}",
            "95 %": f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            "p (Holm)": f"{row['p_holm']:.4f}",
        }
        for row in rows
    ]
