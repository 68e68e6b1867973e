"""`counterpoint index` and `counterpoint search`: what they print and write, what they refuse."""

import io
import json
import sys
from pathlib import Path

import pytest

from counterpoint.cli import main
from counterpoint.io.text import terminal_text
from tests.support.commands import Captured
from tests.support.retrieval import retriever
from tests.support.trained import Trained, make_run

TEXTS = """id,text,theme,side
1,Cars pollute the air.,cars,con
2,Cars give freedom.,cars,pro
3,Zoos \x1b[31mteach children.,zoos,pro
4,Zoos are prisons.,zoos,con
"""


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    path.write_text(TEXTS)
    return path


@pytest.fixture
def model(tiny_bert: Path, tmp_path: Path) -> Path:
    """A saved model, whose classifier re-orders the nearest two."""
    retriever(tiny_bert, evaluation={"rerank": 2}).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def index(texts: Path, model: Path, tmp_path: Path, capsys: Captured) -> Path:
    run("index", texts, "--text", "text", "--system", model, "--out", tmp_path / "index")
    assert "4 texts added; 4 in" in capsys.readouterr().out
    return tmp_path / "index"


def run(*arguments: object) -> None:
    assert main.main([*map(str, arguments)]) == 0


def refused(capsys: Captured, *arguments: object) -> str:
    assert main.main([*map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_answers_for_people(index: Path, capsys: Captured) -> None:
    run("search", index, "Zoos are cruel.", "-k", 3)
    out = capsys.readouterr().out
    assert [line[:3] for line in out.splitlines() if line[:3].strip()] == [" 1.", " 2.", " 3."]
    assert out.count("probability") == 2
    run("search", index, "Zoos are cruel.", "--explain", "--where", "theme=zoos")
    out = capsys.readouterr().out
    assert "the second stage (" in out
    assert "Cars" not in out
    # A text does nothing to the terminal.
    assert "\x1b" not in out
    assert "Zoos \\x1b[31mteach children." in out
    assert "(4)" in out


def test_answers_as_json(index: Path, capsys: Captured) -> None:
    run("search", index, "Zoos are prisons.", "Cars.", "-k", 2, "--json")
    lines = capsys.readouterr().out.splitlines()
    first, second = map(json.loads, lines)
    assert first["question"] == {"id": "1", "text": "Zoos are prisons.", "metadata": {}}
    assert second["question"]["id"] == "2"
    assert first["system"] == "a cell"
    assert [one["rank"] for one in first["answers"]] == [1, 2]
    # Never the question's own text.
    assert all(one["source"] != "4" for one in first["answers"])
    assert set(first["answers"][0]) == {
        *("rank", "text", "source", "metadata", "distance", "similarity", "probability"),
        "first_stage_rank",
    }


def test_answers_as_trec(index: Path, tmp_path: Path, capsys: Captured) -> None:
    questions = tmp_path / "queries.jsonl"
    questions.write_text('{"_id": "q 1", "text": "Zoos."}\n{"_id": "q2", "text": "Cars."}\n')
    run("search", index, "--file", questions, "--trec", "-k", 10**9)
    rows = [line.split(" ") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["q%201"] * 4 + ["q2"] * 4
    assert [row[3] for row in rows[:4]] == ["1", "2", "3", "4"]
    assert {row[2] for row in rows[:4]} == {"1", "2", "3", "4"}
    scores = [float(row[4]) for row in rows[:4]]
    assert scores == sorted(scores, reverse=True)


def test_questions_come_from_standard_input_and_from_files(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def typed(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    def asked() -> list[str]:
        lines = capsys.readouterr().out.splitlines()
        return [json.loads(line)["question"]["text"] for line in lines]

    typed(b"Zoos are\ncruel.\n")
    run("search", index, "-", "--json")
    assert asked() == ["Zoos are\ncruel."]
    lines = tmp_path / "queries.txt"
    lines.write_text("Zoos.\n\nCars.\n")
    run("search", index, "--file", lines, "--json")
    assert asked() == ["Zoos.", "Cars."]
    typed(b"\xff")
    assert "standard input:1: not UTF-8 (byte 0xff)" in refused(capsys, "search", index, "-")
    lines.write_bytes(b"Zoos.\n\xff\n")
    assert "queries.txt:2: not UTF-8" in refused(capsys, "search", index, "--file", lines)
    lines.write_text("\n\n")
    assert "no question in it" in refused(capsys, "search", index, "--file", lines)


def test_search_refuses_what_cannot_be_asked(
    index: Path, texts: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "empty").mkdir()
    for given, expected in (
        ([index], "what is asked?"),
        ([], "give an INDEX and a text"),
        ([index, ""], "text 1: an empty text"),
        ([index, "\udcff"], "lone surrogate"),
        ([index, "a" * 1_000_001], "a text of more than 1000000 bytes is refused"),
        ([index, "x", "--where", "colour=red"], "'colour': the index has no such metadata"),
        ([index, "x", "--where", "theme=law"], "'cars', 'zoos'"),
        ([index, "x", "--where", "theme"], "--where: expected COLUMN=VALUE"),
        ([index, "x", "--where", "id=1", "--where", "id=2"], "id is given twice"),
        ([index, "x", "--not-side", "left"], "side=left"),
        ([index, "x", "--system", "other"], "an index has its own"),
        ([index, "-", "-"], "can be read once"),
        ([index, "--file", tmp_path / "no.csv"], "no.csv"),
        ([texts, "x"], "a file, and an index is a folder"),
        ([tmp_path / "no", "x"], "no such folder"),
        ([tmp_path / "empty", "x"], "so it is no index"),
    ):
        assert expected in refused(capsys, "search", *given), given


def test_texts_may_stand_behind_options(index: Path, capsys: Captured) -> None:
    run("search", index, "Zoos.", "Cars.", "--json", "-k", 1)
    before = capsys.readouterr().out
    assert len(before.splitlines()) == 2
    run("search", index, "--json", "-k", 1, "Zoos.", "Cars.")
    assert capsys.readouterr().out == before
    with pytest.raises(SystemExit) as error:
        run("search", index, "Zoos.", "--jsno")
    assert error.value.code == 2
    assert "unrecognized arguments: --jsno" in capsys.readouterr().err


def test_k_of_nothing_is_refused(index: Path, capsys: Captured) -> None:
    for k in ("0", "-1", "x"):
        with pytest.raises(SystemExit) as exit_:
            main.main(["search", str(index), "x", "-k", k])
        assert exit_.value.code == 2


def test_an_index_without_its_model_is_refused(index: Path, capsys: Captured) -> None:
    (index / "model" / "model.safetensors").unlink()
    assert "model.safetensors: missing" in refused(capsys, "search", index, "x")


def test_an_index_is_added_to_and_taken_from(index: Path, tmp_path: Path, capsys: Captured) -> None:
    more = tmp_path / "more.csv"
    more.write_text("id,text\n4,Zoos are prisons.\n5,Something new.\n")
    run("index", "--out", index, "--add", more, "--text", "text")
    # The other columns of a text tell it from one that is there.
    assert "2 texts added; 6 in" in capsys.readouterr().out
    run("index", "--out", index, "--add", more, "--text", "text")
    assert "0 texts added, 2 were there already; 6 in" in capsys.readouterr().out
    run("index", "--out", index, "--remove", more, "--text", "text")
    assert "3 texts removed, 3 left" in capsys.readouterr().out
    run("index", "--out", index, "--remove", "--where", "theme=zoos")
    assert "1 text removed, 2 left" in capsys.readouterr().out


def test_index_refuses_and_writes_nothing(
    index: Path, texts: Path, model: Path, tmp_path: Path, capsys: Captured
) -> None:
    new = tmp_path / "new"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for given, expected in (
        (["--out", new], "give a COLLECTION"),
        ([texts, "--out", new], "which column holds the texts?"),
        ([texts, "--text", "no", "--out", new], "--text no: no such column"),
        ([texts, "--text", "text", "--system", "no", "--run", new, "--out", new], "new"),
        ([texts, "--text", "text", "--system", texts, "--out", index], "an index already"),
        ([texts, "--text", "text", "--system", model, "--out", model], "no index; give a new"),
        ([texts, "--where", "a=b", "--out", new], "goes with --remove alone"),
        (["--add", texts, "--text", "text", "--out", new], "no such folder"),
        (["--remove", "--out", index], "--remove: give either"),
        (["--remove", "--where", "theme=law", "--out", index], "theme=law"),
    ):
        assert expected in refused(capsys, "index", *given), given
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Trained:
    return make_run(tmp_path_factory.mktemp("run"), tiny_bert)


@pytest.mark.parametrize("system", ["best", "frozen", "live", "baseline/untrained"])
def test_a_run_is_asked_at_once_and_answers_as_an_index_of_it_does(
    system: str, trained: Trained, tmp_path: Path, capsys: Captured
) -> None:
    name = trained.system(system)
    run("search", "--run", trained.folder, "--system", name, "A text.", "--json", "-k", 5)
    printed = capsys.readouterr()
    assert ("the best on dev is" in printed.err) == (system == "best")
    assert "the counters of the run's corpus" in printed.err
    at_once = json.loads(printed.out)
    corpus = trained.folder.parents[1] / "debates"
    given = ["--run", trained.folder, "--system", name, "--out", tmp_path / "index"]
    run("index", corpus, *given)
    capsys.readouterr()
    run("search", tmp_path / "index", "A text.", "--json", "-k", 5)
    indexed = json.loads(capsys.readouterr().out)
    texts = [[one["text"] for one in found["answers"]] for found in (at_once, indexed)]
    assert texts[0] == texts[1]
    assert at_once["system"] == indexed["system"]


def test_texts_do_nothing_to_a_terminal() -> None:
    assert terminal_text("a\tb\nc") == "a\tb\nc"
    assert terminal_text("\x1b[2J\x00\u202e\u2028") == "\\x1b[2J\\x00\\u202e\\u2028"
    # Letters and emoji that need joiners stay.
    assert terminal_text("नमस्ते 👩\u200d🔬") == "नमस्ते 👩\u200d🔬"
