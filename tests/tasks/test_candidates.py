"""The eight candidate sets, the protocols and the training pairs, against design §3."""

import dataclasses

import numpy as np
import pytest

from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import (
    Corpus,
    read_arguments,
    text_hash,
    write_arguments,
)
from counterpoint.corpus.sources import open_source
from counterpoint.search.distances import Similarities
from counterpoint.tasks.candidates import TASKS, blocks, candidate_sets, totals
from counterpoint.tasks.protocols import WITH_TASKS
from counterpoint.tasks.training_pairs import trainable, training_pairs
from tests.support.candidates import argument, brute_candidates, folded
from tests.support.debates import debate
from tests.support.evaluation import results_of

TWO = {"train": "training", "dev": "validation"}

# Two themes, four debates; `juries` is the name of two of them. Letter a is a point, b a counter.
# The texts that stand in several places:
#   "gold"   the counter law/juries/pro01b, the counter law/prisons/pro01b, the point
#            law/prisons/con01a
#   "query"  the point law/juries/pro01a, the point sport/boxing/pro01a, the counter
#            sport/boxing/con01b
TINY = {
    "law/juries/pro01a": "query",
    "law/juries/pro01b": "gold",
    "law/juries/pro02a": "jury two",
    "law/juries/pro02b": "answer to jury two",
    "law/juries/con01a": "jury con",
    "law/juries/con01b": "answer to jury con",
    "law/juries/con02a": "an orphan",
    "law/prisons/pro01a": "prison",
    "law/prisons/pro01b": "gold",
    "law/prisons/con01a": "gold",
    "law/prisons/con01b": "answer to prison con",
    "sport/boxing/pro01a": "query",
    "sport/boxing/pro01b": "answer to boxing",
    "sport/boxing/con01a": "boxing con",
    "sport/boxing/con01b": "query",
    "sport/juries/pro01a": "referee",
    "sport/juries/pro01b": "answer to referee",
    "sport/juries/con01a": "referee con",
    "sport/juries/con01b": "answer to referee con",
}

JURY_COUNTERS = {"law/juries/pro01b", "law/juries/pro02b", "law/juries/con01b"}
SPORT_COUNTERS = {
    "sport/boxing/pro01b",
    "sport/boxing/con01b",
    "sport/juries/pro01b",
    "sport/juries/con01b",
}
SPORT_POINTS = {
    "sport/boxing/pro01a",
    "sport/boxing/con01a",
    "sport/juries/pro01a",
    "sport/juries/con01a",
}
# law/prisons/pro01b is a counter with the gold's text and never a candidate of this query; the
# point law/prisons/con01a, which has that text too, is one.
PRO_QUERY = {
    "sdoc": {"law/juries/pro01b", "law/juries/pro02b"},
    "sdc": JURY_COUNTERS,
    "sdoa": {"law/juries/pro01b", "law/juries/pro02b", "law/juries/con01a"},
    "sda": JURY_COUNTERS | {"law/juries/pro02a", "law/juries/con01a"},
    "stc": JURY_COUNTERS | {"law/prisons/con01b"},
    "sta": JURY_COUNTERS
    | {"law/juries/pro02a", "law/juries/con01a"}
    | {"law/prisons/con01b", "law/prisons/pro01a", "law/prisons/con01a"},
    "epc": JURY_COUNTERS | {"law/prisons/con01b"} | SPORT_COUNTERS,
    "epa": JURY_COUNTERS
    | {"law/juries/pro02a", "law/juries/con01a"}
    | {"law/prisons/con01b", "law/prisons/pro01a", "law/prisons/con01a"}
    | SPORT_COUNTERS
    | SPORT_POINTS,
}
PRISON_COUNTERS = {"law/prisons/pro01b", "law/prisons/con01b"}
CON_QUERY = {
    "sdoc": {"law/juries/con01b"},
    "sdc": JURY_COUNTERS,
    "sdoa": {"law/juries/con01b", "law/juries/pro01a", "law/juries/pro02a"},
    "sda": JURY_COUNTERS | {"law/juries/pro01a", "law/juries/pro02a"},
    "stc": JURY_COUNTERS | PRISON_COUNTERS,
    "sta": JURY_COUNTERS
    | {"law/juries/pro01a", "law/juries/pro02a"}
    | PRISON_COUNTERS
    | {"law/prisons/pro01a", "law/prisons/con01a"},
    "epc": JURY_COUNTERS | PRISON_COUNTERS | SPORT_COUNTERS,
    "epa": JURY_COUNTERS
    | {"law/juries/pro01a", "law/juries/pro02a"}
    | PRISON_COUNTERS
    | {"law/prisons/pro01a", "law/prisons/con01a"}
    | SPORT_COUNTERS
    | SPORT_POINTS,
}


