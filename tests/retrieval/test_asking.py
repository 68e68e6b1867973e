"""Questions with filters to answers."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.retrieval.asking import Asker, Question, cut_note
from counterpoint.retrieval.collection import Document
from counterpoint.retrieval.index import Index
from counterpoint.retrieval.retriever import Retriever
from tests.support.retrieval import COUNTERS, POINTS, documents, retriever


def indexed(made: Retriever, given: list[Document]) -> Index:
    vectors = made.vectors([one.text for one in given], "candidate")
    return Index.of(given, vectors, with_x=made.sees_encoder_outputs)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_answers_are_those_of_the_retriever(weight: float, tiny_bert: Path) -> None:
    made = retriever(tiny_bert, classifier_loss=weight, evaluation={"rerank": 3})
    given = [Document(text, str(number)) for number, text in enumerate(COUNTERS)]
    asked = Asker(indexed(made, given), made).ask([Question(text) for text in POINTS], 4)
    expected = made.search(POINTS, COUNTERS, 4)
    assert [[(one.text, one.first_stage_rank) for one in answers] for answers in asked] == [
        [(one.text, one.first_stage_rank) for one in answers] for answers in expected
    ]
    for ours, theirs in zip(asked, expected, strict=True):
        assert [one.rank for one in ours] == list(range(1, len(theirs) + 1))
        assert [one.distance for one in ours] == pytest.approx([one.distance for one in theirs])
        for mine, other in zip(ours, theirs, strict=True):
            assert (mine.probability is None) == (other.probability is None)
            assert mine.probability == pytest.approx(other.probability)


def test_a_question_asked_with_others_gets_the_answers_that_it_gets_alone(
    tiny_bert: Path,
) -> None:
    made = retriever(tiny_bert)
    asker = Asker(indexed(made, documents(20)), made)
    questions = [
        Question("Zoos are bad."),
        Question("Cars are bad.", {"theme": "traffic"}),
        Question("Zoos are bad.", not_side="pro"),
        Question("Argument 3 about cars.", {"theme": "traffic"}),
    ]
    together = asker.ask(questions, 5)
    for question, answers in zip(questions, together, strict=True):
        [alone] = asker.ask([question], 5)
        assert [one.source for one in alone] == [one.source for one in answers]


def test_filters_leave_what_they_say(tiny_bert: Path) -> None:
    made = retriever(tiny_bert)
    given = [*documents(12), Document("Nobody knows its side.", "x")]
    asker = Asker(indexed(made, given), made)
    asked = [Question("Zoos.", {"theme": "animals", "side": "con"}), Question("Z.", not_side="con")]
    both, not_con = asker.ask(asked, 100)
    assert len(both) == 4
    assert {tuple(one.metadata.values()) for one in both} == {("animals", "con")}
    assert len(not_con) == 7
    assert {one.metadata.get("side") for one in not_con} == {"pro", None}


def test_an_index_is_asked_without_what_reads_tables() -> None:
    code = "import sys, counterpoint.retrieval.asking; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_questions_own_text_never_answers(tiny_bert: Path) -> None:
    made = retriever(tiny_bert)
    asker = Asker(indexed(made, documents(6)), made)
    [answers] = asker.ask([Question("  Argument 3\nabout cars. ")], 100)
    assert sorted(one.source for one in answers) == [f"file:{n}" for n in (0, 1, 2, 4, 5)]


def test_a_text_that_stands_several_times_answers_once(tiny_bert: Path) -> None:
    made = retriever(tiny_bert)
    given = [
        *documents(3),
        Document(documents(1)[0].text, "again", {"theme": "else"}),
    ]
    asker = Asker(indexed(made, given), made)
    [everywhere], [filtered] = (
        asker.ask([Question("Zoos.", where)], 10) for where in ({}, {"theme": "else"})
    )
    assert sorted(one.source for one in everywhere) == ["file:0", "file:1", "file:2"]
    assert [one.source for one in filtered] == ["again"]


@pytest.mark.parametrize(
    ("question", "k", "message"),
    [
        (Question(" \n"), 1, "question 2: an empty text"),
        (Question("a\ud800"), 1, "question 2: .* lone surrogate"),
        (Question("a\0b"), 1, "question 2: NUL at character 1; expected text"),
        (Question("a" * 1_000_001), 1, "question 2: 1000001 bytes; .* refused"),
        (Question("a", {"colour": "red"}), 1, "'colour': .* 'theme', 'side'"),
        (Question("a", {"theme": "law"}), 1, "theme=law: .* 'animals', 'traffic'"),
        (Question("a", not_side="left"), 1, "side=left: .* 'con', 'pro'"),
        (Question("a"), 0, "k: 0; give at least 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    question: Question, k: int, message: str, tiny_bert: Path
) -> None:
    made = retriever(tiny_bert)
    with pytest.raises(InputError, match=message):
        Asker(indexed(made, documents(4)), made).ask([Question("Zoos."), question], k)


def test_more_than_there_are_gives_all(tiny_bert: Path) -> None:
    made = retriever(tiny_bert)
    [answers] = Asker(indexed(made, documents(5)), made).ask([Question("Zoos.")], 10**9)
    assert len(answers) == 5
    assert Asker(indexed(made, documents(5)), made).ask([], 3) == []


def test_all_questions_are_encoded_at_once(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = retriever(tiny_bert)
    index = indexed(made, documents(5))
    calls = []
    encode = Retriever.vectors

    def counting(self, texts, role):
        calls.append(len(texts))
        return encode(self, texts, role)

    monkeypatch.setattr(Retriever, "vectors", counting)
    Asker(index, made).ask([Question("a"), Question("b", {"theme": "traffic"}), Question("c")], 2)
    assert calls == [3]


def test_texts_that_are_cut_are_counted(tiny_bert: Path) -> None:
    made = retriever(tiny_bert)  # of 32 tokens
    assert cut_note(["word " * 32], made) == []
    [note] = cut_note(["word " * 33, "word", "word " * 99], made)
    assert note.startswith("texts of more than 32 words: 2;")


def test_an_index_in_memory_keeps_no_model(tiny_bert: Path) -> None:
    index = indexed(retriever(tiny_bert), documents(2))
    assert torch.equal(index.stored.rows(torch.tensor([0])), index.vectors(torch.tensor([0])).e)
    with pytest.raises(InputError, match="in memory"):
        index.retriever()
