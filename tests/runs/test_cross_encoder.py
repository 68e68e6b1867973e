"""A cell with a cross-encoder: planned with its first stage, trained, read again."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterpoint.config import loading, matrix
from counterpoint.config.batches import batches
from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.evaluation.cross_system import CrossEncoderSystem
from counterpoint.evaluation.evaluate import Evaluation, query_results
from counterpoint.results import epoch_log
from counterpoint.results.files import Provenance
from counterpoint.runs.batch import Batch
from counterpoint.runs.trained import StoredTexts, load_cell
from counterpoint.tasks.candidates import candidate_sets
from tests.support.batches import a_run
from tests.support.training import CPU

KIND = "reranker.kind"


def reranker(tiny_bert: Path, kind: str = "cross_encoder") -> dict[str, Any]:
    return {
        "kind": kind,
        "encoder": {"name": str(tiny_bert), "max_tokens": 24},
        "mining": {"negatives": 2, "top_m": 3},
        "training": {"epochs": 1, "batch_size": 4},
    }


def planned(**values: Any) -> list[matrix.Cell]:
    return matrix.all_cells(loading.load({"run": "test", **values}, "test"), "test")


def test_an_axis_crosses_first_and_second_stages() -> None:
    axes = {"seed": [1, 2], KIND: ["cross_encoder", "classifier", "none"]}
    cells = planned(matrix={"axes": axes})
    assert len(cells) == 6
    by_name = {cell.name: cell for cell in cells}
    for cell in cells:
        if cell.options.reads_pairs:
            assert cell.first is not None
            first = by_name[cell.first]
            assert first.options == cell.options.first_stage()
            assert cells.index(first) < cells.index(cell)
        else:
            assert cell.first is None
    (job,) = (job for job in batches(cells, None, 2) if job[0].name.endswith("seed~1/options~base"))
    assert [cell.options.reads_pairs for cell in job] == [False]


def test_a_first_stage_that_nobody_planned_is_planned_too() -> None:
    first, second = planned(reranker="cross_encoder", matrix={})
    assert second.first == first.name
    assert first.name.endswith("options~reranker.kind=classifier")
    assert second.name.endswith("options~base")
    recipe = {"reranker": {"kind": "cross_encoder", "training": {"epochs": 1}}, "seed": 3}
    _, first, second = planned(recipes={"both": recipe}, matrix={})
    assert (first.name, second.name) == ("recipe/both.first", "recipe/both")
    assert second.options.reranker.training.epochs == 1
    assert second.options.reranker.training.batch_size == 16
    assert first.options == second.options.first_stage()


def test_what_no_cross_encoder_reads_makes_no_other_cell() -> None:
    idle = planned(reranker={"training": {"epochs": 9}}, matrix={})
    assert [cell.options for cell in idle] == [cell.options for cell in planned(matrix={})]
    assert [cell.name for cell in idle] == [cell.name for cell in planned(matrix={})]


@pytest.fixture(scope="module")
def trained(
    corpus: Corpus, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Batch, matrix.Cell]:
    folder = tmp_path_factory.mktemp("run")
    batch = a_run(folder, corpus, tiny_bert, reranker=reranker(tiny_bert), matrix={})
    batch.run()
    return batch, batch.cells[-1]


def test_a_trained_cell_is_read_again_with_its_first_stage(
    trained: tuple[Batch, matrix.Cell], corpus: Corpus
) -> None:
    batch, cell = trained
    folder = batch.folder.cell(cell.name)
    assert folder.is_whole
    assert Provenance.read(folder.provenance).first_stage == cell.first
    assert len(epoch_log.read(folder.epochs)) == 1
    system = load_cell(folder, corpus, CPU, StoredTexts(batch.folder, corpus))
    assert isinstance(system, CrossEncoderSystem)
    sets = candidate_sets(corpus, corpus.roles["dev"])
    asked = Evaluation(protocols=("official",), tasks=("epa",))
    (found,) = query_results(sets, system.costs_of(sets), system.reranker, asked)
    records = pd.read_parquet(folder.records)
    same = (records["split"] == "dev") & (records["protocol"] == "official")
    own = records[same & (records["task"] == "epa")]
    ids = np.array(sets.ids)
    assert own["query"].tolist() == [sets.ids[sets.pairs + query] for query in found.queries]
    assert found.reordered is not None
    for row, expected in zip(found.reordered, own["reordered"], strict=True):
        assert ids[row].tolist() == list(expected)


def test_without_its_first_stage_it_cannot_be_trained_or_read(
    corpus: Corpus, tiny_bert: Path, tmp_path: Path
) -> None:
    batch = a_run(tmp_path, corpus, tiny_bert, reranker=reranker(tiny_bert), matrix={})
    *_, cell = batch.cells
    with pytest.raises(InputError, match="no such file; train the first stage before"):
        Batch(batch.folder, batch.config, [cell]).run()
    batch.run()
    assert cell.first is not None
    batch.folder.cell(cell.first).model.unlink()
    with pytest.raises(InputError, match="it is the first stage of"):
        load_cell(batch.folder.cell(cell.name), corpus, CPU)
