"""A trained cell, or the encoder as it comes, at work on texts of the caller's own."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from counterpoint.arrays import Floats
from counterpoint.config.loading import parse
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.corpus.arguments import text_hash
from counterpoint.corpus.texts import number_texts
from counterpoint.encoders.encoder import gathered
from counterpoint.encoders.roles import both
from counterpoint.encoders.tokens import tokenise
from counterpoint.errors import InputError
from counterpoint.evaluation.second_stage import probability
from counterpoint.models.fusion import Vectors
from counterpoint.retrieval import model_folder, second_stage
from counterpoint.retrieval.loaded import LoadedModel, load_trained, load_untrained
from counterpoint.retrieval.nearest import Searchable, StoredVectors, excluded_rows
from counterpoint.retrieval.second_stage import Candidates, Encoded, FoundPairs
from counterpoint.runs.folder import CellFolder, read_run, run_and_cell
from counterpoint.search.distances import squared_distance

Role = Literal["query", "candidate"]
"""What a text is encoded as: a point that is answered, or a counter that may answer."""


@dataclass(frozen=True)
class Ranked:
    """A counter that was found for a point, by its place among those that were searched."""

    place: int
    distance: float
    """Euclidean, between the vectors of the two texts."""
    similarity: float | None
    """Their cosine; None where the cell's vectors are not of length 1."""
    probability: float | None
    """That the text counters the point, as the cell's second stage says; None where it has none,
    or where the text was not among those that it re-orders."""
    first_stage_rank: int
    """Its rank by distance, from 1."""


@dataclass(frozen=True)
class Found(Ranked):
    """The same with its text."""

    text: str