def corpus_of(validation, training=None):
    """A corpus of {`law/juries/pro01a`: text}; without a word on training, of other texts there."""
    if training is None:
        training = {"x/x/pro01a": "only in training", "x/x/pro01b": "and this one too"}
    arguments = [argument("training", *item) for item in training.items()]
    arguments += [argument("validation", *item) for item in validation.items()]
    return Corpus(arguments, TWO, {"training": 0, "validation": 0})


def candidates_of(sets, task, protocol, query):
    """The candidates of the query with an id, as ids without the split."""
    number = sets.ids.index(f"validation/{query}") - sets.pairs
    (mask,) = sets.candidates(task, protocol, np.array([number]))
    return {sets.ids[row].removeprefix("validation/") for row in np.flatnonzero(mask)}


def fast_candidates(sets, task, protocol):
    queries = sets.queries(protocol)
    masks = sets.candidates(task, protocol, queries)
    return {
        sets.ids[sets.pairs + query]: {sets.ids[row] for row in np.flatnonzero(mask)}
        for query, mask in zip(queries, masks, strict=True)
    }


def random_corpus(seed):
    """Few themes, debates and texts, so that copies, orphans and seen texts abound."""
    rng = np.random.default_rng(seed)

    def split(words):
        files = {}
        for theme in ("law", "sport"):
            for name in ("juries", "boxing"):
                for side in ("pro", "con"):
                    for number in range(1, 1 + int(rng.integers(0, 4))):
                        where = f"{theme}/{name}/{side}{number:02d}"
                        files[f"{where}a"] = f"text {rng.integers(words)}"
                        if rng.random() < 0.8:
                            files[f"{where}b"] = f"text {rng.integers(words)}"
        return files

    words = int(rng.integers(4, 40))
    return corpus_of(split(words), dict(list(split(words).items())[: int(rng.integers(8))]))


@pytest.mark.parametrize("task", TASKS)
def test_candidates_of_a_pro_query_are_those_worked_by_hand(task) -> None:
    sets = candidate_sets(corpus_of(TINY), "validation")
    assert candidates_of(sets, task, "official", "law/juries/pro01a") == PRO_QUERY[task]


@pytest.mark.parametrize("task", TASKS)
def test_candidates_of_a_con_query_are_those_worked_by_hand(task) -> None:
    sets = candidate_sets(corpus_of(TINY), "validation")
    assert candidates_of(sets, task, "official", "law/juries/con01a") == CON_QUERY[task]


@pytest.mark.parametrize("task", TASKS)
def test_clean_leaves_out_copies_of_the_query_and_points_that_copy_the_gold(task) -> None:
    sets = candidate_sets(corpus_of(TINY), "validation")
    copies = {"sport/boxing/pro01a", "sport/boxing/con01b", "law/prisons/con01a"}
    assert candidates_of(sets, task, "clean", "law/juries/pro01a") == PRO_QUERY[task] - copies
    # Nothing has the text of this query, nor a point its gold's.
    assert candidates_of(sets, task, "clean", "law/juries/con01a") == CON_QUERY[task]


