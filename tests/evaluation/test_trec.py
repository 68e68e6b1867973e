"""Files in TREC's format: what stands in them, and what another program reads."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import RR, R, Success, nDCG

from counterpoint.evaluation.trec import Ranked, falling, token, write_qrels, write_run


def test_judgements_are_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.qrels"
    write_qrels(path, {"q1": {"d1": 1, "d2": 2}, "q2": {"d1": 1}})
    assert path.read_text() == "q1 0 d1 1\nq1 0 d2 2\nq2 0 d1 1\n"


def ranked(query: str, documents: Sequence[str], scores: Sequence[float] = ()) -> Ranked:
    """All tie where no scores are given."""
    return Ranked(query, documents, np.array(scores or [0.5] * len(documents)))


def test_a_ranking_is_a_line_a_document_with_its_score(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    write_run(path, [ranked("q1", ["b", "a"], [2.5, -1 / 3]), ranked("q2", ["c"], [-0.0])], "bm25")
    assert path.read_text() == (
        "q1 Q0 b 1 2.5 bm25\nq1 Q0 a 2 -0.33333334 bm25\nq2 Q0 c 1 0.0 bm25\n"
    )


def test_scores_that_tie_fall_by_the_least_that_a_reader_can_tell() -> None:
    ulp = 2.0**-24  # below 1
    assert falling(np.array([1.0, 1.0, 1.0, 0.25])).tolist() == [1, 1 - ulp, 1 - 2 * ulp, 0.25]
    # Told apart in float64 alone; the last one had to make room.
    close = [1.0, 1 - 1e-12, 1 - 2e-12, 1 - ulp]
    assert falling(np.array(close)).tolist() == [1, 1 - ulp, 1 - 2 * ulp, 1 - 3 * ulp]
    assert falling(np.array([0.0, 0.0])).tolist() == [0, -(2.0**-149)]
    assert falling(np.array([])).tolist() == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_written_scores_fall_in_float32_and_keep_what_falls(values: list[float]) -> None:
    scores = np.sort(np.array([*values, *values[:5]]))[::-1]
    found = falling(scores)
    again = np.array([np.float32(float(text)) for text in found.astype(str)])
    assert (again == found).all()
    assert (np.diff(found) < 0).all()
    rounded = scores.astype(np.float32)
    apart = np.unique(rounded)[::-1]
    if len(apart) == len(rounded):
        assert (found == rounded).all()
    assert (found <= rounded).all()
    assert found[0] == rounded[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test/law/juries/pro01a", "test/law/juries/pro01a"),
        ("a b\tc", "a%20b%09c"),
        ("50% off", "50%25%20off"),
        ("a%20b", "a%2520b"),
        ("caf\u00e9\u00a0noir\u2028", "caf\u00e9%C2%A0noir%E2%80%A8"),
        ("", ""),
    ],
)
def test_white_space_and_per_cent_are_encoded(name: str, expected: str) -> None:
    assert token(name) == expected


@given(st.text(min_size=1))
def test_a_token_is_one_word_that_can_be_decoded(name: str) -> None:
    assert token(name).split() == [token(name)]
    assert unquote(token(name)) == name


def test_ids_with_white_space_survive_another_programs_reading(tmp_path: Path) -> None:
    judgements = {"query 1": {"new york": 2, "50%": 1}, "query\t2": {"x\u2003y": 1}}
    rankings = {"query 1": ["other one", "new york", "50%"], "query\t2": ["x\u2003y"]}
    write_qrels(tmp_path / "x.qrels", judgements)
    write_run(tmp_path / "x.run", [ranked(*item) for item in rankings.items()], "a cell")
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "x.qrels")))
    run = list(ir_measures.read_trec_run(str(tmp_path / "x.run")))
    assert {(unquote(q.query_id), unquote(q.doc_id), q.relevance) for q in qrels} == {
        (query, document, gain)
        for query, gains in judgements.items()
        for document, gain in gains.items()
    }
    assert [(unquote(d.query_id), unquote(d.doc_id)) for d in run] == [
        (query, document) for query, documents in rankings.items() for document in documents
    ]


def test_another_program_keeps_the_order_of_what_tied(tmp_path: Path) -> None:
    """By hand: gold third of four, whatever the documents are called."""
    for names in (["a", "b", "gold", "c"], ["z", "y", "gold", "x"], ["10", "9", "gold", "8"]):
        write_qrels(tmp_path / "x.qrels", {"q": {"gold": 1}})
        write_run(tmp_path / "x.run", [ranked("q", names)], "tag")
        found = ir_measures.calc_aggregate(
            [Success @ 1, RR, R @ 10, nDCG @ 10],
            list(ir_measures.read_trec_qrels(str(tmp_path / "x.qrels"))),
            list(ir_measures.read_trec_run(str(tmp_path / "x.run"))),
        )
        # log2(1 + 3) is 2.
        assert found == pytest.approx({Success @ 1: 0, RR: 1 / 3, R @ 10: 1, nDCG @ 10: 0.5})


def test_a_ranking_that_breaks_off_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    write_run(path, [ranked("q", ["a"])], "tag")
    before = path.read_bytes()

    def broken() -> Iterator[Ranked]:
        yield ranked("q", ["b"])
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_run(path, broken(), "tag")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
