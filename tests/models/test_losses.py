"""The losses against numbers worked by hand, a slow reference, and their own gradients."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from counterpoint.config.options import RetrievalLossOptions
from counterpoint.models.losses import (
    RETRIEVAL_LOSSES,
    Batch,
    classifier,
    distance,
    infonce,
    triplet,
)

TRIPLET = RetrievalLossOptions()
NCE = RetrievalLossOptions(kind="infonce", temperature=0.5)


def batch_of(
    point: object,
    counter: object,
    negative: object,
    texts: tuple[list[int], list[int], list[int]] | None = None,
    as_candidate: object | None = None,
) -> Batch:
    """`negative` is one for each point."""
    p, c, n = (torch.tensor(rows, dtype=torch.float64) for rows in (point, counter, negative))
    b = len(p)
    numbers = texts or (list(range(b)), list(range(b, 2 * b)), list(range(2 * b, 3 * b)))
    as_point = p if as_candidate is None else torch.tensor(as_candidate, dtype=torch.float64)
    return Batch(p, as_point, torch.stack([c, n]), torch.tensor(numbers))


def random_batch(rng: np.random.Generator, rows: int, texts: int, negatives: int = 1) -> Batch:
    """Unit vectors; few texts, so that many of a batch are the same."""
    p, q, *c = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        for vectors in rng.normal(size=(3 + negatives, rows, 5))
    )
    numbers = rng.integers(0, texts, size=(2 + negatives, rows))
    others = np.stack(c)
    return Batch(*(torch.from_numpy(part) for part in (p, q, others, numbers)))


# ---- distance and triplet ----


def test_distance_is_euclidean_row_by_row() -> None:
    a = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    b = torch.tensor([[3.0, 4.0], [1.0, 1.0]])
    assert distance(a, b).tolist() == [5.0, 0.0]


def test_triplet_by_hand() -> None:
    # Row 1: |p − c| = 5, |p − n| = 2: 5 − 2 + 1 = 4. Row 2: 1 − 5 + 1 < 0, so 0. Mean 2.
    batch = batch_of([[0, 0], [0, 0]], [[3, 4], [1, 0]], [[0, 2], [3, 4]])
    assert triplet(batch, TRIPLET).item() == 2.0


def several(batch: Batch, further: list[list[list[float]]], texts: list[list[int]]) -> Batch:
    """The batch with further negatives, a list of vectors of all points for each."""
    others = torch.cat([batch.others, torch.tensor(further, dtype=torch.float64)])
    return Batch(
        batch.point,
        batch.point_as_candidate,
        others,
        torch.cat([batch.texts, torch.tensor(texts)]),
    )


def test_triplet_is_the_mean_over_all_of_a_points_triplets() -> None:
    # As above, 4 and 0; with the second negatives 5 − 5 + 1 = 1 and 1 − 1 + 1 = 1. Mean 6/4.
    one = batch_of([[0, 0], [0, 0]], [[3, 4], [1, 0]], [[0, 2], [3, 4]])
    two = several(one, [[[4, 3], [0, 1]]], [[6, 7]])
    assert two.distances.tolist() == [[5, 1, 5, 1], [2, 5, 5, 1]]
    assert triplet(two, TRIPLET).item() == 1.5


@pytest.mark.parametrize(("margin", "expected"), [(0.5, 0.0), (2.0, 0.5), (3.5, 2.0)])
def test_triplet_takes_its_margin(margin: float, expected: float) -> None:
    # |p − c| = 1, |p − n| = 2.5: the hinge opens at a margin of 1.5.
    batch = batch_of([[0, 0]], [[1, 0]], [[1.5, 2]])
    assert triplet(batch, RetrievalLossOptions(margin=margin)).item() == expected


def test_triplet_looks_at_the_points_vector_as_a_query_alone() -> None:
    batch = batch_of([[0, 0]], [[3, 4]], [[0, 2]], as_candidate=[[9, 9]])
    assert triplet(batch, TRIPLET).item() == 4.0


def test_triplet_has_no_gradient_where_the_margin_is_kept() -> None:
    batch = batch_of([[0, 0]], [[1, 0]], [[3, 4]])
    batch.point.requires_grad_()
    triplet(batch, TRIPLET).backward()
    assert batch.point.grad is not None
    assert batch.point.grad.tolist() == [[0.0, 0.0]]


def test_triplet_has_the_gradient_of_its_formula() -> None:
    generator = torch.Generator().manual_seed(1)
    p, c, n = (
        torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
        for _ in range(3)
    )
    options = RetrievalLossOptions(margin=20.0)  # far from the hinge, so smooth
    texts = torch.arange(12).reshape(3, 4)

    def loss(p: Tensor, c: Tensor, n: Tensor) -> Tensor:
        return triplet(Batch(p, p, torch.stack([c, n]), texts), options)

    assert gradcheck(loss, (p, c, n))


def test_a_distance_of_zero_has_a_finite_gradient() -> None:
    vectors = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    same = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    texts = torch.arange(6).reshape(3, 2)
    loss = triplet(Batch(vectors, vectors, torch.stack([same, same]), texts), TRIPLET)
    loss.backward()
    assert loss.item() == 1.0  # 0 − 0 + m
    for tensor in (vectors, same):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


# ---- infonce ----


def test_infonce_by_hand() -> None:
    # Two queries along the axes, each gold the query itself, negatives opposite; τ = ½.
    # Row 1 has logits 2 (its gold), 0 (the other's gold), 0 (the other point), −2 (its negative)
    # and 0 (the other's negative); its own point is masked. The rows are alike, so the loss is
    # log(e² + 3 + e⁻²) − 2 = log(10.524391) − 2 = 0.353696.
    batch = batch_of([[1, 0], [0, 1]], [[1, 0], [0, 1]], [[-1, 0], [0, -1]])
    assert infonce(batch, NCE).item() == pytest.approx(0.353696, abs=1e-6)


def test_infonce_of_one_row_is_a_choice_of_two() -> None:
    # Gold at 0.6, negative at −0.8, own point masked: log(1 + exp((−0.8 − 0.6) / ½)).
    batch = batch_of([[1, 0]], [[0.6, 0.8]], [[-0.8, 0.6]])
    assert infonce(batch, NCE).item() == pytest.approx(math.log1p(math.exp(-2.8)), rel=1e-12)


def test_the_points_are_columns_in_the_role_of_candidates() -> None:
    # Queries e1 and e2; as candidates the points are e2 and e1, so each row meets the other's
    # point at cosine 1. Gold, the other gold and both negatives lie at 0: log(4 + e²).
    batch = batch_of(
        [[1, 0, 0], [0, 1, 0]],
        [[0, 0, 1], [0, 0, 1]],
        [[0, 0, 1], [0, 0, 1]],
        as_candidate=[[0, 1, 0], [1, 0, 0]],
    )
    assert infonce(batch, NCE).item() == pytest.approx(math.log(4 + math.exp(2)), rel=1e-12)


def test_infonce_masks_a_copy_of_the_gold() -> None:
    plain = batch_of([[1, 0]], [[0, 1]], [[1, 0]], ([0], [1], [2]))
    copy = batch_of([[1, 0]], [[0, 1]], [[1, 0]], ([0], [1], [1]))
    # Cosines 0 and 1 at τ = ½: log(1 + e²); with the negative masked only the gold is left.
    assert infonce(plain, NCE).item() == pytest.approx(math.log1p(math.exp(2)), rel=1e-12)
    assert infonce(copy, NCE).item() == 0.0


def test_every_negative_of_the_batch_is_a_column_of_every_row() -> None:
    # As in the example by hand, and second negatives at cosine 0 to either query, of which the
    # second point's has the text of the first one's gold: log(e² + 3 + e⁻² + 1) − 2 in the first
    # row, log(e² + 3 + e⁻² + 2) − 2 in the second.
    one = batch_of([[1, 0, 0], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]], [[-1, 0, 0], [0, -1, 0]])
    two = several(one, [[[0, 0, 1], [0, 0, 1]]], [[6, 2]])
    base = math.exp(2) + 3 + math.exp(-2)
    expected = (math.log(base + 1) + math.log(base + 2)) / 2 - 2
    assert infonce(two, NCE).item() == pytest.approx(expected, rel=1e-12)


def test_infonce_masks_a_copy_of_the_query() -> None:
    copy = batch_of([[1, 0]], [[0, 1]], [[1, 0]], ([0], [1], [0]))
    assert infonce(copy, NCE).item() == 0.0


def test_infonce_masks_the_points_other_counters() -> None:
    # The second point's counter also answers the first, so that only the first row loses a column.
    rows = ([[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, 1], [0, 1]])
    plain = batch_of(*rows, ([0, 1], [2, 3], [4, 5]))
    shared = Batch(
        plain.point,
        plain.point_as_candidate,
        plain.others,
        torch.cat([plain.texts, torch.tensor([[3, -1], [-1, -1]])]),
    )
    # Row 1: gold at cosine 0 beside its own text (masked), p2 (0), c2 (1) and two negatives (0).
    # Row 2: gold at 0 beside p1 (0), c1 (1) and two negatives (1).
    first, second = math.log(4 + math.exp(2)), math.log(2 + 3 * math.exp(2))
    assert infonce(plain, NCE).item() == pytest.approx((first + second) / 2, rel=1e-12)
    assert infonce(shared, NCE).item() == pytest.approx((math.log(4) + second) / 2, rel=1e-12)


def test_the_gold_itself_is_never_masked() -> None:
    # Every text the same: the gold is the only column left, and nothing is NaN.
    batch = batch_of([[1, 0], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [0, 1]], ([7, 7],) * 3)
    for tensor in (batch.point, batch.others):
        tensor.requires_grad_()
    loss = infonce(batch, NCE)
    loss.backward()
    assert loss.item() == 0.0
    for tensor in (batch.point, batch.others):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


def slow_infonce(batch: Batch, temperature: float) -> float:
    """One row and one column at a time, from the words of the design."""
    counters, *negatives = batch.others
    columns = torch.cat([counters, batch.point_as_candidate, *negatives]).tolist()
    texts = torch.cat([batch.texts[[1, 0]], batch.texts[2:]]).flatten().tolist()
    losses = []
    for row, query in enumerate(batch.point.tolist()):
        own = batch.texts[:2, row].tolist()
        total = 0.0
        for place, (column, text) in enumerate(zip(columns, texts, strict=True)):
            if place == row or text not in own:
                cosine = sum(a * b for a, b in zip(query, column, strict=True))
                total += math.exp(cosine / temperature)
        gold = sum(a * b for a, b in zip(query, columns[row], strict=True))
        losses.append(math.log(total) - gold / temperature)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("texts", [3, 8, 1000])
@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("negatives", [1, 3])
def test_infonce_is_the_slow_one(
    rng: np.random.Generator, rows: int, texts: int, negatives: int
) -> None:
    for _ in range(5):
        batch = random_batch(rng, rows, texts, negatives)
        expected = slow_infonce(batch, 0.5)
        assert infonce(batch, NCE).item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("kind", RETRIEVAL_LOSSES)
@pytest.mark.parametrize("negatives", [1, 3])
def test_no_loss_depends_on_the_order_of_the_batch(
    kind: str, negatives: int, rng: np.random.Generator
) -> None:
    batch = random_batch(rng, 6, 8, negatives)
    order = torch.from_numpy(rng.permutation(6))
    turned = Batch(
        batch.point[order],
        batch.point_as_candidate[order],
        batch.others[:, order],
        batch.texts[:, order],
    )
    options = RetrievalLossOptions(kind=kind)  # type: ignore[arg-type]
    loss = RETRIEVAL_LOSSES[kind]
    assert loss(turned, options).item() == pytest.approx(loss(batch, options).item(), rel=1e-10)


def test_a_sharp_temperature_overflows_nothing() -> None:
    batch = batch_of([[1, 0]], [[-1, 0]], [[1, 0]])
    sharp = RetrievalLossOptions(kind="infonce", temperature=1e-3)
    # Cosines −1 and 1 at τ = 0.001: the negative is 2000 ahead.
    assert infonce(batch, sharp).item() == pytest.approx(2000.0)


@pytest.mark.parametrize("texts", [4, 1000])
def test_infonce_has_the_gradient_of_its_formula(rng: np.random.Generator, texts: int) -> None:
    batch = random_batch(rng, 4, texts)
    inputs = tuple(
        tensor.clone().requires_grad_()
        for tensor in (batch.point, batch.point_as_candidate, batch.others)
    )

    def loss(p: Tensor, q: Tensor, others: Tensor) -> Tensor:
        return infonce(Batch(p, q, others, batch.texts), NCE)

    assert gradcheck(loss, inputs)


# ---- classifier ----


def test_classifier_by_hand() -> None:
    # Logits 0 and log 3: probabilities ¼ and ¾.
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    found = classifier(torch.stack([logits, logits])).tolist()
    assert found == pytest.approx([math.log(4 / 3), math.log(4)], rel=1e-12)


def test_classifier_is_the_mean_over_the_batch() -> None:
    # Losses for class 1: log 2, and log 4/3; their mean is half of log 8/3. For class 0: log 2 and
    # log 4, half of log 8.
    logits = torch.tensor([[5.0, 5.0], [0.0, math.log(3)]], dtype=torch.float64)
    found = classifier(torch.stack([logits, logits])).tolist()
    assert found == pytest.approx([math.log(8 / 3) / 2, math.log(8) / 2], rel=1e-12)


def test_classifier_is_the_mean_over_all_negatives() -> None:
    # For class 0, of three negatives: log 4, log 2 and log 4/3, a third of log 32/3.
    rows = [[0.0, 0.0], [0.0, math.log(3)], [1.0, 1.0], [math.log(3), 0.0]]
    logits = torch.tensor(rows, dtype=torch.float64)[:, None]
    found = classifier(logits).tolist()
    assert found == pytest.approx([math.log(2), math.log(32 / 3) / 3], rel=1e-12)


def test_classifier_overflows_nothing() -> None:
    logits = torch.tensor([[[1e4, 0.0]], [[0.0, 1e4]]])
    assert classifier(logits).tolist() == pytest.approx([1e4, 1e4])