def test_files_read_from_disk_make_the_same_candidates(write_tree) -> None:
    names = {"a": "a-point.txt", "b": "b-counter.txt"}
    files = {
        f"validation/{where[:-6]}{where[-6:-3]}/{where[-6:-1]}{names[where[-1]]}": text
        for where, text in TINY.items()
    }
    root = write_tree(files | debate("training", "x", "x", {"pro": 1}))
    sets = candidate_sets(read_corpus(open_source(str(root)), TWO)[0], "validation")
    for task in TASKS:
        assert candidates_of(sets, task, "official", "law/juries/pro01a") == PRO_QUERY[task]


def test_an_orphan_is_neither_query_nor_candidate() -> None:
    sets = candidate_sets(corpus_of(TINY), "validation")
    assert sets.pairs == 9
    assert "validation/law/juries/con02a" not in sets.ids


def test_the_pool_is_the_counters_then_the_points_of_the_same_pairs() -> None:
    sets = candidate_sets(corpus_of(TINY), "validation")
    assert all(one.endswith("b") for one in sets.ids[: sets.pairs])
    assert [one[:-1] + "a" for one in sets.ids[: sets.pairs]] == list(sets.ids[sets.pairs :])


def test_a_copy_of_the_gold_in_the_same_debate_is_no_candidate() -> None:
    files = {
        "law/juries/pro01a": "one",
        "law/juries/pro01b": "the answer",
        "law/juries/pro02a": "two",
        "law/juries/pro02b": "the  answer\n",
        "law/juries/con01a": "the answer",
        "law/juries/con01b": "three",
    }
    sets = candidate_sets(corpus_of(files), "validation")
    assert candidates_of(sets, "sdoc", "official", "law/juries/pro01a") == {"law/juries/pro01b"}
    assert candidates_of(sets, "sdoc", "official", "law/juries/pro02a") == {"law/juries/pro02b"}
    # The point with the gold's text stays.
    assert candidates_of(sets, "sdoa", "official", "law/juries/pro01a") == {
        "law/juries/pro01b",
        "law/juries/con01a",
    }


def test_texts_are_the_same_after_nfc_and_folding_of_white_space() -> None:
    files = {
        "law/juries/pro01a": "one",
        "law/juries/pro01b": "caf\u00e9 au lait",
        "law/juries/pro02a": "two",
        "law/juries/pro02b": " cafe\u0301\tau\u00a0lait\r\n",
        "law/juries/pro03a": "three",
        "law/juries/pro03b": "cafe au lait",
    }
    sets = candidate_sets(corpus_of(files), "validation")
    assert candidates_of(sets, "sdc", "official", "law/juries/pro01a") == {
        "law/juries/pro01b",
        "law/juries/pro03b",
    }


def test_the_gold_is_a_candidate_even_where_it_has_the_querys_text() -> None:
    files = {
        "law/juries/pro01a": "one",
        "law/juries/pro01b": "one",
        "law/juries/pro02a": "two",
        "law/juries/pro02b": "answer",
    }
    sets = candidate_sets(corpus_of(files), "validation")
    for protocol in WITH_TASKS:
        for task in TASKS:
            found = candidates_of(sets, task, protocol, "law/juries/pro01a")
            assert "law/juries/pro01b" in found
            assert "law/juries/pro01a" not in found


def test_debates_of_one_name_under_two_themes_are_two_debates(write_tree) -> None:
    files = debate("training", "x", "x", {"pro": 1})
    files |= debate("validation", "law", "juries", {"pro": 1})
    files |= debate("validation", "sport", "juries", {"pro": 2})
    root = write_tree(files)
    sets = candidate_sets(read_corpus(open_source(str(root)), TWO)[0], "validation")
    assert candidates_of(sets, "sdc", "official", "law/juries/pro01a") == {"law/juries/pro01b"}
    # Three pairs: sdc 1 + 2 + 2; epc 3 * 3.
    assert totals(sets)["sdc"] == 5
    assert totals(sets)["epc"] == 9


