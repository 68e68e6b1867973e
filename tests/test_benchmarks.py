"""The benchmark compares two ways that give the same answers, and writes what it measured."""

import json

import numpy as np
import pytest
import torch

from benchmarks import evaluate
from counterpoint.config import CellOptions
from counterpoint.synthesize import split_sizes
from counterpoint.tasks import PROTOCOLS, TASKS


@pytest.fixture(scope="module")
def validation():
    """The sample's validation split with the benchmark's system."""
    read, pool = evaluate.read_split("sample", "validation")
    return pool, evaluate.random_system(pool, len(read.texts), CellOptions())


def test_the_seeds_way_and_ours_give_the_same_answers(validation) -> None:
    pool, system = validation
    queries = pool.queries("official")
    slow = evaluate.seeds_way(system, pool, queries)
    fast = evaluate.our_legacy(system, pool, queries).reordered[:, 0]
    # Copies of a text tie; a tree gives them in any order.
    np.testing.assert_array_equal(pool.text[slow], pool.text[fast])
    found = evaluate.accuracy(pool, slow, queries)
    assert found == evaluate.accuracy(pool, fast, queries)
    # The vectors are neither hopeless nor so easy that every way is right.
    assert 0 < found < 1


def test_everything_is_all_tasks_and_protocols_in_both_stages(validation) -> None:
    pool, system = validation
    found = evaluate.our_everything(system, pool, np.arange(3))
    expected = [(protocol, task) for protocol in PROTOCOLS for task in TASKS]
    assert [(one.protocol, one.task) for one in found] == [*expected, ("legacy", "epa")]
    assert all(one.reordered is not None for one in found)


def test_other_answers_of_ours_are_refused(validation, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, system = validation
    queries = pool.queries("official")
    monkeypatch.setattr(evaluate, "seeds_way", lambda system, pool, queries: queries)
    with pytest.raises(RuntimeError, match="answer differently"):
        evaluate.compare(system, pool, queries, 1)


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
    # Of the five queries, under the two protocols and the third.
    assert result["pairs"].keys() == {
        *(f"{protocol} {task}" for protocol in PROTOCOLS for task in TASKS),
        "legacy epa",
    }
    seconds, ratios = result["seconds"], result["ratios"]
    assert {len(values) for values in (seconds | ratios).values()} == {3}
    for name in ("our_legacy", "our_everything"):
        by_hand = [
            slow / fast for slow, fast in zip(seconds["seeds_legacy"], seconds[name], strict=True)
        ]
        assert ratios[f"seeds_legacy_to_{name}"] == pytest.approx(by_hand)
        assert result["medians"][f"seeds_legacy_to_{name}"] == pytest.approx(sorted(by_hand)[1])
    assert 0 < result["peak_mib"]["before"] <= result["peak_mib"]["after"]
    assert result["versions"].keys() == {"python", "counterpoint", "torch", "numpy", "scikit-learn"}


def test_the_made_up_training_split_is_as_large_as_the_real_one() -> None:
    assert split_sizes(evaluate.SYNTHETIC_PAIRS)["training"] == 4065
