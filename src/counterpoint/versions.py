"""Which program this is, and the numbers that are raised by hand when results change."""


def program_version() -> str:
    """The version of the installed program."""
    # Imported here: it takes as long as all else that `counterpoint --help` imports.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("counterpoint")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+unknown"


CORPUS_VERSION = 4
"""Raised by hand when a change of the code changes the table of arguments."""

TRAINING_VERSION = 9
"""Raised by hand when a change of the code changes what a cell computes: Snakemake holds it in the
training rule's parameters, so raising it re-trains every cell."""

FEATURES_VERSION = 3
"""The same for tokens and frozen features."""

BASELINES_VERSION = 4
"""The same for baselines."""
