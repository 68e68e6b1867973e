"""The public Python interface: what a notebook imports."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

import counterpoint
from counterpoint.corpus.arguments import Corpus, pairs_of
from tests.support.trained import Trained


def test_every_public_name_is_there_and_documented() -> None:
    for name in counterpoint.__all__:
        assert getattr(counterpoint, name).__doc__, name
    assert set(counterpoint.__all__) < set(dir(counterpoint))
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        counterpoint.no_such_name  # type: ignore[attr-defined]  # noqa: B018  as it is not there


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, counterpoint; print(*(m for m in sys.modules if 'counterpoint' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "counterpoint.api" not in done.stdout
    assert "counterpoint.corpus" not in done.stdout


def test_the_sample_is_opened_by_default(sample: Corpus) -> None:
    assert counterpoint.open_corpus() == sample
    dropped = counterpoint.open_corpus(decontaminate="train")
    assert dropped.decontaminate == "train"
    same = counterpoint.open_corpus("sample", splits={"test": "validation"})
    assert same.roles == {"train": "training", "dev": "validation", "test": "validation"}


def test_a_corpus_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(counterpoint.InputError, match="nowhere"):
        counterpoint.open_corpus(tmp_path / "nowhere")
    with pytest.raises(counterpoint.InputError, match="splits"):
        counterpoint.open_corpus(splits={"trian": "training"})


def test_texts_are_encoded_as_the_untrained_encoder_does(tiny_bert: Path) -> None:
    options = {"name": str(tiny_bert), "max_tokens": 16}
    texts = ["Cars pollute.", "Cars bring freedom.", " Cars  pollute. "]
    vectors = counterpoint.encode_texts(texts, encoder=options)
    assert vectors.shape == (3, 32)
    assert vectors.dtype == np.float32
    # White space makes no other text, and other texts in the call change no vector.
    np.testing.assert_array_equal(vectors[0], vectors[2])
    alone = counterpoint.encode_texts(texts[1:2], encoder=options)
    np.testing.assert_allclose(alone[0], vectors[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("texts", "said"), [([], "at least one"), (["a", " \n"], "text 1")])
def test_no_text_and_an_empty_one_are_refused(texts: list[str], said: str) -> None:
    with pytest.raises(counterpoint.InputError, match=said):
        counterpoint.encode_texts(texts)


def test_a_run_is_read_and_its_scores_are_a_table(trained: Trained) -> None:
    run = counterpoint.read_run(trained.folder)
    assert [cell.status for cell in run.cells] == ["done", "done"]
    table = counterpoint.scores(run)
    baselines = {f"baseline/{name}" for name in ("random", "tfidf", "bm25", "untrained")}
    assert set(table.cell) == {trained.frozen, trained.live} | baselines
    assert set(table.columns) >= {"split", "protocol", "task", "stage", "metric", "value", "n"}
    assert table.value.between(0, 1).all()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(counterpoint.InputError, match=r"matrix\.csv: no such file"):
        counterpoint.read_run(tmp_path)


@pytest.mark.parametrize("kind", ["frozen", "live"])
def test_a_trained_cell_answers_as_it_did_in_its_evaluation(kind: str, trained: Trained) -> None:
    name = trained.system(kind)
    retriever = counterpoint.Retriever.load(trained.folder, name)
    arguments = trained.corpus.split("validation")
    pairs = pairs_of(arguments)
    counters = [argument.text for argument in arguments if argument.kind == "counter"]
    found = retriever.search([point.text for point, _ in pairs], counters, len(counters))
    records = pd.read_parquet(trained.folder / "cells" / name / "records.parquet")
    chosen = (records.split == "dev") & (records.task == "epc") & (records.protocol == "official")
    recorded = records[chosen].set_index("query")[["rank", "reranked"]]
    times = Counter(argument.text_hash for argument in arguments)
    same = []
    for (point, counter), answers in zip(pairs, found, strict=True):
        place = next(i for i, answer in enumerate(answers) if answer.text == counter.text)
        ranks = [answers[place].first_stage_rank, place + 1]
        # Ties count against a system in its records, and a point answers itself there.
        if times[point.text_hash] == times[counter.text_hash] == 1:
            same.append(ranks == recorded.loc[point.id].tolist())
    assert all(same)
    assert len(same) > len(pairs) / 2


def test_the_example_of_the_package(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = str(counterpoint.__doc__).splitlines()
    code = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    "))
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "sample").symlink_to(trained.folder)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    found = cast("list[list[counterpoint.Found]]", names["answers"])
    texts = [{answer.text for answer in answers} for answers in found]
    assert texts == [{"Cars bring freedom.", "Zoos are cruel."}]


def test_a_cell_that_is_not_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(counterpoint.InputError, match=r"options\.json: no such file"):
        counterpoint.Retriever.load(tmp_path)
