"""An approximate index by faiss beside the exact one."""

import sys
from pathlib import Path

import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.models.fusion import Vectors
from counterpoint.retrieval import approximate, indexing
from counterpoint.retrieval.approximate import ApproximateVectors, open_approximate
from counterpoint.retrieval.index import Index
from counterpoint.retrieval.retriever import Retriever
from tests.support.retrieval import documents, retriever


@pytest.fixture
def made(tiny_bert: Path) -> Retriever:
    return retriever(tiny_bert, classifier_loss=0.0)


@pytest.fixture
def folder(made: Retriever, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of 600 planted vectors."""
    pytest.importorskip("faiss", reason="extra faiss")
    e = torch.randn((600, 8), generator=torch.Generator().manual_seed(1))
    vectors = Vectors(torch.empty((600, 0)), e)
    monkeypatch.setattr(indexing, "ROWS", 250)
    indexing.build(tmp_path / "index", documents(600), made, vectors=vectors)
    return tmp_path / "index"


def opened(folder: Path) -> tuple[Index, ApproximateVectors]:
    index = Index.open(folder)
    found = open_approximate(index)
    assert found is not None
    return index, found


@pytest.mark.parametrize("kind", ["HNSW32,Flat", "IVF"])
def test_it_finds_nearly_all_and_its_distances_are_exact(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "IVF":
        monkeypatch.setattr(approximate, "HNSW_ROWS", 100)
        kind = "IVF32,Flat"
    built = approximate.build(folder)
    assert built.kind == kind
    assert built.queries == 200
    index, found = opened(folder)
    assert index.manifest.approximate == built
    queries = torch.randn((50, 8), generator=torch.Generator().manual_seed(2))
    rows, distances = found.nearest(queries, 5)
    exact_rows, exact = index.stored.nearest(queries, 5)
    same = rows == exact_rows
    assert same.double().mean() > 0.9
    assert torch.equal(distances[same], exact[same])
    assert built.recall > 0.9


def test_what_may_not_answer_does_not(folder: Path) -> None:
    approximate.build(folder)
    index, found = opened(folder)
    queries = index.stored.rows(torch.arange(20))
    excluded = torch.arange(20)[:, None]
    for allowed in (torch.arange(600) % 2 == 0, torch.arange(600) < 30):
        rows, _ = found.nearest(queries, 5, allowed=allowed, excluded=excluded)
        assert allowed[rows].all()
        assert not (rows == excluded).any()
    # So few are compared exactly.
    few = torch.arange(600) < 30
    assert torch.equal(
        found.nearest(queries, 5, allowed=few)[0], index.stored.nearest(queries, 5, allowed=few)[0]
    )


def test_what_is_added_later_is_searched_and_what_is_removed_is_not(folder: Path) -> None:
    approximate.build(folder)
    indexing.add(folder, documents(40, start=600))
    indexing.remove(folder, texts=[one.text for one in documents(250)])
    index, found = opened(folder)
    assert len(index) == 390
    live = torch.from_numpy(index.live)
    queries = index.stored.rows(torch.tensor([0, 300, 610]))
    rows, _ = found.nearest(queries, 5, allowed=live)
    assert rows[1:, 0].tolist() == [300, 610]
    assert live[rows].all()
    assert 0 not in rows[0].tolist()


def test_a_new_one_takes_the_place_of_the_old(folder: Path) -> None:
    approximate.build(folder)
    indexing.add(folder, documents(3, start=600))
    built = approximate.build(folder)
    assert [path.stem for path in (folder / "parts").glob("*.faiss")] == [built.name]
    assert len(built.parts) == 4


def test_without_one_there_is_none(folder: Path) -> None:
    assert open_approximate(Index.open(folder)) is None


def test_without_faiss_the_extra_is_named(
    made: Retriever, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    indexing.build(tmp_path / "index", documents(3), made)
    with pytest.raises(InputError, match=r"pip install 'counterpoint\[faiss\]'"):
        approximate.build(tmp_path / "index")


def test_the_kind_goes_by_the_number_of_rows() -> None:
    assert approximate.kind_of(200_000) == "HNSW32,Flat"
    assert approximate.kind_of(1_000_000) == "IVF1024,Flat"
