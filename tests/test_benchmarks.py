"""The benchmarks compare ways that give the same answers, and write what they measured."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from benchmarks import (
    engine,
    epochs,
    evaluate,
    figures,
    index,
    live_cell,
    mining,
    operators,
    peers,
    resident,
    small_corpus,
    study_loop,
)
from counterpoint.config.options import CellOptions
from counterpoint.corpus.arguments import pairs_of
from counterpoint.corpus.synthetic import split_sizes
from counterpoint.tasks.candidates import TASKS
from counterpoint.tasks.protocols import WITH_TASKS
from tests.support.training import embedded


@pytest.fixture(scope="module")
def validation():
    """The sample's validation split with the benchmark's system."""
    read, sets = evaluate.read_split("sample", "validation")
    return sets, evaluate.random_system(sets, len(read.texts), CellOptions())


def test_the_study_way_and_ours_give_the_same_answers(validation) -> None:
    sets, system = validation
    queries = sets.queries("official")
    slow = evaluate.study_way(system, sets, queries)
    fast = evaluate.our_legacy(system, sets, queries).reordered[:, 0]
    # Copies of a text tie; a tree gives them in any order.
    np.testing.assert_array_equal(sets.text[slow], sets.text[fast])
    found = evaluate.accuracy(sets, slow, queries)
    assert found == evaluate.accuracy(sets, fast, queries)
    # The vectors are neither hopeless nor so easy that every way is right.
    assert 0 < found < 1


def test_everything_is_all_tasks_and_protocols_in_both_stages(validation) -> None:
    sets, system = validation
    found = evaluate.our_everything(system, sets, np.arange(3))
    expected = [(protocol, task) for protocol in WITH_TASKS for task in TASKS]
    assert [(one.protocol, one.task) for one in found] == [
        *expected,
        ("legacy", "epa"),
        ("legacy-subset", "epa"),
    ]
    assert all(one.reordered is not None for one in found)


def test_other_answers_of_ours_are_refused(validation, monkeypatch: pytest.MonkeyPatch) -> None:
    sets, system = validation
    queries = sets.queries("official")
    monkeypatch.setattr(evaluate, "study_way", lambda system, sets, queries: queries)
    with pytest.raises(RuntimeError, match="answer differently"):
        evaluate.compare(system, sets, queries, 1)


def test_the_command_writes_what_it_measured(tmp_path, capsys) -> None:
    out = tmp_path / "evaluate.json"
    options = {"corpus": "sample", "repeat": 3, "queries": 5, "out": out}
    # Of this process, which other tests share.
    options["threads"] = torch.get_num_threads()
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    evaluate.main([*given, "--all-unseen"])
    assert "peak memory" in capsys.readouterr().out
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["queries"] == 5
    assert result["same_answers"] == 1
    # Of the five queries, under the protocols with tasks and those without.
    assert result["pairs"].keys() == {
        *(f"{protocol} {task}" for protocol in WITH_TASKS for task in TASKS),
        "legacy epa",
        "legacy-subset epa",
    }
    seconds, ratios = result["seconds"], result["ratios"]
    assert {len(values) for values in (seconds | ratios).values()} == {3}
    for name in ("our_legacy", "our_everything"):
        by_hand = [
            slow / fast for slow, fast in zip(seconds["study_legacy"], seconds[name], strict=True)
        ]
        assert ratios[f"study_legacy_to_{name}"] == pytest.approx(by_hand)
        assert result["medians"][f"study_legacy_to_{name}"] == pytest.approx(sorted(by_hand)[1])
    assert 0 < result["peak_mib"]["before"] <= result["peak_mib"]["after"]
    assert result["versions"].keys() == {"python", "counterpoint", "torch", "numpy", "scikit-learn"}


def test_the_made_up_training_split_is_as_large_as_the_real_one() -> None:
    assert split_sizes(evaluate.SYNTHETIC_PAIRS)["training"] == 4065


ENCODER = {"max_tokens": 32}
"""Of the tiny encoder's options; its folder is each test's own."""


@pytest.fixture(autouse=True)
def short_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test looks at how fast this machine is."""
    monkeypatch.setattr(epochs, "RATE_SECONDS", 0.01)


