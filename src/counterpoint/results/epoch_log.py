"""The epoch log: one JSON object a line, written as each epoch ends, without any time in it."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from counterpoint.errors import InputError
from counterpoint.io.atomic import naming, replacing


@dataclass(frozen=True)
class Losses:
    """Mean losses of a split; None where a value is not a number (JSON has no word for it)."""

    retrieval: float | None
    counter: float | None
    """Of the classifier on the counters."""
    negative: float | None
    """Of the classifier on the negatives."""
    total: float | None
    """Weighted as in training."""


@dataclass(frozen=True)
class Quantiles:
    """The value below which 5, 25, 50, 75 and 95 % lie, linear between two; None as in `Losses`."""

    q05: float | None
    q25: float | None
    q50: float | None
    q75: float | None
    q95: float | None


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (of the population) of some distances."""

    mean: float | None
    std: float | None
    quantiles: Quantiles | None = None
    """None in logs from before there were any."""


@dataclass(frozen=True)
class Distances:
    """Euclidean distances from points to their counters, and to their negatives."""

    positive: Spread
    negative: Spread
    active: float | None = None
    """Share of triplets whose loss is above 0: a fraction.

    None where the loss has no margin, the distances are no numbers, or nobody looked yet."""


@dataclass(frozen=True)
class NegativeCounts:
    """How many of an epoch's negatives were of which kind; `same_debate` cuts across the others.

    `mining.negatives` of each point. The last two are None where nothing filters."""

    random: int
    hard_point: int
    hard_counter: int
    same_debate: int
    filtered: int | None = None
    """Candidates that were too near to be hard negatives, of all points that asked for one."""
    replaced: int | None = None
    """Random ones among `random` because no hard candidate was left."""


@dataclass(frozen=True)
class EpochScores:
    """Accuracy@1 of both stages and recall@10 of the first: fractions.

    None where no query is asked: a dev split may have none that is unseen.
    """

    retrieval: float | None
    reranked: float | None
    recall_at_10: float | None
    at_k: Mapping[str, float | None] = field(default_factory=dict)
    """Accuracy at other k, such as `reranked@3` (`evaluation.top_k`)."""


Accuracy = Mapping[str, Mapping[str, EpochScores]]
"""Split, then protocol, to scores."""


@dataclass(frozen=True)
class EpochRecord:
    """A line of the epoch log; splits are named by their roles: train, dev, test."""

    epoch: int
    """From 0."""
    learning_rate: float
    random_rate: float
    negatives: NegativeCounts
    losses: Mapping[str, Losses]
    distances: Mapping[str, Distances]
    accuracy: Accuracy
    """On `epa`; empty where the epoch diverged."""
    gap: float | None = None
    """Train accuracy (official) less dev accuracy (clean), both re-ranked."""
    spread: float | None = None
    """Root mean square distance of the training texts' e to their mean."""
    diverged: str | None = None
    """Why the epoch cannot be evaluated."""
    events: list[str] = field(default_factory=list)
    tasks: Mapping[str, Accuracy] = field(default_factory=dict)
    """On the other tasks that are asked for (`evaluation.epoch_tasks`)."""

    def to_json(self) -> dict[str, Any]:
        """The object that the log holds, with `recall@10` as metrics are named elsewhere."""
        values: dict[str, Any] = _finite(asdict(self))
        for scores in _all_scores(values):
            at_k = scores.pop("at_k")
            scores["recall@10"] = scores.pop("recall_at_10")
            scores.update(at_k)
        for distances in values["distances"].values():
            for part, name in (
                (distances["positive"], "quantiles"),
                (distances["negative"], "quantiles"),
                (distances, "active"),
            ):
                if part[name] is None:
                    del part[name]
        values["negatives"] = {
            name: count for name, count in values["negatives"].items() if count is not None
        }
        if not values["tasks"]:
            del values["tasks"]
        return values


def _all_scores(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The scores within a record as JSON, of every task, split and protocol."""
    for splits in (values["accuracy"], *values.get("tasks", {}).values()):
        for protocols in splits.values():
            yield from protocols.values()


_ADAPTER = TypeAdapter(EpochRecord)


def _finite(value: Any) -> Any:
    """The same with None for every number that is none: JSON has no word for it."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value


def append(path: str | os.PathLike[str], record: EpochRecord) -> None:
    """Add one epoch's record and flush it to disk."""
    with naming(path), open(path, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def truncate(path: str | os.PathLike[str], epochs: int) -> None:
    """Keep the first so many records, and flush to disk.

    Raises:
        InputError: there are fewer.
    """
    kept = Path(path).read_bytes().splitlines(keepends=True)[:epochs] if epochs else []
    if len(kept) < epochs or not all(line.endswith(b"\n") for line in kept):
        raise InputError(
            f"{path}: the log of {epochs} epochs was cut; delete its folder to train the cell anew"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(kept))


def read(path: str | os.PathLike[str]) -> list[EpochRecord]:
    """The records of a log, in order.

    Raises:
        InputError: a line is not the record of an epoch.
    """
    # As bytes: text would also be split at the line separators that Unicode has beside \n.
    lines = Path(path).read_bytes().splitlines()
    return [_parsed(f"{path}, line {number}", line) for number, line in enumerate(lines, start=1)]


def _parsed(where: str, line: bytes) -> EpochRecord:
    try:
        values = json.loads(line)
        for scores in _all_scores(values):
            scores["recall_at_10"] = scores.pop("recall@10")
            scores["at_k"] = {name: scores.pop(name) for name in list(scores) if "@" in name}
        return _ADAPTER.validate_python(values)
    except (ValueError, ValidationError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{where}: not the record of an epoch ({reason}): {line[:80]!r}"
        ) from error
