"""An index in a folder: made, changed, interrupted, damaged."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.models.fusion import Vectors
from counterpoint.retrieval import index_files, indexing
from counterpoint.retrieval.collection import Document
from counterpoint.retrieval.index import Index
from counterpoint.retrieval.index_files import IndexFolder
from counterpoint.retrieval.manifest import DType
from counterpoint.retrieval.retriever import Retriever
from tests.support.retrieval import documents, retriever


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "PART", 4)
    monkeypatch.setattr(indexing, "ROWS", 4)
    monkeypatch.setattr(indexing, "BATCH", 3)


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    """An index of ten documents, whose classifier sees x."""
    indexing.build(tmp_path / "index", documents(10), retriever(tiny_bert))
    return tmp_path / "index"


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def texts(folder: Path) -> list[str]:
    index = Index.open(folder)
    return [one.text for one in index.documents(np.flatnonzero(index.live).tolist())]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_is_stored_is_found_again(dtype: DType, tiny_bert: Path, tmp_path: Path) -> None:
    made = retriever(tiny_bert)
    given = documents(10)
    done = indexing.build(tmp_path / "index", given, made, dtype=dtype)
    assert done == indexing.Added(added=10, found=0, total=10)
    index = Index.open(tmp_path / "index")
    assert len(index) == len(index.stored) == 10
    assert index.documents(range(10)) == given
    assert index.columns == ("theme", "side")
    expected = made.vectors([one.text for one in given], "candidate")
    found = index.vectors(torch.tensor([[9, 0], [4, 3]]))
    rows = torch.tensor([[9, 0], [4, 3]])
    tolerance = 1e-6 if dtype == "float32" else 1e-3
    torch.testing.assert_close(found.e, expected.e[rows], atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(found.x, expected.x[rows], atol=tolerance, rtol=tolerance)
    assert index.retriever().fingerprint == made.fingerprint


def test_x_is_stored_only_where_the_classifier_sees_it(tiny_bert: Path, tmp_path: Path) -> None:
    indexing.build(tmp_path / "index", documents(3), retriever(tiny_bert, classifier_loss=0.0))
    index = Index.open(tmp_path / "index")
    assert index.vectors(torch.tensor([1, 2])).x.shape == (2, 0)


def test_values_are_told_with_their_counts(folder: Path) -> None:
    index = Index.open(folder)
    assert index.values("theme") == {"animals": 6, "traffic": 4}
    with pytest.raises(InputError, match=r"'colour': the index has no such metadata.*'theme'"):
        index.values("colour")
    indexing.remove(folder, where={"theme": "traffic"})
    assert Index.open(folder).values("theme") == {"animals": 6}


def test_what_is_added_is_searched_and_known_texts_are_not_added_again(folder: Path) -> None:
    before = files(folder)
    new = [*documents(12)[8:], Document("Another.", "x", {"colour": "red"})]
    done = indexing.add(folder, new)
    assert done == indexing.Added(added=3, found=0, total=13, known=2)
    after = files(folder)
    assert texts(folder) == [one.text for one in (*documents(12), new[-1])]
    # Nothing but the manifest is replaced.
    assert {name for name in before if before[name] != after.get(name)} == {"manifest.json"}
    index = Index.open(folder)
    assert index.columns == ("theme", "side", "colour")
    assert index.values("colour") == {"red": 1}
    assert indexing.add(folder, new).added == 0


def test_the_same_text_with_other_metadata_is_another_document(folder: Path) -> None:
    again = Document(documents(1)[0].text, "x", {"theme": "else"})
    assert indexing.add(folder, [again]).added == 1


def test_what_is_removed_is_gone_and_no_vector_is_touched(folder: Path) -> None:
    before = files(folder)
    assert indexing.remove(folder, where={"side": "pro", "theme": "animals"}) == (3, 7)
    assert indexing.remove(folder, texts=[" Argument 3  about cars.\n"]) == (1, 6)
    gone = {2, 4, 8, 3}
    kept = [one.text for number, one in enumerate(documents(10)) if number not in gone]
    assert texts(folder) == kept
    after = files(folder)
    assert {name for name in before if before[name] != after.get(name)} == {"manifest.json"}


def test_a_part_of_which_nothing_is_left_goes(folder: Path) -> None:
    indexing.remove(folder, texts=[one.text for one in documents(4)])
    assert len(list(IndexFolder(folder).parts.glob("*.safetensors"))) == 2
    assert texts(folder) == [one.text for one in documents(6, start=4)]


def test_a_removed_document_can_be_added_again(folder: Path) -> None:
    indexing.remove(folder, texts=[documents(1)[0].text])
    assert indexing.add(folder, documents(1)).added == 1
    assert len(Index.open(folder)) == 10


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"texts": ["nothing like that"]}, "no document of the index is meant"),
        ({"where": {"theme": "law"}}, "theme=law: no document.*'animals', 'traffic'"),
        ({"texts": [one.text for one in documents(10)]}, "nothing would be left"),
    ],
)
def test_a_removal_that_means_none_or_all_is_refused(how: dict, message: str, folder: Path) -> None:
    before = files(folder)
    with pytest.raises(InputError, match=message):
        indexing.remove(folder, **how)
    assert files(folder) == before


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from counterpoint.retrieval import indexing
    from counterpoint.retrieval.retriever import Retriever
    from tests.support.retrieval import documents

    indexing.PART, indexing.BATCH = 4, 2

    class Killer:
        done = 0
        def update(self, n):
            self.done += n
            if self.done >= int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)

    folder = Path(sys.argv[1])
    if sys.argv[3] == "add":
        indexing.add(folder, documents(30, start=10), bar=Killer())
    else:
        made = Retriever.untrained({"name": sys.argv[3], "max_tokens": 32})
        indexing.build(folder, documents(30), made, bar=Killer())
"""