@pytest.fixture(scope="module")
def folders():
    """The sample's arguments."""
    return small_corpus.read_folders("sample")


@pytest.fixture(scope="module")
def work(folders, tiny_bert):
    """A little training with the tiny encoder."""
    made = small_corpus.small_corpus(folders, 12)
    return epochs.Work(made, {"name": str(tiny_bert), **ENCODER})


def test_a_small_corpus_is_whole_debates_that_no_two_splits_share(folders) -> None:
    made = small_corpus.small_corpus(folders, 12)
    ids = {role: [each.id for each in made.split(folder)] for role, folder in made.roles.items()}
    assert len(pairs_of(made.split("training"))) >= 12
    assert not set(ids["dev"]) & set(ids["test"])
    for role in ("dev", "test"):
        assert len(pairs_of(made.split(made.roles[role]))) >= small_corpus.LEAST_HELD_OUT
    train = {(each.theme, each.debate) for each in made.split("training")}
    whole = [each.id for each in folders["training"] if (each.theme, each.debate) in train]
    assert ids["train"] == whole
    # Without a limit the whole folder.
    every = small_corpus.small_corpus(folders, None)
    assert every.split("training") == folders["training"]


def test_the_study_loop_chooses_the_negatives_that_we_do() -> None:
    queries, candidates, sets = mining.vectors(40)
    found = study_loop.hard_negatives(queries.numpy(), candidates[:40].numpy(), np.arange(40))
    np.testing.assert_array_equal(found, mining.ours(queries, candidates, sets))
    some = np.array([7, 3])
    again = study_loop.hard_negatives(queries.numpy(), candidates[:40].numpy(), some)
    np.testing.assert_array_equal(again, found[some])


def test_the_study_loop_starts_from_our_vectors(work) -> None:
    """Texts in random batches and duplicates apart, or each once by length: the same vectors."""
    theirs = study_loop.StudyLoop(work.corpus, work.options())
    split = theirs.splits["dev"]
    vectors = theirs.embed(split)
    ours = embedded(work.trainer(work.options()), "dev")["query"]
    texts = [work.corpus.texts.index(text) for text in split.texts]
    np.testing.assert_allclose(vectors.x, ours.x[texts].detach(), atol=1e-5)
    np.testing.assert_allclose(vectors.e, ours.e[texts].detach(), atol=1e-5)


def test_the_study_loop_learns(work) -> None:
    changes = {"training": {"learning_rate": 1e-3, "batch_size": 4}}
    loop = study_loop.StudyLoop(work.corpus, work.options(changes))
    seconds, first = loop.epoch(0)
    assert len(first) == len(pairs_of(work.corpus.split("training"))) // 4
    for epoch in range(1, 6):
        _, last = loop.epoch(epoch)
    assert np.isfinite([*first, *last]).all()
    assert np.mean(last) < np.mean(first)
    assert seconds.keys() == set(epochs.STAGES)


def test_parameters_that_every_token_meets_by_hand(work) -> None:
    model = work.trainer(work.options()).model.encoder.models["query"]
    attention = 4 * (32 * 32 + 32)
    feed_forward = (32 * 64 + 64) + (64 * 32 + 32)
    norms = 2 * 2 * 32
    # Beside two layers the norm of the embeddings; no tables, no pooler.
    by_hand = 2 * (attention + feed_forward + norms) + 2 * 32
    assert epochs.counted_parameters(model) == by_hand


def test_arithmetic_by_hand() -> None:
    assert epochs.arithmetic(10, trained=3, embedded=5) == 10 * (6 * 3 + 2 * 5)
    assert epochs.matrix_rate((4, 5, 6), torch.device("cpu"), torch.float32) > 0