def test_a_query_is_seen_when_either_text_stands_anywhere_in_training() -> None:
    training = {
        "x/x/pro01a": "a point of training",
        "x/x/pro01b": "a counter of training",
        "x/x/pro02a": "an orphan of training",
    }
    validation = {
        "law/juries/pro01a": "a point  of training",
        "law/juries/pro01b": "new 1",
        "law/juries/pro02a": "new 2",
        "law/juries/pro02b": "a counter of training",
        "law/juries/pro03a": "a counter of training",
        "law/juries/pro03b": "new 3",
        "law/juries/pro04a": "new 4",
        "law/juries/pro04b": "an orphan of training",
        "law/juries/pro05a": "new 5",
        "law/juries/pro05b": "new 6",
    }
    sets = candidate_sets(corpus_of(validation, training), "validation")
    assert sets.unseen.tolist() == [False, False, False, False, True]
    assert sets.queries("clean").tolist() == [4]
    assert sets.queries("official").tolist() == [0, 1, 2, 3, 4]
    # Seen texts are no queries, but candidates still: nobody has the text of "new 5".
    assert candidates_of(sets, "epa", "clean", "law/juries/pro05a") == set(validation) - {
        "law/juries/pro05a"
    }


def test_texts_of_other_splits_than_training_make_no_query_seen(small) -> None:
    one = next(one for one in small.split("test") if one.kind == "point")
    arguments = [
        argument("validation", "law/new/pro01a", one.text),
        argument("validation", "law/new/pro01b", "new"),
    ]
    corpus = Corpus([*small.arguments, *arguments], small.roles, small.bare_debates)
    sets = candidate_sets(corpus, "validation")
    assert sets.pairs == 9
    assert sets.unseen.all()


def test_every_query_of_training_is_seen(sample) -> None:
    assert len(candidate_sets(sample, "training").queries("clean")) == 0


def test_one_folder_in_two_roles_makes_equal_pools(small_tree, write_tree) -> None:
    roles = {"train": "training", "dev": "validation", "test": "validation"}
    once, _ = read_corpus(open_source(str(write_tree(small_tree))), roles | {"test": "test"})
    corpus, _ = read_corpus(open_source(str(write_tree(small_tree, name="again"))), roles)
    dev, test = (
        candidate_sets(corpus, corpus.roles["dev"]),
        candidate_sets(corpus, corpus.roles["test"]),
    )
    assert dev.pairs == 8
    assert dev.ids == test.ids == candidate_sets(once, "validation").ids
    assert totals(dev) == totals(test) == totals(candidate_sets(once, "validation"))


def test_training_in_the_dev_role_leaves_no_clean_query(small_tree, write_tree) -> None:
    roles = {"train": "training", "dev": "training", "test": "test"}
    corpus, _ = read_corpus(open_source(str(write_tree(small_tree))), roles)
    sets = candidate_sets(corpus, corpus.roles["dev"])
    assert sets.pairs == 8
    assert not sets.unseen.any()
    assert totals(sets, "clean") == dict.fromkeys(TASKS, 0)


@pytest.mark.parametrize("folder", ["training", "validation", "test"])
@pytest.mark.parametrize("protocol", WITH_TASKS)
def test_candidates_equal_brute_force_on_the_sample(sample, folder, protocol) -> None:
    sets = candidate_sets(sample, folder)
    for task in TASKS:
        slow = brute_candidates(sample.split(folder), sample.split("training"), task, protocol)
        assert fast_candidates(sets, task, protocol) == slow
        assert totals(sets, protocol)[task] == sum(map(len, slow.values()))


@pytest.mark.parametrize("protocol", WITH_TASKS)
def test_candidates_equal_brute_force_on_random_corpora(protocol) -> None:
    asked = 0
    for seed in range(40):
        corpus = random_corpus(seed)
        sets = candidate_sets(corpus, "validation")
        for task in TASKS:
            slow = brute_candidates(
                corpus.split("validation"), corpus.split("training"), task, protocol
            )
            assert fast_candidates(sets, task, protocol) == slow, (seed, task)
            asked += len(slow)
    assert asked > 1000


