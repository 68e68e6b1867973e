"""Facts of how the original study trained and evaluated, as far as anything is decided by them."""

from counterpoint.tasks.protocols import LEGACY, LEGACY_SUBSET

MARGIN = 1.0
"""Of its triplet loss."""

PAIRS = {"train": 4065, "dev": 1287, "test": 1401}
"""Role to the pairs of its split of ArguAna Counterargs."""

ASKED = {role: -(-pairs // LEGACY_SUBSET.batch_size) for role, pairs in PAIRS.items()}
"""Role to the pairs that its evaluator asks: as many as the split has batches of 16."""


def protocol_of(queries: dict[str, int | None]) -> str:
    """The protocol of a log whose accuracies are over so many queries, by role.

    The scripts ask the first pairs alone; a log over all pairs of a split must come from scripts
    that somebody has mended.
    """
    whole = any(queries.get(role) == pairs for role, pairs in PAIRS.items())
    return LEGACY.name if whole else LEGACY_SUBSET.name