@pytest.mark.parametrize("count", [1, 3])
def test_tokens_of_one_epoch_by_hand(work, count: int) -> None:
    """One batch of all triples, each unique text once; each unique text embedded once."""
    size = len(work.trainer(work.options()).data.pairs)
    trainer = work.trainer(work.options({"training": {"batch_size": size, "epochs": count}}))
    measured = epochs.run_epochs(trainer)
    assert len(measured) == count
    *_, epoch = measured

    def tokens(texts: set[int]) -> int:
        starts = work.tokens.candidate.starts
        return sum(int(starts[t + 1] - starts[t]) for t in texts)

    pairs = trainer.data.pairs
    trained = {
        *pairs.point.tolist(),
        *pairs.counter.tolist(),
        *trainer.negatives.text.ravel().tolist(),
    }
    assert epoch.trained == tokens(trained)
    in_pairs = [
        work.corpus.text_number[each.text_hash]
        for folder in work.corpus.roles.values()
        for pair in pairs_of(work.corpus.split(folder))
        for each in pair
    ]
    assert epoch.embedded == tokens(set(in_pairs))
    # What came before, the first embedding pass among it, is no part of the epoch.
    before = trainer.seconds_before[0]
    assert before["embed"] > 0
    whole = sum(trainer.state.watch.seconds[stage] for stage in epochs.STAGES)
    total = sum(each.total for each in measured)
    assert total == pytest.approx(whole - sum(before.values()))


def test_equal_cells_share_the_first_pass_alone(work) -> None:
    fresh = dataclasses.replace(work, first={})
    options = fresh.options({"training": {"batch_size": 2}})
    cells = [fresh.trainer(options) for _ in range(2)]
    (first,), (second,) = (epochs.run_epochs(cell) for cell in cells)
    assert cells[0].tokens_before[0][1] > 0
    assert cells[1].tokens_before == [(0, 0)]
    assert (second.trained, second.embedded) == (first.trained, first.embedded)
    np.testing.assert_array_equal(cells[1].negatives.text, cells[0].negatives.text)
    other = fresh.trainer(
        fresh.options({"training": {"batch_size": 2}, "projection": {"width": 8}})
    )
    epochs.run_epochs(other)
    assert other.tokens_before[0][1] > 0


def test_every_way_of_mining_chooses_the_same() -> None:
    found = mining.compare(mining.balltree, 30, 2, alike=1.0)
    assert found["same_negatives"] == [1.0, 1.0]
    assert len(found["ours"]) == len(found["theirs"]) == 2
    with pytest.raises(RuntimeError, match=r"choose differently: 0\.00%"):
        mining.compare(lambda queries, candidates, sets: np.full(30, -1), 30, 1, alike=1.0)


def test_what_mining_takes_is_above_the_vectors() -> None:
    assert 0 <= mining.memory_of_new_process(50, 1) < 1024


def test_the_peer_mines_the_same_negatives_from_the_same_vectors() -> None:
    pytest.importorskip("datasets")
    given = mining.vectors(60)
    np.testing.assert_array_equal(peers.mine(*given), mining.ours(*given))