class Retriever:
    """Finds counterarguments: `Retriever.load("results/demo", "best").search([point], counters)`.

    It holds its encoder in memory. One thread at a time may use it.
    """

    def __init__(self, loaded: LoadedModel, device: torch.device) -> None:
        self._loaded = loaded
        self._device = device

    @classmethod
    def load(cls, source: str | Path, name: str | None = None, *, device: str = "cpu") -> Self:
        """A trained cell.

        Args:
            source: the cell's folder, a folder that `save` or `counterpoint export` wrote, or with
                a name the run's folder, `results/RUN`.
            name: of a system of the run, as `systems.named_system` takes it: a cell's name,
                `recipe/NAME`, `baseline/untrained`, or `best` of them on dev.
            device: `cpu` or `cuda`.

        Raises:
            InputError: nothing like that lies there, or it cannot be used.
        """
        path, where = Path(source), torch.device(device)
        if name is not None:
            # With pandas, which whoever asks an index does without.
            from counterpoint.retrieval.systems import named_system

            run = read_run(path)
            name, folder = named_system(run, name)
            if folder is None:
                return cls(load_untrained(run.config.encoder, where), where)
            return cls(load_trained(folder, name, where), where)
        if model_folder.is_one(path):
            return cls(model_folder.read(path, where), where)
        _, name = run_and_cell(path)
        return cls(load_trained(CellFolder(path), name, where), where)

    @classmethod
    def untrained(cls, encoder: Mapping[str, object] | None = None, *, device: str = "cpu") -> Self:
        """The encoder as it comes; its vectors are compared by cosine.

        Args:
            encoder: the section `encoder` of a configuration (`name`, `pooling`, `max_tokens`);
                what is left out has its default, which is the bundled all-MiniLM-L6-v2.
            device: `cpu` or `cuda`.

        Raises:
            InputError: an option or the encoder cannot be used.
        """
        options = parse(EncoderOptions, dict(encoder or {}), "Retriever.untrained")
        where = torch.device(device)
        return cls(load_untrained(options, where), where)

    @property
    def name(self) -> str:
        """Of the system, for people."""
        return self._loaded.name

    @property
    def options(self) -> CellOptions:
        """What the cell was trained with."""
        return self._loaded.options

    @property
    def width(self) -> int:
        """d, the width of its vectors."""
        width = self.options.projection.width
        return self._loaded.encoder.hidden_size if width == "none" else width

    @property
    def reranks(self) -> int:
        """How many of the nearest the second stage re-orders; 1 where there is none."""
        return self.options.rerank

    @property
    def has_unit_length(self) -> bool:
        """Whether its vectors have length 1, so that distance ranks as cosine does."""
        return self._loaded.model.normalised

    @property
    def sees_encoder_outputs(self) -> bool:
        """Whether the classifier needs x beside e."""
        classifies = self.reranks > 1 and not self.options.reads_pairs
        return classifies and self.options.fusion != "embedding"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that its vectors and probabilities depend on."""
        loaded = self._loaded
        digest = hashlib.sha256(loaded.encoder.fingerprint().encode())
        encoder = loaded.encoder_options
        told = [encoder.pooling, encoder.max_tokens, self.has_unit_length, self.options.fusion]
        prompts = [loaded.prompts.query, loaded.prompts.candidate]
        # Indexes are older than prompts: without any, what they hold of their model stays.
        digest.update(json.dumps([*told, *(prompts * any(prompts)), self.reranks]).encode())
        classifies = self.reranks > 1 and loaded.pairs is None
        counts = ("projections.", "head.") if classifies else ("projections.",)
        for name, tensor in sorted(loaded.model.state_dict().items()):
            if name.startswith(counts):
                digest.update(name.encode())
                digest.update(tensor.cpu().contiguous().numpy().data)
        if loaded.pairs is not None:
            digest.update(loaded.pairs.fingerprint().encode())
        return digest.hexdigest()

    def save(self, folder: str | Path, card: str = "") -> None:
        """Write a folder that `load` and sentence-transformers read.

        Args:
            folder: which is not there yet, or empty.
            card: its `README.md`.

        Raises:
            InputError: the encoder's pooler is none that sentence-transformers can do.
            OSError: the folder is not empty, or cannot be written.
        """
        model_folder.write(self._loaded, Path(folder), card)

    def encode_points(self, texts: Sequence[str]) -> Floats:
        """Vectors (n, d) float32 of n texts as points, which a counter is sought for.

        Raises:
            InputError: a text is empty, or there is none.
        """
        array: Floats = self.vectors(texts, "query").e.cpu().numpy()
        return array

    def encode_counters(self, texts: Sequence[str]) -> Floats:
        """Vectors (n, d) float32 of n texts as candidates for a counter.

        Raises:
            InputError: a text is empty, or there is none.
        """
        array: Floats = self.vectors(texts, "candidate").e.cpu().numpy()
        return array

    @torch.no_grad()
    def vectors(self, texts: Sequence[str], role: Role) -> Vectors:
        """Both vectors of n texts in a role: x (n, H) and e (n, d), float32, on its device.

        Raises:
            InputError: a text is empty, or there is none.
        """
        loaded, numbered = self._loaded, number_texts(texts)
        encoder = loaded.encoder
        encoder.tokens = tokenise(
            numbered, loaded.encoder_options, loaded.tokenizer, both(loaded.prompts[role])
        )
        n = len(numbered.texts)
        x = gathered(encoder.embed(torch.arange(n), role), n)
        return loaded.model.project(x, role).rows(torch.from_numpy(numbered.numbers))

    def encoded(self, texts: Sequence[str], role: Role) -> Encoded:
        """Texts with their `vectors`.

        Raises:
            InputError: a text is empty, or there is none.
        """
        return Encoded(texts, self.vectors(texts, role))

    def rerank(self, point: str, candidates: Sequence[str]) -> list[tuple[int, float]]:
        """Candidates by the probability that they counter the point, likeliest first.

        Returns:
            Each one's place among those given, and its probability. Ties keep their order.

        Raises:
            InputError: the cell has no second stage, or a text is empty.
        """
        if self.reranks == 1:
            raise InputError(
                f"{self.name}: has no classifier and no cross-encoder, so nothing is re-ranked"
            )
        n = len(candidates)
        p, c = self.encoded([point], "query"), self.encoded(candidates, "candidate")
        distances = squared_distance(p.vectors.e.double(), c.vectors.e.double()).sqrt()
        pairs = FoundPairs(
            np.zeros(n, dtype=np.int64), np.arange(n, dtype=np.int64), distances.cpu().numpy()
        )
        scores = second_stage.scores(self._loaded, p, _given(c), pairs)
        probabilities = probability(scores)
        order = np.argsort(-scores, kind="stable")
        return [(int(place), float(probabilities[place])) for place in order]

    def search(
        self, points: Sequence[str], counters: Sequence[str], k: int = 10
    ) -> list[list[Found]]:
        """The k best counters for each point, best first; never the point's own text.

        Each text is encoded anew: for many searches over the same texts make an index
        (`counterpoint index`).

        Raises:
            InputError: a text is empty, there is none, or k is less than 1.
        """
        p, c = self.encoded(points, "query"), self.encoded(counters, "candidate")
        places: dict[str, list[int]] = {}
        for place, text in enumerate(counters):
            places.setdefault(text_hash(text), []).append(place)
        own = excluded_rows([places.get(text_hash(point), []) for point in points])
        ranked = self.rank(p, StoredVectors([c.vectors.e.cpu()]), _given(c), k, excluded=own)
        return [
            [Found(**vars(result), text=counters[result.place]) for result in results]
            for results in ranked
        ]

    def rank(
        self,
        points: Encoded,
        stored: Searchable,
        candidates: Candidates,
        k: int,
        *,
        allowed: Tensor | None = None,
        excluded: Tensor | None = None,
    ) -> list[list[Ranked]]:
        """Both stages: the nearest, of which the second stage re-orders the first.

        Args:
            points: q of them, in the role `query`.
            stored: e of what is searched.
            candidates: the same for the second stage.
            k: how many.
            allowed: as `StoredVectors.nearest` has it.
            excluded: as `StoredVectors.nearest` has it.

        Raises:
            InputError: k is less than 1.
        """
        if k < 1:
            raise InputError(f"k: {k}; give at least 1")
        depth = min(max(k, self.reranks), len(stored))
        rows, distances = stored.nearest(
            points.vectors.e.cpu(), depth, allowed=allowed, excluded=excluded
        )
        ranked = [
            [
                Ranked(row, distance, self._similarity(distance), None, rank)
                for rank, (row, distance) in enumerate(zip(*both, strict=True), start=1)
                if row >= 0
            ]
            for both in zip(rows.tolist(), distances.tolist(), strict=True)
        ]
        if self.reranks > 1:
            ranked = self._reordered(points, ranked, candidates)
        return [results[:k] for results in ranked]

    def _similarity(self, distance: float) -> float | None:
        # |p − c|² = 2 − 2 cos(p, c) where both have length 1.
        return 1 - distance**2 / 2 if self.has_unit_length else None

    def _reordered(
        self, points: Encoded, ranked: list[list[Ranked]], candidates: Candidates
    ) -> list[list[Ranked]]:
        firsts = [results[: self.reranks] for results in ranked]
        found = [result for first in firsts for result in first]
        if not found:
            return ranked
        pairs = FoundPairs(
            np.repeat(np.arange(len(firsts)), [len(first) for first in firsts]),
            np.array([result.place for result in found], dtype=np.int64),
            np.array([result.distance for result in found], dtype=np.float64),
        )
        scores = second_stage.scores(self._loaded, points, candidates, pairs)
        scored = iter(zip(scores.tolist(), probability(scores).tolist(), strict=True))
        reordered = []
        for first, results in zip(firsts, ranked, strict=True):
            judged = [(result, *next(scored)) for result in first]
            # Stable: ties keep the order of the first stage.
            judged.sort(key=lambda one: -one[1])
            best = [replace(result, probability=likely) for result, _, likely in judged]
            reordered.append(best + results[self.reranks :])
        return reordered


def _given(candidates: Encoded) -> Candidates:
    """Texts of the caller's own as what is searched."""
    return Candidates(
        candidates.vectors.rows, lambda rows: [candidates.texts[row] for row in rows.tolist()]
    )
