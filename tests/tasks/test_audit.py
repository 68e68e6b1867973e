"""What the audit counts, against hand-worked corpora and counting by hand."""

import dataclasses

import numpy as np

from counterpoint.corpus.arguana import read_corpus
from counterpoint.corpus.arguments import Corpus, pairs_of
from counterpoint.tasks.audit import audit
from tests.support.debates import ROLES, debate
from tests.support.sources import Memory

HAND_WORKED = {
    "training/law/juries/pro/pro01a-point.txt": "caf\u00e9 one",  # A
    "training/law/juries/pro/pro01b-counter.txt": "B",
    "training/law/juries/con/con01a-point.txt": "C",
    "training/law/juries/con/con01b-counter.txt": "D",
    "training/law/juries/con/con02a-point.txt": "E",  # an orphan
    # A cross-listed pair, A written otherwise; the same name under another theme.
    "training/sport/juries/pro/pro01a-point.txt": "cafe\u0301\n one ",
    "training/sport/juries/pro/pro01b-counter.txt": "B",
    "training/law/listed/metadata.txt": "a debate without texts",
    "validation/law/bail/pro/pro01a-point.txt": "F",
    "validation/law/bail/pro/pro01b-counter.txt": "G",
    "validation/law/bail/pro/pro02a-point.txt": "I",
    "validation/law/bail/pro/pro02b-counter.txt": "B",  # the gold stands in training
    "validation/law/bail/con/con01a-point.txt": "E",  # the query does, as an orphan
    "validation/law/bail/con/con01b-counter.txt": "H",
    "test/sport/golf/pro/pro01a-point.txt": "F",
    "test/sport/golf/pro/pro01b-counter.txt": "J",
    "test/sport/golf/con/con01a-point.txt": "K",
    "test/sport/golf/con/con01b-counter.txt": "L",
}


def test_the_audit_of_a_hand_worked_corpus() -> None:
    rows = audit(read_corpus(Memory(HAND_WORKED), ROLES)[0])
    names = [
        "roles",
        "themes",
        "debates",
        "bare_debates",
        "points",
        "pairs",
        "orphans",
        "texts",
        "unique_texts",
    ]
    counts = [[row[name] for name in names] for row in rows]
    assert counts == [
        # law/juries, sport/juries and law/listed; points A C E A; pairs AB CD AB; texts A to E
        ["train", 2, 3, 1, 4, 3, 1, 7, 5],
        # points F I E; pairs FG IB EH; texts B E F G H I
        ["dev", 1, 1, 0, 3, 3, 0, 6, 6],
        # pairs FJ KL
        ["test", 1, 1, 0, 2, 2, 0, 4, 4],
    ]
    # Training has AB twice.
    assert [row["unique_pairs"] for row in rows] == [2, 3, 2]
    # B and E stand in training and validation, F in validation and test.
    folders = ("training", "validation", "test")
    shared = [[row[f"shared_with_{folder}"] for folder in folders] for row in rows]
    assert shared == [[5, 2, 0], [2, 6, 1], [0, 1, 4]]
    # Of validation only FG: IB has its gold in training and EH its point.
    assert [row["unseen_queries"] for row in rows] == [0, 1, 2]


def test_the_audit_of_roles_that_share_a_folder_has_one_row_for_it() -> None:
    roles = {"train": "training", "dev": "validation", "test": "validation"}
    rows = audit(read_corpus(Memory(HAND_WORKED), roles)[0])
    assert [(row["split"], row["roles"]) for row in rows] == [
        ("training", "train"),
        ("validation", "dev test"),
    ]


