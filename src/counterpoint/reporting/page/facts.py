"""What was run, how long it took, and by what."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from statistics import median

from counterpoint.io.text import option_text
from counterpoint.runs.folder import Run, Status
from counterpoint.runs.progress import duration


def facts(run: Run) -> list[tuple[str, str]]:
    """What was run, how long it took, and by what; each with its value in words."""
    counted = Counter(cell.status for cell in run.cells)
    states: tuple[Status, ...] = ("done", "diverged", "failed", "missing")
    cells = ", ".join(f"{counted[status]} {status}" for status in states if counted[status])
    rows = [("run", run.folder.name), ("cells", f"{len(run.cells)} planned: {cells}")]
    return [*rows, *_planned(run), *_times(run), *_versions(run)]


def _planned(run: Run) -> Iterable[tuple[str, str]]:
    corpus = run.config.corpus
    if corpus.url or corpus.path:
        yield "corpus", str(corpus.url or corpus.path)
    yield "splits", ", ".join(f"{role}: {folder}" for role, folder in corpus.splits)
    yield (
        "training pairs shared with dev or test",
        "left out" if corpus.decontaminate == "train" else "kept",
    )
    yield "language", corpus.language
    for path in ("encoder.name", "encoder.pooling", "encoder.trainable", "training.epochs"):
        yield path, ", ".join(option_text(value) for value in run.values(path))


def _times(run: Run) -> Iterable[tuple[str, str]]:
    seconds = [cell.seconds() for cell in run.trained]
    if not seconds:
        return
    totals = [item.total for item in seconds]
    started, ended = (
        choose(datetime.fromisoformat(getattr(item, key)) for item in seconds)
        for key, choose in (("started", min), ("ended", max))
    )
    yield (
        "training",
        (
            f"{duration(sum(totals))} in all; a cell {duration(median(totals))} (median), "
            f"{duration(max(totals))} at most"
        ),
    )
    yield "from first start to last end", duration((ended - started).total_seconds())
    yield "last cell ended", f"{ended:%Y-%m-%d %H:%M %Z}"


def _versions(run: Run) -> Iterable[tuple[str, str]]:
    versions: dict[str, dict[str, None]] = {}
    for cell in run.trained:
        provenance = cell.provenance()
        for name, version in provenance.packages.items():
            versions.setdefault(name, {})[str(version)] = None
        for name in ("counterpoint", "code", "commit", "corpus", "device", "python", "platform"):
            value = str(getattr(provenance, name))
            versions.setdefault(_CALLED.get(name, name), {})[value] = None
    for name, values in versions.items():
        yield name, ", ".join(values)
    if len(versions.get(_CALLED["code"], {})) > 1:
        yield (
            "warning",
            (
                "The cells were trained by different states of the code; to make them comparable, "
                "train all again (snakemake --forcerun train)."
            ),
        )


_CALLED = {"code": "hash of the code", "corpus": "hash of the corpus", "commit": "git commit"}