def test_candidates_do_not_depend_on_who_else_is_asked(sample) -> None:
    sets = candidate_sets(sample, "validation")
    queries = sets.queries("official")
    for task in TASKS:
        whole = sets.candidates(task, "clean", queries)
        for size in (1, 7, 64):
            parts = [sets.candidates(task, "clean", block) for block in blocks(queries, size)]
            assert max(map(len, parts)) == size
            np.testing.assert_array_equal(np.concatenate(parts), whole)
        np.testing.assert_array_equal(sets.candidates(task, "clean", queries[::-1]), whole[::-1])


def test_an_unknown_task_is_refused(sample) -> None:
    sets = candidate_sets(sample, "validation")
    with pytest.raises(KeyError, match="sdx"):
        sets.candidates("sdx", "official", sets.queries("official"))


@pytest.mark.parametrize(
    ("folder", "pairs", "expected"),
    [
        (
            "training",
            4065,
            (15737, 31089, 31091, 58135, 1620065, 3236103, 16522059, 33042219),
        ),
        ("validation", 1287, (4877, 9635, 9637, 17987, 177553, 353823, 1656165, 3311247)),
    ],
)
def test_totals_of_the_real_corpus_are_the_published_ones(real, folder, pairs, expected) -> None:
    sets = candidate_sets(real, folder)
    assert sets.pairs == pairs
    assert totals(sets) == dict(zip(TASKS, expected, strict=True))


def test_713_real_validation_queries_are_unseen(real) -> None:
    assert len(candidate_sets(real, "validation").queries("clean")) == 713


def test_training_pairs_stand_once_in_the_order_of_their_first_appearance() -> None:
    training = {
        "law/juries/pro01a": "p",
        "law/juries/pro01b": "c",
        "law/juries/pro02a": "p",
        "law/juries/pro02b": "another c",
        "law/juries/pro03a": "p",
        "law/juries/pro03b": "c",
        "sport/juries/con01a": "q",
        "sport/juries/con01b": " c ",
        "sport/juries/con02a": "p  ",
        "sport/juries/con02b": "c",
        "sport/juries/con03a": "an orphan",
    }
    corpus = corpus_of({"x/x/pro01a": "v", "x/x/pro01b": "w"}, training)
    sets = candidate_sets(corpus, "training")
    pairs = training_pairs(sets)
    named = [
        (corpus.texts[point], corpus.texts[counter])
        for point, counter in zip(pairs.point, pairs.counter, strict=True)
    ]
    assert len(pairs) == 3
    assert named == [("p", "c"), ("p", "another c"), ("q", "c")]
    law = int(sets.debate[sets.ids.index("training/law/juries/pro01b")])
    sport = int(sets.debate[sets.ids.index("training/sport/juries/con01b")])
    assert pairs.debates == (frozenset({law, sport}), frozenset({law}), frozenset({sport}))
    number = {text: i for i, text in enumerate(corpus.texts)}
    assert pairs.debates_of_point == {
        number["p"]: frozenset({law, sport}),
        number["q"]: frozenset({sport}),
    }
    assert pairs.debates_of_counter == {
        number["c"]: frozenset({law, sport}),
        number["another c"]: frozenset({law}),
    }


def test_training_pairs_of_the_sample_are_its_different_pairs(sample) -> None:
    texts = {one.id: folded(one.text) for one in sample.split("training")}
    expected = {
        (texts[one], texts[one[:-1] + "b"])
        for one in texts
        if one.endswith("a") and one[:-1] + "b" in texts
    }
    sets = candidate_sets(sample, "training")
    pairs = training_pairs(sets)
    assert len(pairs) == len(expected) < sets.pairs
    found = zip(pairs.point, pairs.counter, strict=True)
    assert {(sample.texts[point], sample.texts[counter]) for point, counter in found} == expected


def test_the_real_training_split_has_3103_different_pairs(real) -> None:
    assert len(training_pairs(candidate_sets(real, "training"))) == 3103


# What may be trained on


def held_back(validation, training):
    """A corpus whose training shares no text with dev."""
    return dataclasses.replace(corpus_of(validation, training), decontaminate="train")


def trained_ids(corpus):
    sets = candidate_sets(corpus, "training")
    return [sets.ids[sets.pairs + row].removeprefix("training/") for row in trainable(corpus, sets)]


