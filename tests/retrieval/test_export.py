"""The command that exports a system, and the card that it writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

import counterpoint
from counterpoint.cli.main import main
from tests.support.retrieval import POINTS
from tests.support.trained import Trained


@pytest.mark.parametrize("kind", ["frozen", "live", "baseline/untrained"])
def test_a_system_travels_with_its_card(kind: str, trained: Trained, tmp_path: Path) -> None:
    name, out = trained.system(kind), tmp_path / "model"
    stated = ["--license", "cc-by-4.0", "--corpus-name", "Debates", "--corpus-license", "public"]
    assert main(["export", name, "--run", str(trained.folder), "--out", str(out), *stated]) == 0
    own, travelled = (
        counterpoint.Retriever.load(trained.folder, name),
        counterpoint.Retriever.load(out),
    )
    assert travelled.name == name
    np.testing.assert_array_equal(own.encode_points(POINTS), travelled.encode_points(POINTS))
    card = ModelCard.load(out / "README.md")
    assert card.data.license == "cc-by-4.0"
    told = {(r.dataset_config, r.dataset_split): r.metric_value for r in card.data.eval_results}
    run = counterpoint.read_run(trained.folder)
    table = counterpoint.scores(run)
    chosen = table[
        (table.cell == name) & (table.split == "test") & (table.protocol == "clean")
        & (table.task == "epa") & (table.metric == "accuracy@1")
    ]  # fmt: skip
    last = chosen.sort_values("stage").iloc[0]  # reranked, where there is one
    assert told["clean-epa", "test"] == round(last.value, 4)
    assert "- Corpus: Debates" in card.text
    assert "as stated by who exported the model: public" in card.text
    assert str(trained.folder.parents[1]) not in card.text.split("All options:")[0]


def test_a_cell_without_its_run_says_that_its_scores_are_unknown(
    trained: Trained, tmp_path: Path
) -> None:
    cell = trained.folder / "cells" / trained.frozen
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("options.json", "model.safetensors", "provenance.json"):
        (alone / name).write_bytes((cell / name).read_bytes())
    assert main(["export", str(alone), "--out", str(tmp_path / "model")]) == 0
    card = (tmp_path / "model" / "README.md").read_text()
    assert "None are known: the cell was exported without its run." in card
    assert "not stated" in card
    assert "- Random seed: 1" in card
    (alone / "provenance.json").unlink()
    assert main(["export", str(alone), "--out", str(tmp_path / "again")]) == 0
    card = (tmp_path / "again" / "README.md").read_text()
    assert "How it was trained is not recorded" in card
    assert "Nothing was trained" not in card


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("baseline/bm25", "compares words and has no vectors"),
        ("nothing", "'nothing' is no trained cell"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_written(
    system: str,
    said: str,
    trained: Trained,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "model"
    assert main(["export", system, "--run", str(trained.folder), "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    where = ["--run", str(trained.folder), "--out", str(tmp_path)]
    assert main(["export", trained.frozen, *where]) == 2
    assert "give a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_options_travel_whole(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert main(["export", trained.live, "--run", str(trained.folder), "--out", str(out)]) == 0
    cell = json.loads((trained.folder / "cells" / trained.live / "options.json").read_text())
    assert json.loads((out / "options.json").read_text()) == cell