def test_a_missing_peer_is_a_row_that_says_how_to_install_it(
    work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PACKAGES", ("no_such_package",))
    bench = engine.Bench(work, 1, 5, 5, gpu_corpus=work.corpus, threads=1)
    rows = engine.measure(bench, ["trainer", "hard-negatives"])["rows"]
    assert [each["name"] for each in rows] == ["trainer", "hard-negatives"]
    assert all("pip install '.[bench]'" in each["reason"] for each in rows)


def test_what_a_machine_cannot_do_is_a_row_with_the_reason(
    work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epochs.Work, "refused", lambda self, changes: "no instructions")
    found = engine.compare_epochs(work, ["epoch", "bfloat16", "share"], 1)
    assert set(found["rows"].values()) == {"not on this machine: no instructions"}
    # Nor does the other side run for nothing.
    assert found["epochs"] == {engine.STUDY: []}


def test_ratios_and_shares_are_those_of_the_epochs(work) -> None:
    found = engine.compare_epochs(work, ["epoch", "frozen", "share-no-dropout"], 2)
    each = found["epochs"]
    assert each.keys() == {engine.STUDY, "ours", "ours, no dropout", "ours, frozen"}
    for name, cell in (("epoch", "ours"), ("frozen", "ours, frozen")):
        by_hand = [
            sum(theirs[stage] for stage in epochs.STAGES)
            / sum(ours[stage] for stage in epochs.STAGES)
            for theirs, ours in zip(each[engine.STUDY], each[cell], strict=True)
        ]
        assert found["rows"][name] == pytest.approx(by_hand)
    by_hand = [
        100
        * (run["parameters"] * (6 * run["trained_tokens"] + 2 * run["embedded_tokens"]))
        / (run["matrix_rate"] * sum(run[stage] for stage in epochs.STAGES))
        for run in each["ours, no dropout"]
    ]
    assert found["rows"]["share-no-dropout"] == pytest.approx(by_hand)


def test_every_cell_is_the_one_that_its_name_says(work) -> None:
    options = {name: work.options(changes) for name, changes in engine.CELLS.items()}
    assert options["ours"].encoder.dropout is None
    assert {each.encoder.precision for each in options.values()} == {"float32", "bfloat16"}
    for name, each in options.items():
        assert (each.encoder.dropout == 0) == ("no dropout" in name)
        assert (each.encoder.precision == "bfloat16") == ("bfloat16" in name)
        assert (each.encoder.trainable == "none") == ("frozen" in name)
    assert {*engine.RATIOS.values(), *engine.SHARES.values()} == engine.CELLS.keys()


def test_a_gpus_figures_but_for_the_gpu(folders, work) -> None:
    tiny = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    shape = {**tiny, "intermediate_size": 32, "max_position_embeddings": 40}
    small = small_corpus.small_corpus(folders, 12)
    bench = engine.Bench(work, 2, 5, 5, gpu_corpus=small, threads=1, gpu_shape=shape)
    asked = [*(name for name in figures.FIGURES if name.startswith("gpu-8-")), "gpu-jobs-2"]
    found, stages = engine.gpu_rows(bench, asked, torch.device("cpu"))
    assert [*found] == asked
    assert {len(values) for name, values in found.items() if "memory" not in name} == {2}
    assert all(value > 0 for value in found["gpu-8-utilisation"] + found["gpu-jobs-2"])
    assert [each["total"] for each in stages["gpu-8"]] == found["gpu-8-seconds"]


RESULT = {
    "rows": [
        figures.row("epoch", [2.0, 1.5, 1.75]),
        figures.row("memory", [300.0]),
        figures.row("share", "not on this machine:\nno | matrix"),
        figures.row("gpu-8-tokens", [123456.0]),
    ],
    "epochs": {
        "original study's loop": [
            dict.fromkeys([*epochs.STAGES, "total"], seconds) for seconds in (4.0, 2.0)
        ],
        "ours": [{**dict.fromkeys([*epochs.STAGES, "total"], 1.0), "matrix_rate": 150e9}],
        "ours, frozen": [],
    },
    "date": "2026-11-24T00:00:00+00:00",
    "command": "python -m benchmarks.engine",
    "machine": {"processor": "P", "cores": 2, "threads": 1, "load": (0.25, 0, 0), "gpu": None},
    "versions": {"torch": "2.13.0"},
    "work": {
        "corpus": "c.zip",
        "encoder": "E",
        "max_tokens": 256,
        "train": 512,
        "dev": 128,
        "test": 128,
        "points": 20000,
        "memory_points": 200000,
    },
    "repeat": 3,
}


def test_the_page_by_hand() -> None:
    lines = figures.markdown([RESULT]).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert "| ≥ 1.8 × | 1.75 × (1.50–2.00) | **missed** |" in table[2]
    assert "| ≤ 1,024 MiB | 300.0 MiB (300.0–300.0) | met |" in table[3]
    assert "| ≥ 60 % | not on this machine: no \\| matrix |  |" in table[4]
    assert "|  | 123,456 tokens/s (123,456–123,456) |  |" in table[5]
    assert "| original study's loop | 3.00 | 3.00 | 3.00 | 3.00 | 3.00 |  |" in table
    assert "| ours | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 150 |" in table
    assert not any("frozen" in line for line in table[6:])
    page = "\n".join(lines)
    for fact in ("2026-11-24", "python -m benchmarks.engine", "P, 2 cores", "torch 2.13.0"):
        assert fact in page


def test_one_page_of_several_runs(tmp_path, capsys) -> None:
    other = {**RESULT, "rows": [figures.row("frozen", [300.0])], "epochs": {}, "repeat": 5}
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, result in zip(paths, (RESULT, other), strict=True):
        path.write_text(json.dumps(result))
    page = tmp_path / "page.md"
    engine.main(["--join", *map(str, paths), "--markdown", str(page)])
    lines = page.read_text(encoding="utf-8").splitlines()
    says = [line.split("|")[1].strip() for line in lines if line.startswith("|")][2:7]
    assert says == [
        figures.FIGURES[name].says
        for name in ("epoch", "frozen", "memory", "share", "gpu-8-tokens")
    ]
    assert "## epoch, memory, share, gpu-8-tokens" in lines
    assert lines.index("## frozen") < next(
        number for number, line in enumerate(lines) if "repetitions: 5" in line
    )
    assert page.read_text(encoding="utf-8").strip() == capsys.readouterr().out.strip()


@pytest.mark.parametrize("content", [None, b"not JSON", b"[]", b"3", b'{"rows": []}', b"\xff"])
def test_what_no_run_wrote_is_no_part_of_a_page(content: bytes | None, tmp_path, capsys) -> None:
    path = tmp_path / "part.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        engine.main(["--join", str(path)])
    assert stopped.value.code == 2
    assert f"{path}: " in capsys.readouterr().err


def test_a_row_that_does_not_exist_is_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        engine.parse(["--only", "epohc"])
    assert "no row epohc; there are epoch," in capsys.readouterr().err
    assert engine.chosen(["gpu-8", "share"]) == [
        *("share", "share-no-dropout"),
        *(name for name in figures.FIGURES if name.startswith("gpu-8-")),
    ]
    assert engine.chosen([]) == list(figures.FIGURES)


def test_the_engines_command_from_end_to_end(tmp_path, tiny_bert, capsys) -> None:
    out, page = tmp_path / "engine.json", tmp_path / "engine.md"
    # Threads are those of this process, which other tests share.
    given = {"corpus": "sample", "encoder": tiny_bert, "threads": torch.get_num_threads()}
    given |= {"max-tokens": 32, "pairs": 12, "points": 30, "memory-points": 50, "repeat": 1}
    given |= {"gpu-pairs": 64, "out": out, "markdown": page}
    engine.main([part for name, value in given.items() for part in (f"--{name}", str(value))])
    result = json.loads(out.read_text(encoding="utf-8"))
    assert [row["name"] for row in result["rows"]] == list(figures.FIGURES)
    rows = {row["name"]: row for row in result["rows"]}
    for name in ("epoch", "frozen", "balltree", "memory", "share", "share-no-dropout"):
        assert len(rows[name]["values"]) == 1, name
        assert rows[name]["median"] > 0
    for name, row in rows.items():
        if "reason" in row:
            assert name.startswith(("bfloat16", "gpu")) or "[bench]" in row["reason"]
    assert result["work"]["train"] >= 12
    assert result["command"].startswith("python -m benchmarks.engine --corpus sample")
    assert page.read_text(encoding="utf-8").strip() == capsys.readouterr().out.strip()


def test_a_live_cell_from_end_to_end(tiny_bert, capsys) -> None:
    given = {"corpus": "sample", "encoder": tiny_bert, "threads": torch.get_num_threads()}
    given |= {"max-tokens": 32, "pairs": 20, "epochs": 1}
    live_cell.main([part for name, value in given.items() for part in (f"--{name}", str(value))])
    printed = capsys.readouterr().out
    start = printed.index('{"loss"')
    loss, seconds = printed[start:].split("\n", 1)
    assert len(json.loads(loss)["loss"]) == 1
    assert {"embed", "mine", "train", "evaluate"} <= json.loads(seconds).keys()


def test_operators_of_an_epoch_add_up(tiny_bert, capsys) -> None:
    given = {"corpus": "sample", "encoder": tiny_bert, "threads": torch.get_num_threads()}
    given |= {"max-tokens": 32, "pairs": 12, "dropout": 0, "most": 4}
    operators.main([part for name, value in given.items() for part in (f"--{name}", str(value))])
    head, _, *lines = capsys.readouterr().out.strip().split("\n")
    assert "embedding pass" in head
    assert len(lines) == 5
    shares = [[float(cell.strip(" %")) for cell in line.split("|")[2:4]] for line in lines]
    for column in zip(*shares, strict=True):
        assert sum(column) == pytest.approx(100, abs=0.3)
    assert any("aten::" in line for line in lines)


def test_an_index_and_other_programs_give_the_same_answers(tmp_path) -> None:
    pytest.importorskip("faiss", reason="extra faiss")
    pytest.importorskip("sentence_transformers", reason="extra bench")
    told = index.measure(500, 1, tmp_path)
    assert "| build from 500 vectors |" in told
    assert "| add 5 |" in told
    assert told.count("\n| counterpoint |") == 1


def test_programs_that_answer_otherwise_are_refused() -> None:
    programs = {
        "a": lambda queries: torch.zeros((len(queries), 1)),
        "b": lambda queries: torch.ones((len(queries), 1)),
    }
    with pytest.raises(RuntimeError, match=r"b gives 0\.0% of the rows"):
        index.rounds(programs, torch.zeros((32, 1)), 1)


def test_memory_over_an_epoch_from_end_to_end(tiny_bert, tmp_path, capsys) -> None:
    given = {"corpus": "sample", "encoder": tiny_bert, "threads": 1, "max-tokens": 32}
    given |= {"pairs": 12, "batch": 4, "label": "now", "csv": tmp_path / "now.csv"}
    resident.main([part for name, value in given.items() for part in (f"--{name}", str(value))])
    samples = resident.read_csv(str(tmp_path / "now.csv"))
    assert samples == sorted(samples, key=lambda each: (each.steps, each.seconds))
    assert samples[-1].peak >= max(each.resident for each in samples) > 100
    assert "| now " in capsys.readouterr().out
    png = tmp_path / "resident.png"
    resident.main(["--plot", given["csv"].as_posix(), "--png", str(png)])
    assert png.read_bytes().startswith(b"\x89PNG")


def test_a_row_of_memory_tells_the_peaks_and_the_cost_of_a_step() -> None:
    def at(seconds: float, mib: float, steps: int) -> resident.Sample:
        return resident.Sample("now", seconds, mib, mib, steps, cpu=2 * seconds)

    samples = [at(0, 100, 0), at(1, 300, 0), at(2, 900, 1), at(4, 950, 2), at(6, 960, 3)]
    assert list(resident.summary(samples).values()) == ["now", "100", "900", "960", "4.0"]
    held = [at(0, 100, 0), at(1, 100.2, 0), at(2, 100.1, 0), at(3, 100.3, 1), at(4, 100.3, 1)]
    assert [each.seconds for each in resident.thinned(held)] == [0, 3, 4]