def test_pairs_that_share_a_text_with_dev_are_not_trained_on() -> None:
    training = {
        "law/juries/pro01a": "caf\u00e9  one",  # a point of dev, written otherwise
        "law/juries/pro01b": "c1",
        "law/juries/pro02a": "p2",
        "law/juries/pro02b": "c2",
        "law/juries/pro03a": "a counter of dev",
        "law/juries/pro03b": "c3",
        "law/juries/pro04a": "p4",
        "law/juries/pro04b": "an orphan of dev",
        "law/juries/pro05a": "a point of dev",  # an orphan, and no pair
        "law/prisons/pro01a": "p2",  # a copy is kept like its like
        "law/prisons/pro01b": "c2",
        "law/prisons/pro02a": "p2",
        "law/prisons/pro02b": "a point of dev",
    }
    validation = {
        "x/x/pro01a": "cafe\u0301 one",
        "x/x/pro01b": "a counter of dev",
        "x/x/pro02a": "a point of dev",
        "x/x/pro02b": "another",
        "x/x/con01a": "an orphan of dev",
    }
    every = [one for one in training if one.endswith("a") and one != "law/juries/pro05a"]
    assert trained_ids(corpus_of(validation, training)) == every
    corpus = held_back(validation, training)
    kept = ["law/juries/pro02a", "law/prisons/pro01a"]
    assert trained_ids(corpus) == kept
    sets = candidate_sets(corpus, "training")
    pairs = training_pairs(sets, trainable(corpus, sets))
    assert [corpus.texts[text] for text in (*pairs.point, *pairs.counter)] == ["p2", "c2"]
    # A debate is one of a point's where a pair with it is kept.
    law, prisons = (int(sets.debate[sets.ids.index(f"training/{one}")]) for one in kept)
    assert pairs.debates == (frozenset({law, prisons}),)
    assert pairs.debates_of_point == {int(pairs.point[0]): frozenset({law, prisons})}


def test_texts_of_dev_and_of_test_are_withheld() -> None:
    texts = {"training": "t", "validation": "v", "exam": "e", "unused": "u"}
    arguments = [
        argument(split, f"x/x/pro01{letter}", f"{text} {letter}")
        for split, text in texts.items()
        for letter in "ab"
    ]
    roles = {"train": "training", "dev": "validation", "test": "exam"}
    corpus = Corpus(arguments, roles, dict.fromkeys(texts, 0), "train")
    assert corpus.withheld == {text_hash(f"{text} {letter}") for text in "ve" for letter in "ab"}
    assert dataclasses.replace(corpus, decontaminate="none").withheld == frozenset()


def test_trainable_agrees_with_reading_every_text() -> None:
    dropped = kept = 0
    for seed in range(60):
        plain = random_corpus(seed)
        corpus = dataclasses.replace(plain, decontaminate="train")
        sets = candidate_sets(corpus, "training")
        shared = {folded(one.text) for one in corpus.split("validation")}
        text = {one.id: folded(one.text) for one in corpus.split("training")}
        points = [one for one in text if one.endswith("a") and one[:-1] + "b" in text]
        expected = [one for one in points if not {text[one], text[one[:-1] + "b"]} & shared]
        rows = trainable(corpus, sets)
        assert [sets.ids[sets.pairs + row] for row in rows] == expected
        found = training_pairs(sets, rows)
        unique = dict.fromkeys((text[one], text[one[:-1] + "b"]) for one in expected)
        assert [
            (corpus.texts[point], corpus.texts[counter])
            for point, counter in zip(found.point, found.counter, strict=True)
        ] == list(unique)
        assert len(trainable(plain, sets)) == len(points)
        dropped, kept = dropped + len(points) - len(expected), kept + len(expected)
    assert min(dropped, kept) > 10


