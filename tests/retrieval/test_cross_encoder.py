"""A cross-encoder that answers: as its own records have it, from an index, and exported."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from counterpoint.cli.main import main
from counterpoint.corpus.arguments import normalise, read_arguments
from counterpoint.encoders.pairs import PairEncoder
from counterpoint.errors import InputError
from counterpoint.retrieval import indexing
from counterpoint.retrieval.asking import Asker, Question, cut_note
from counterpoint.retrieval.collection import Document
from counterpoint.retrieval.index import Index
from counterpoint.retrieval.retriever import Found, Retriever
from counterpoint.runs.folder import RunFolder
from tests.support.retrieval import COUNTERS, POINTS
from tests.support.trained import Trained, make_crossed, rows


class Crossed(NamedTuple):
    """A run with a cross-encoder over its frozen cell."""

    run: RunFolder
    name: str
    """Of the cell with the cross-encoder."""
    first: str
    """Of its first stage."""

    def load(self) -> Retriever:
        return Retriever.load(self.run.path, self.name)


@pytest.fixture(scope="module")
def crossed(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Crossed:
    run, name = make_crossed(trained, tmp_path_factory.mktemp("crossed"))
    return Crossed(RunFolder(run), name, trained.frozen)


def judged(found: Sequence[Found]) -> list[tuple[str, int, float | None]]:
    return [
        (one.text, one.first_stage_rank, one.probability and round(one.probability, 5))
        for one in found
    ]


def copied(crossed: Crossed, folder: Path) -> Crossed:
    shutil.copytree(crossed.run.path, folder / "run")
    return crossed._replace(run=RunFolder(folder / "run"))


def test_answers_are_those_of_the_cells_own_records(crossed: Crossed) -> None:
    made = crossed.load()
    corpus = read_arguments(crossed.run.arguments)
    text = {one.id: normalise(one.text) for one in corpus.arguments}
    texts = list({text[one.id]: None for one in corpus.split("validation")})
    asked, moved = 0, 0
    for row in rows(crossed.run.cell(crossed.name).records):
        nearest = [text[name] for name in row["nearest"]]
        wanted = (row["split"], row["protocol"], row["task"]) == ("dev", "clean", "epa")
        # A text that stands twice is two candidates there, and one here.
        if not wanted or len(set(nearest)) < 10:
            continue
        [found] = made.search([text[row["query"]]], texts, 10)
        assert [one.text for one in found] == [text[name] for name in row["reordered"]]
        assert [one.probability for one in found] == pytest.approx(row["reordered_scores"])
        assert [one.text for one in sorted(found, key=lambda one: one.first_stage_rank)] == nearest
        asked += 1
        moved += row["nearest"] != row["reordered"]
    assert asked > 3
    assert moved > 3


def test_vectors_are_the_first_stages_and_the_score_is_the_mixture(crossed: Crossed) -> None:
    made, first = crossed.load(), Retriever.load(crossed.run.path, crossed.first)
    np.testing.assert_array_equal(made.encode_points(POINTS), first.encode_points(POINTS))
    np.testing.assert_array_equal(made.encode_counters(POINTS), first.encode_counters(POINTS))
    [found] = made.search(POINTS[1:2], COUNTERS)
    pairs = made._loaded.pairs  # noqa: SLF001  what reads the texts
    assert pairs is not None
    for one in found:
        [score] = pairs.scores(POINTS[1:2], [one.text], np.array([one.distance]))
        [alone] = pairs.scores(POINTS[1:2], [one.text], np.array([0.0]))
        # make_crossed: 2 · logit − 3 · d² / 2
        assert score == pytest.approx(alone - 1.5 * one.distance**2, abs=1e-5)
        assert one.probability == pytest.approx(1 / (1 + np.exp(-float(score))), abs=1e-5)
    ranked = made.rerank(POINTS[1], [one.text for one in found])
    assert [place for place, _ in ranked] == list(range(len(found)))
    assert [likely for _, likely in ranked] == pytest.approx([one.probability for one in found])


def test_an_index_answers_as_the_retriever_does(crossed: Crossed, tmp_path: Path) -> None:
    made = crossed.load()
    given = [Document(text, str(number)) for number, text in enumerate(COUNTERS)]
    indexing.build(tmp_path / "index", given, made)
    index = Index.open(tmp_path / "index")
    assert index.vectors(torch.tensor([0])).x.shape[1] == 0  # no classifier sees them
    answers = Asker(index, index.retriever()).ask([Question(text) for text in POINTS], 4)
    expected = made.search(POINTS, COUNTERS, 4)
    assert [[(one.text, one.first_stage_rank) for one in each] for each in answers] == [
        [(one.text, one.first_stage_rank) for one in each] for each in expected
    ]
    for ours, theirs in zip(answers, expected, strict=True):
        assert [one.probability for one in ours] == pytest.approx(
            [one.probability for one in theirs]
        )


def test_the_commands_index_search_and_export_take_it(
    crossed: Crossed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    system = ["--run", str(crossed.run.path), "--system", crossed.name]
    (tmp_path / "counters.txt").write_text(COUNTERS[0])
    index, model = str(tmp_path / "index"), tmp_path / "model"
    asked = [POINTS[0], "-k", "3", "--json"]
    assert main(["search", *system, *asked]) == 0
    [of_run] = capsys.readouterr().out.splitlines()
    assert main(["index", str(tmp_path / "counters.txt"), *system, "--out", index]) == 0
    capsys.readouterr()
    assert main(["search", index, *asked, "--exact"]) == 0
    [of_index] = capsys.readouterr().out.splitlines()
    assert len(json.loads(of_run)["answers"]) == 3
    [answer] = json.loads(of_index)["answers"]
    assert answer["text"] == COUNTERS[0]
    assert 0 < answer["probability"] < 1
    where = ["--run", str(crossed.run.path), "--out", str(model)]
    assert main(["export", crossed.name, *where]) == 0
    made, travelled = crossed.load(), Retriever.load(model)
    assert judged(travelled.search(POINTS, COUNTERS)[0]) == judged(made.search(POINTS, COUNTERS)[0])
    assert travelled.fingerprint == made.fingerprint
    assert not (model / "classifier").exists()
    card = (model / "README.md").read_text()
    assert "A cross-encoder (`cross-encoder/`)" in card
    assert "a · logit − b · d² / 2" in card
    (model / "cross-encoder" / "head.safetensors").unlink()
    with pytest.raises(InputError, match=r"cross-encoder/head\.safetensors: .*export the cell"):
        Retriever.load(model)


def test_the_fingerprint_knows_every_part(crossed: Crossed, tmp_path: Path) -> None:
    other = copied(crossed, tmp_path)
    weights = other.run.cell(crossed.name).model
    stored = load_file(weights)
    prints = [
        crossed.load().fingerprint,
        Retriever.load(crossed.run.path, crossed.first).fingerprint,
    ]
    embedding = next(name for name in stored if name.endswith("LayerNorm.bias"))
    for name in ("mix", "head.bias", embedding):
        save_file({**stored, name: stored[name] + 1}, weights)
        prints.append(other.load().fingerprint)
    assert len(set(prints)) == 5
    save_file(stored, weights)
    assert other.load().fingerprint == prints[0]


def test_where_the_first_stage_has_the_whole_share_no_pair_is_read(
    crossed: Crossed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copied(crossed, tmp_path)
    weights = other.run.cell(crossed.name).model
    save_file({**load_file(weights), "mix": torch.tensor([0.0, 1.0]).double()}, weights)

    def refuse(*_: object) -> None:
        raise AssertionError("reads")

    monkeypatch.setattr(PairEncoder, "embed", refuse)
    for found in other.load().search(POINTS, COUNTERS):
        assert [one.first_stage_rank for one in found] == list(range(1, len(found) + 1))
        assert all(one.probability is not None for one in found)
    with pytest.raises(AssertionError, match="reads"):
        crossed.load().search(POINTS, COUNTERS)


def test_without_its_first_stage_it_is_refused(crossed: Crossed, tmp_path: Path) -> None:
    other = copied(crossed, tmp_path)
    cell = other.run.cell(crossed.name)
    other.run.cell(crossed.first).model.unlink()
    with pytest.raises(
        InputError, match=r"model\.safetensors: no such file; it is the first stage"
    ):
        Retriever.load(cell.path)
    told = json.loads(cell.provenance.read_text())
    cell.provenance.write_text(json.dumps({**told, "first_stage": None}))
    with pytest.raises(InputError, match=r"provenance\.json: no first stage is named"):
        Retriever.load(cell.path)


def test_one_that_re_orders_one_text_is_not_asked(crossed: Crossed, tmp_path: Path) -> None:
    other = copied(crossed, tmp_path)
    path = other.run.cell(crossed.name).options
    options = json.loads(path.read_text())
    options.setdefault("evaluation", {})["rerank"] = 1
    path.write_text(json.dumps(options))
    made = Retriever.load(other.run.cell(crossed.name).path)
    assert all(one.probability is None for one in made.search(POINTS, COUNTERS)[0])
    with pytest.raises(InputError, match="no classifier and no cross-encoder"):
        made.rerank(POINTS[0], COUNTERS)


def test_texts_that_either_stage_cuts_are_counted(crossed: Crossed) -> None:
    notes = cut_note(["word " * 25, "word"], crossed.load())
    assert [note.partition(";")[0] for note in notes] == ["texts of more than 24 words: 1"] * 2
    assert "(encoder.max_tokens)" in notes[0]
    assert "(reranker.encoder.max_tokens)" in notes[1]