def test_the_audit_agrees_with_counting_by_hand(rng: np.random.Generator) -> None:
    for _ in range(20):
        tree: dict[str, str] = {}
        for split in ROLES.values():
            for place in range(12):
                theme, name, side = (f"{c}{rng.integers(2)}" for c in "td ")
                stem = f"{split}/{theme}/{name}/{['pro', 'con'][int(side)]}/"
                stem += f"{['pro', 'con'][int(side)]}{place:02d}"
                tree[f"{stem}a-point.txt"] = f"text {rng.integers(30)}"
                if place == 0 or rng.random() < 0.8:
                    tree[f"{stem}b-counter.txt"] = f"text  {rng.integers(30)}"
        rows = {row["split"]: row for row in audit(read_corpus(Memory(tree), ROLES)[0])}
        words = {path: " ".join(text.split()) for path, text in tree.items()}
        training = {text for path, text in words.items() if path.startswith("training/")}
        for split in ROLES.values():
            own = {path: text for path, text in words.items() if path.startswith(split + "/")}
            pairs = [
                (own[path.replace("b-counter", "a-point")], text)
                for path, text in own.items()
                if path.endswith("b-counter.txt")
            ]
            row = rows[split]
            assert row["points"] == 12
            assert row["pairs"] == len(pairs)
            assert row["orphans"] == 12 - len(pairs)
            assert row["texts"] == len(own)
            assert row["unique_texts"] == len(set(own.values()))
            assert row["unique_pairs"] == len(set(pairs))
            assert row["shared_with_training"] == len(set(own.values()) & training)
            assert row["debates"] == len({path.rsplit("/", 2)[0] for path in own})
            assert row["themes"] == len({path.split("/")[1] for path in own})
            assert row["unseen_queries"] == sum(not {p, c} & training for p, c in pairs)


def test_the_real_corpus_has_the_published_counts(real: Corpus) -> None:
    # docs/method.md, "The corpus"
    names = ["split", "debates", "points", "pairs", "orphans", "unique_texts", "texts"]
    counts = [[row[name] for name in names] for row in audit(real)]
    assert counts == [
        ["training", 644, 4083, 4065, 18, 6200, 8148],
        ["validation", 211, 1290, 1287, 3, 2389, 2577],
    ]


def test_the_real_corpus_lists_debates_in_several_splits(real: Corpus) -> None:
    training, validation = audit(real)
    assert validation["shared_with_training"] == 1127
    assert training["shared_with_validation"] == 1127
    assert validation["unseen_queries"] == 713


def test_the_audit_says_what_training_drops() -> None:
    corpus, _ = read_corpus(Memory(HAND_WORKED), ROLES)
    names = ["dropped_pairs", "trained_pairs"]
    counts = [[row[name] for name in names] for row in audit(corpus)]
    assert counts == [[0, 2], [0, 0], [0, 0]]  # AB once, CD
    clean = dataclasses.replace(corpus, decontaminate="train")
    # Both copies of AB go, because B is a gold of validation. E, an orphan, is no pair.
    assert [[row[name] for name in names] for row in audit(clean)] == [[2, 1], [0, 0], [0, 0]]
    # Which queries are unseen is a property of the corpus as it was published.
    unseen = [[row["unseen_queries"] for row in audit(each)] for each in (corpus, clean)]
    assert unseen == 2 * [[0, 1, 2]]


def test_decontaminating_the_real_corpus_drops_what_validation_shares(real: Corpus) -> None:
    clean = dataclasses.replace(real, decontaminate="train")
    held_out = {each.text_hash for each in real.split("validation")}
    pairs = pairs_of(real.split("training"))
    shared = [p for p, c in pairs if {p.text_hash, c.text_hash} & held_out]
    row = audit(clean)[0]
    assert row["dropped_pairs"] == len(shared) > 500
    kept = {(p.text_hash, c.text_hash) for p, c in pairs if p not in shared}
    assert row["trained_pairs"] == len(kept)


def test_tasks_that_have_one_candidate_are_named() -> None:
    tree = {}
    for n in range(3):
        tree |= debate("training", "law", f"d{n}", {"pro": 1})
    # Alone in its debate every query has its gold and nobody else; the theme has the others.
    row = audit(read_corpus(Memory(tree), {"train": "training"})[0])[0]
    assert row["tasks_left_out"] == "sdoc sdc sdoa sda"
    tree |= debate("training", "law", "d3", {"pro": 1, "con": 1})
    row = audit(read_corpus(Memory(tree), {"train": "training"})[0])[0]
    # In d3 there is a counter to the other side, and a point of it.
    assert row["tasks_left_out"] == "sdoc"