def test_unseen_queries_stay_what_they_were_when_training_drops_pairs() -> None:
    some = 0
    for seed in range(30):
        plain = random_corpus(seed)
        corpus = dataclasses.replace(plain, decontaminate="train")
        for folder in ("training", "validation"):
            before, after = candidate_sets(plain, folder), candidate_sets(corpus, folder)
            np.testing.assert_array_equal(before.unseen, after.unseen)
            assert before.ids == after.ids
        some += len(trained_ids(corpus)) < len(trained_ids(plain))
    assert some > 5


def test_training_pairs_of_some_rows_are_those_of_these_rows_alone() -> None:
    training = {
        f"law/{name}/pro{n:02d}{letter}": f"{letter} {n % 3}"
        for name in ("juries", "prisons")
        for n in range(1, 6)
        for letter in "ab"
    }
    sets = candidate_sets(corpus_of({"x/x/pro01a": "v", "x/x/pro01b": "w"}, training), "training")
    everything = training_pairs(sets)
    again = training_pairs(sets, np.arange(sets.pairs))
    assert again.point.tolist() == everything.point.tolist()
    assert again.debates == everything.debates
    # Rows 1 and 4 are of juries and have n 2 and 5; row 6 is of prisons and has n 2.
    some = training_pairs(sets, np.array([1, 4, 6]))
    assert len(some) == 1
    assert some.point.tolist() == [sets.text[sets.pairs + 1]]
    assert some.counter.tolist() == [sets.text[1]]
    assert some.debates == (frozenset({int(sets.debate[1]), int(sets.debate[6])}),)
    assert len(training_pairs(sets, np.array([], dtype=np.int64))) == 0


def test_decontamination_is_written_and_read_again(tmp_path) -> None:
    for corpus in (corpus_of(TINY), dataclasses.replace(corpus_of(TINY), decontaminate="train")):
        write_arguments(corpus, tmp_path / "arguments.parquet")
        again = read_arguments(tmp_path / "arguments.parquet")
        assert again == corpus
        assert again.withheld == corpus.withheld
        assert bool(again.withheld) == (corpus.decontaminate == "train")


# Tasks without a choice


def sets_of_pairs(*pairs):
    """The candidate sets of (where, point, counter)."""
    files = {
        f"{where}{letter}": text
        for where, *texts in pairs
        for letter, text in zip("ab", texts, strict=True)
    }
    return candidate_sets(corpus_of(files), "validation")


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("law/juries/pro01", "p1", "c1")], TASKS),
        # Alone in their debates, together in their theme.
        (
            [("law/juries/pro01", "p1", "c1"), ("law/bail/pro01", "p2", "c2")],
            ("sdoc", "sdc", "sdoa", "sda"),
        ),
        (
            [("law/juries/pro01", "p1", "c1"), ("sport/boxing/pro01", "p2", "c2")],
            ("sdoc", "sdc", "sdoa", "sda", "stc", "sta"),
        ),
        # On two sides: each has the other side's counter, and its point.
        ([("law/juries/pro01", "p1", "c1"), ("law/juries/con01", "p2", "c2")], ("sdoc",)),
        # One counter to both: a copy of the gold is no candidate, the other point is.
        (
            [("law/juries/pro01", "p1", "c"), ("law/juries/pro02", "p2", "c")],
            ("sdoc", "sdc", "sdoa", "stc", "epc"),
        ),
        # One query with a choice is enough.
        (
            [
                ("law/juries/pro01", "p1", "c1"),
                ("law/juries/pro02", "p2", "c2"),
                ("sport/boxing/pro01", "p3", "c3"),
            ],
            (),
        ),
    ],
)
def test_tasks_are_left_out_where_the_gold_is_the_only_candidate(pairs, expected) -> None:
    sets = sets_of_pairs(*pairs)
    assert sets.left_out == tuple(expected)
    queries = sets.queries("official")
    for task in TASKS:
        counts = sets.candidates(task, "official", queries).sum(axis=1)
        assert (counts == 1).all() == (task in expected)
    costs = Similarities(lambda asked: np.zeros((len(asked), 2 * sets.pairs), dtype=np.float32))
    found = results_of(sets, costs, protocols=("official",))
    assert [each.task for each in found] == [task for task in TASKS if task not in expected]
