"""Which triples share a batch."""

from pathlib import Path

import numpy as np

from counterpoint.corpus.arguments import Corpus
from counterpoint.training.batches import BUCKET, batches_of_epoch, bucketed, by_debate
from counterpoint.training.data import CorpusData
from tests.support.training import cell, live_encoder


def test_buckets_hold_each_triple_once_and_like_lengths_together() -> None:
    rng = np.random.default_rng(1)
    size, steps = 4, 40
    order = rng.permutation(size * steps)
    lengths = rng.integers(1, 500, size * steps)
    found = bucketed(order, lengths, size, np.random.default_rng(2))
    assert sorted(found.ravel().tolist()) == list(range(size * steps))
    of = dict(zip(order.tolist(), lengths.tolist(), strict=True))
    spread = [max(of[t] for t in batch) - min(of[t] for t in batch) for batch in found.tolist()]
    plain = [np.ptp(lengths[i : i + size]) for i in range(0, size * steps, size)]
    assert np.mean(spread) < np.mean(plain) / 4
    # Only neighbours in the shuffled order meet: those of a window of BUCKET batches.
    window = {t: place // (BUCKET * size) for place, t in enumerate(order.tolist())}
    assert all(len({window[t] for t in batch}) == 1 for batch in found.tolist())


def test_triples_of_a_debate_stand_next_to_each_other() -> None:
    debates = np.repeat(np.arange(12), 5)
    order = np.random.default_rng(1).permutation(60)
    found = by_debate(order, debates[order], 8, np.random.default_rng(2))
    assert found.shape == (7, 8)  # four triples are left over
    assert len(np.unique(found)) == 56
    # Eight in a row of fives touch three debates at most; shuffled ones touch about six.
    assert max(len(np.unique(debates[batch])) for batch in found) <= 3
    other = by_debate(order, debates[order], 8, np.random.default_rng(3))
    assert {frozenset(batch) for batch in found.tolist()} != {
        frozenset(batch) for batch in other.tolist()
    }


def test_an_epoch_has_the_same_triples_in_either_order(corpus: Corpus, tiny_bert: Path) -> None:
    encoder = {"name": str(tiny_bert), "max_tokens": 24, "trainable": "all"}
    plain, bucketed_, by_debates = (
        batches_of_epoch(CorpusData(corpus).pairs, live_encoder(options, corpus), options, epoch=0)
        for options in (
            cell(encoder=encoder, training={"batch_size": 8, "batch_sampler": sampler})
            for sampler in ("plain", "bucketed", "debates")
        )
    )
    assert np.array_equal(np.sort(bucketed_, axis=None), np.sort(plain, axis=None))
    assert not np.array_equal(bucketed_, plain)
    # Of another order others are left over.
    assert by_debates.shape == plain.shape
    assert len(np.unique(by_debates)) == by_debates.size
