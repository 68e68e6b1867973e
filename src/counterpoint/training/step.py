"""One step: a batch of triples to losses, gradients and weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.config.options import CellOptions
from counterpoint.models import losses
from counterpoint.models.cell_model import CellModel
from counterpoint.models.fusion import Vectors
from counterpoint.training.memory import BackOff
from counterpoint.training.optimizer import set_rates


@dataclass(frozen=True)
class Measured:
    """What some points gave.

    `losses` (3,) are the retrieval loss and the classifier's on counters and on negatives;
    `distances` (2, n) of the triplets go from points to counters and to negatives, without
    gradients.
    """

    losses: Tensor
    distances: Tensor


class TripleLosses:
    """The losses of triples of texts: points, counters, negatives.

    Triples are (2 + k + g, B), with k negatives of each point: below them stand the points' other
    counters, -1 for none, which no loss may push away.

    Args:
        model: whose vectors and classifier they are of.
        options: kinds and weights of the losses.
        device: of the model.
    """

    def __init__(self, model: CellModel, options: CellOptions, device: torch.device) -> None:
        self._model = model
        self._options = options.retrieval_loss
        self._retrieval = losses.RETRIEVAL_LOSSES[options.retrieval_loss.kind]
        self._device = device
        self._encoded = options.mining.texts_a_point
        retrieval, classifier = options.retrieval_loss.weight, options.classifier_loss.weight
        self._weights = torch.tensor([retrieval, classifier, classifier], device=device)
        self.depend_on_batch = self._retrieval.across_batch
        """Whether a triple's loss depends on who shares its batch."""

    def total(self, terms: Tensor) -> Tensor:
        """(3,) losses to their weighted sum."""
        return terms @ self._weights.to(terms)

    def active(self, distances: Tensor) -> float | None:
        """Share of triples whose retrieval loss is above 0; None of a loss without a margin.

        Args:
            distances: (2, n) finite ones, from points to counters and to negatives.
        """
        violation = self._retrieval.violation
        if violation is None:
            return None
        return float((violation(distances, self._options) > 0).double().mean())

    def of_texts(self, triples: Tensor) -> Measured:
        """Of (2 + k + g, B) int64 texts, with gradients; each unique text is encoded once a role.

        k is `mining.negatives`.
        """
        model, parts = self._model, self._encoded
        encoded = triples[:parts]
        if not model.roles_differ:
            vectors = model(encoded.reshape(-1), "query").split(parts)
            point = vectors.rows(0)
            return self.of_vectors(triples, point, vectors.rows(slice(1, None)), point.e)
        # No other loss looks at the points as candidates.
        first = 0 if self.depend_on_batch else 1
        if model.encoder.roles_differ:
            point = model(encoded[0], "query")
            others = model(encoded[first:].reshape(-1), "candidate").split(parts - first)
        else:
            x = model.encoder(encoded.reshape(-1), "query")
            size = triples.shape[1]
            point = model.project(x[:size], "query")
            others = model.project(x[first * size :], "candidate").split(parts - first)
        as_candidate = others.e[0] if first == 0 else point.e
        return self.of_vectors(triples, point, others.rows(slice(1 - parts, None)), as_candidate)

    def of_vectors(
        self, triples: Tensor, point: Vectors, others: Vectors, as_candidate: Tensor
    ) -> Measured:
        """Of texts whose vectors are known.

        Args:
            triples: (2 + k + g, B) int64 texts.
            point: (B, ·) vectors of the points as queries.
            others: (1 + k, B, ·) vectors of the counters and the negatives as candidates.
            as_candidate: (B, d) e of the points as candidates.
        """
        texts = triples.to(self._device, non_blocking=True)
        batch = losses.Batch(point.e, as_candidate, others.e, texts)
        terms = torch.cat(
            [
                self._retrieval(batch, self._options)[None],
                losses.classifier(self._model.logits(point, others)),
            ]
        )
        return Measured(terms, batch.distances.detach())


class Step:
    """Takes the optimiser's steps.

    Args:
        model: that learns.
        triple_losses: what it learns from.
        optimizer: over what learns.
        rates: of its groups, while nothing scales them.
        back_off: for batches that do not fit into memory.
    """

    def __init__(
        self,
        model: CellModel,
        triple_losses: TripleLosses,
        optimizer: torch.optim.Optimizer,
        rates: list[float],
        back_off: BackOff,
    ) -> None:
        self._model = model
        self._losses = triple_losses
        self._optimizer = optimizer
        self._rates = rates
        self._back_off = back_off

    def take(self, triples: Tensor, scale: float, seed: int | None) -> Measured:
        """Learn from a batch of triples.

        Args:
            triples: (2 + k + g, B) int64 texts on the CPU, where a live encoder looks up their
                tokens: to ask the device for them would wait for all that it has still to do.
            scale: what the learning rates are multiplied with.
            seed: of what the encoder draws; None where it draws nothing.
        """
        set_rates(self._optimizer, self._rates, scale)
        measured = self._back_off.fitting(lambda: self.gradients(triples, seed))
        self._optimizer.step()
        return measured

    def gradients(self, triples: Tensor, seed: int | None) -> Measured:
        """The gradients of a batch, whatever pieces it is encoded in; see `take`."""
        if seed is not None:
            # Each step's own, so that it can be repeated, or be the first after an interruption.
            torch.manual_seed(seed)
        self._optimizer.zero_grad(set_to_none=True)
        measured = self._losses.of_texts(triples)
        torch.autograd.backward(self._losses.total(measured.losses))
        return Measured(measured.losses.detach(), measured.distances)
