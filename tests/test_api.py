"""The public Python interface: what a notebook imports."""

import subprocess
import sys
from pathlib import Path

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
def test_a_trained_cell_encodes_texts_as_it_did_in_its_evaluation(
    kind: str, trained: Trained
) -> None:
    folder = counterpoint.read_run(trained.folder).folder.cell(trained.system(kind))
    cell = counterpoint.load_cell(folder.path)
    pairs = pairs_of(trained.corpus.split("validation"))
    p = cell.encode_points([point.text for point, _ in pairs])
    c = cell.encode_counters([counter.text for _, counter in pairs])
    assert p.shape == c.shape == (len(pairs), 8)
    assert p.dtype == c.dtype == np.float32
    # The rank of the gold among all counters (task epc) is what the cell recorded.
    distances = ((p[:, None].astype(np.float64) - c[None]) ** 2).sum(axis=-1)
    ranks = 1 + (distances < distances.diagonal()[:, None]).sum(axis=1)
    records = pd.read_parquet(folder.records)
    chosen = (records.split == "dev") & (records.task == "epc") & (records.protocol == "official")
    recorded = records[chosen].set_index("query")["rank"]
    same = [recorded[point.id] == rank for (point, _), rank in zip(pairs, ranks, strict=True)]
    # Texts that stand twice are one candidate there, and two in `distances`.
    assert np.mean(same) > 0.8


def test_a_cell_that_is_not_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(counterpoint.InputError, match=r"options\.json: no such file"):
        counterpoint.load_cell(tmp_path)