def killed(*arguments: object) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == -9, done.stderr


def test_a_kill_while_adding_leaves_the_old_index_and_the_work_that_was_done(
    folder: Path,
) -> None:
    manifest = (folder / "manifest.json").read_bytes()
    killed(folder, 15, "add")
    assert (folder / "manifest.json").read_bytes() == manifest
    assert texts(folder) == [one.text for one in documents(10)]
    done = indexing.add(folder, documents(30, start=10))
    # Three parts of four were whole.
    assert done == indexing.Added(added=30, found=12, total=40)
    assert texts(folder) == [one.text for one in documents(40)]


def test_a_kill_while_building_leaves_no_index_until_the_command_is_given_again(
    tiny_bert: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    killed(folder, 10, tiny_bert)
    with pytest.raises(InputError, match=r"not whole yet.*give the same"):
        Index.open(folder)
    made = Retriever.untrained({"name": str(tiny_bert), "max_tokens": 32})
    done = indexing.build(folder, documents(30), made)
    assert done.found == 8
    assert texts(folder) == [one.text for one in documents(30)]


def test_what_a_killed_command_left_half_written_is_swept(folder: Path) -> None:
    left = [folder / "parts" / ".x-abc.safetensors", folder / ".model-abc", folder / ".manifest-a"]
    left[1].mkdir()
    for path in (left[0], left[2], left[1] / "file"):
        path.write_text("half")
    mine = folder / "notes.txt"
    mine.write_text("mine")
    indexing.add(folder, documents(1, start=50))
    assert not [path for path in left if path.exists()]
    assert mine.read_text() == "mine"


def test_one_process_at_a_time_changes_an_index(folder: Path) -> None:
    before = files(folder)
    with index_files.locked(IndexFolder(folder)):
        script = textwrap.dedent("""
            import sys
            from counterpoint.cli.main import main
            sys.exit(main(["index", "--out", sys.argv[1], "--remove", "--where", "side=pro"]))
        """)
        command = [sys.executable, "-c", script, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 2
        assert "another process is changing this index" in done.stderr
        assert "Traceback" not in done.stderr
    assert files(folder) == before


def test_one_flipped_bit_in_any_file_is_told_by_the_files_name(folder: Path) -> None:
    for name, whole in files(folder).items():
        if not whole or name in ("manifest.json", "model/README.md"):
            continue
        hurt = bytearray(whole)
        hurt[len(hurt) // 2] ^= 1
        (folder / name).write_bytes(hurt)
        with pytest.raises(InputError, match=f"{name}: damaged"):
            Index.open(folder)
        (folder / name).write_bytes(whole)
    assert len(Index.open(folder)) == 10


def test_a_flipped_bit_anywhere_in_the_manifest_is_told(folder: Path) -> None:
    path = folder / "manifest.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        hurt = bytearray(whole)
        hurt[place] ^= 1
        path.write_bytes(hurt)
        if hurt.split() != whole.split():
            with pytest.raises(InputError, match=r"manifest\.json"):
                Index.open(folder)
    path.write_bytes(whole)
    assert len(Index.open(folder)) == 10


def test_a_file_that_is_gone_is_told_by_name(folder: Path) -> None:
    part = next((folder / "parts").glob("*.parquet"))
    part.unlink()
    (folder / "model" / "model.safetensors").unlink()
    with pytest.raises(InputError) as raised:
        Index.open(folder)
    assert f"{part}: missing" in str(raised.value)
    assert "model.safetensors: missing" in str(raised.value)


def test_another_version_is_told_before_all_else(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({"format": 99, "program": "7.0", "new": 1}))
    for use in (Index.open, lambda at: indexing.add(at, documents(1))):
        with pytest.raises(InputError, match=r"format 99, written by counterpoint 7\.0"):
            use(folder)


def test_an_index_is_built_in_a_new_folder_alone(
    folder: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="an index already; add to it with --add"):
        indexing.build(folder, documents(1), retriever(tiny_bert))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="no index; give a new folder"):
        indexing.build(mine, documents(1), retriever(tiny_bert))
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_an_index_can_be_made_of_vectors_that_were_computed_elsewhere(
    tiny_bert: Path, tmp_path: Path
) -> None:
    made = retriever(tiny_bert, classifier_loss=0.0)
    e = torch.randn((10, 8), generator=torch.Generator().manual_seed(1))
    vectors = Vectors(torch.empty((10, 0)), e)
    first = vectors.rows(slice(6))
    indexing.build(tmp_path / "index", documents(6), made, vectors=first)
    indexing.add(tmp_path / "index", documents(10), vectors=vectors)
    index = Index.open(tmp_path / "index")
    assert torch.equal(index.vectors(torch.arange(10)).e, e)
    assert texts(tmp_path / "index") == [one.text for one in documents(10)]


def test_a_number_that_float16_cannot_hold_is_refused() -> None:
    vectors = Vectors(torch.empty((1, 0)), torch.tensor([[1e6]]))
    with pytest.raises(InputError, match="--dtype float32"):
        index_files.stored(vectors, "float16", with_x=False)
    assert index_files.stored(vectors, "float32", with_x=False)["e"].item() == 1e6
