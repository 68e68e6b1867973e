"""What a cell trains on and is evaluated on, and splits that leave nothing."""

from dataclasses import replace

import numpy as np
import pytest

from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.training.data import CellData, CorpusData
from tests.support.training import cell, contaminated


def test_a_batch_larger_than_the_split_is_an_input_error(corpus: Corpus) -> None:
    with pytest.raises(InputError, match=r"training\.batch_size: 99 is more than the 36"):
        CellData(CorpusData(corpus), cell(training={"batch_size": 99}))


def test_a_dev_split_without_unseen_queries_is_an_input_error(corpus: Corpus) -> None:
    roles = {"train": "training", "dev": "training", "test": "test"}
    seen = Corpus(corpus.arguments, roles, corpus.bare_debates)
    with pytest.raises(InputError, match="no query unseen in training"):
        CellData(CorpusData(seen), cell())


def test_training_drops_exactly_the_pairs_that_share_a_text(corpus: Corpus) -> None:
    shared, dropped = contaminated(corpus)
    clean = replace(shared, decontaminate="train")
    before, after = (CellData(CorpusData(each), cell()) for each in (shared, clean))
    assert (len(before.pairs), len(after.pairs)) == (36, 33)
    sets = after.sets("train")
    assert {sets.ids[sets.pairs + row] for row in before.trained} - {
        sets.ids[sets.pairs + row] for row in after.trained
    } == dropped
    held_out = set(after.texts(("dev", "test")).tolist())
    for texts in (after.pairs.point, after.pairs.counter, after.allowed.texts):
        assert held_out.isdisjoint(texts.tolist())
    assert held_out & set(before.pairs.point.tolist())
    # Dev and test are asked as before, unseen or not.
    for role in ("dev", "test"):
        np.testing.assert_array_equal(before.sets(role).unseen, after.sets(role).unseen)
        assert not after.sets(role).unseen.all()
        np.testing.assert_array_equal(before.held_out[role], after.held_out[role])


def test_nothing_left_to_train_on_is_an_input_error(corpus: Corpus) -> None:
    """Validation with every text of training."""
    copies = [
        replace(each, split="validation", id=each.id.replace("training", "validation"))
        for each in corpus.split("training")
    ]
    new = [replace(each, debate=f"{each.debate}-new") for each in corpus.split("validation")]
    new = [replace(each, id=f"validation/new/{each.id.split('/', 1)[1]}") for each in new]
    arguments = [*corpus.split("training"), *copies, *new, *corpus.split("test")]
    whole = Corpus(arguments, corpus.roles, corpus.bare_debates, "train")
    with pytest.raises(InputError, match="every training pair shares a text"):
        CellData(CorpusData(whole), cell())
