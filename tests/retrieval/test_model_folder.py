"""A model in a folder of its own: read again, and opened by sentence-transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from counterpoint.errors import InputError
from counterpoint.retrieval.retriever import Retriever
from tests.support.retrieval import COUNTERS, POINTS, retriever

PROMPTS = {"query": "query: ", "candidate": "passage: "}

VARIANTS: dict[str, dict[str, Any]] = {
    "frozen": {},
    "frozen, apart": {"projection": {"towers": "separate", "width": 8}},
    "no projection": {"projection": {"width": "none"}},
    "length 1": {"retrieval_loss": "infonce"},
    "no classifier": {"classifier_loss": 0.0},
    "live": {"encoder": {"trainable": "all"}},
    "live, apart": {
        "encoder": {"trainable": 1, "towers": "separate"},
        "projection": {"towers": "separate", "width": 8},
        "retrieval_loss": "infonce",
    },
    "frozen, prompts": {"encoder": {"prompts": PROMPTS}},
    "live, prompts, apart": {
        "encoder": {"trainable": "all", "towers": "separate", "prompts": PROMPTS}
    },
    "projections apart, a prompt": {
        "encoder": {"trainable": "all", "prompts": {"query": "query: "}},
        "projection": {"towers": "separate", "width": 8},
    },
    "live, one projection": {"encoder": {"trainable": "all", "towers": "separate"}},
    "first token": {"encoder": {"pooling": "cls"}},
    "pooler": {"encoder": {"pooling": "pooler", "trainable": "all", "towers": "separate"}},
}


@pytest.fixture(params=VARIANTS)
def both(request: pytest.FixtureRequest, tiny_bert: Path, tmp_path: Path) -> tuple[Retriever, Path]:
    """A retriever, and the folder that it was saved into."""
    made = retriever(tiny_bert, **VARIANTS[request.param])
    made.save(tmp_path / "model", "A card.")
    return made, tmp_path / "model"


def test_what_is_read_again_gives_the_same_vectors_and_answers(
    both: tuple[Retriever, Path],
) -> None:
    made, folder = both
    read = Retriever.load(folder)
    assert read.name == "a cell"
    np.testing.assert_array_equal(read.encode_points(POINTS), made.encode_points(POINTS))
    np.testing.assert_array_equal(read.encode_counters(COUNTERS), made.encode_counters(COUNTERS))
    assert read.search(POINTS, COUNTERS, 3) == made.search(POINTS, COUNTERS, 3)
    assert read.fingerprint == made.fingerprint


def test_sentence_transformers_gives_the_same_vectors(both: tuple[Retriever, Path]) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="extra bench")
    made, folder = both
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    long = [*POINTS, "Zoos and cars and air and animals. " * 40]  # cut to 32 tokens by both
    np.testing.assert_allclose(model.encode_query(long), made.encode_points(long), atol=1e-5)
    np.testing.assert_allclose(
        model.encode_document(COUNTERS), made.encode_counters(COUNTERS), atol=1e-5
    )
    assert model.similarity_fn_name == ("cosine" if made.has_unit_length else "euclidean")


def test_nothing_in_the_folder_is_a_pickle(both: tuple[Retriever, Path]) -> None:
    _, folder = both
    weights = [path.name for path in folder.rglob("*") if path.stat().st_size and path.is_file()]
    assert not [name for name in weights if name.endswith((".bin", ".pt", ".pkl", ".pth"))]
    assert (folder / "README.md").read_text() == "A card."


def test_transformers_opens_the_encoder_by_itself(tiny_bert: Path, tmp_path: Path) -> None:
    made = retriever(tiny_bert, encoder={"trainable": "all"})
    made.save(tmp_path / "model")
    model, told = AutoModel.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    trained: Any = made._loaded.encoder.models["query"]  # noqa: SLF001  what was saved
    for name, weights in model.state_dict().items():
        assert torch.equal(weights, trained.state_dict()[name]), name
    assert str(tiny_bert) not in (tmp_path / "model" / "config.json").read_text()


def test_a_folder_that_is_not_empty_is_left_alone(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(OSError, match="give a new folder"):
        retriever(tiny_bert).save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "mine.txt").read_text() == "mine"


def test_a_folder_of_another_version_is_refused_by_name(tiny_bert: Path, tmp_path: Path) -> None:
    retriever(tiny_bert).save(tmp_path / "model")
    path = tmp_path / "model" / "counterpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(InputError, match=r"counterpoint\.json: format 99"):
        Retriever.load(tmp_path / "model")


@pytest.mark.parametrize("lost", ["2_Dense/model.safetensors", "classifier/model.safetensors"])
def test_lost_and_damaged_weights_are_told_by_name(
    lost: str, tiny_bert: Path, tmp_path: Path
) -> None:
    retriever(tiny_bert).save(tmp_path / "model")
    path = tmp_path / "model" / lost
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=lost):
        Retriever.load(tmp_path / "model")
    path.unlink()
    with pytest.raises(InputError, match=lost):
        Retriever.load(tmp_path / "model")
