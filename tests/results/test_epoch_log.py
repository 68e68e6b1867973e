"""The epoch log: what is appended is what is read."""

import dataclasses
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.results.epoch_log import (
    Distances,
    EpochRecord,
    EpochScores,
    Losses,
    NegativeCounts,
    Quantiles,
    Spread,
    append,
    read,
    truncate,
)
from tests.support.runs import epoch_record

NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 2**53)
SPLITS = st.sampled_from(["train", "dev", "test"])
QUANTILES = st.builds(Quantiles, *[NUMBERS] * 5)
SPREADS = st.builds(Spread, NUMBERS, NUMBERS, st.none() | QUANTILES)
AT_K = st.dictionaries(st.sampled_from(["retrieval@3", "reranked@3", "reranked@10"]), NUMBERS)
ACCURACY = st.dictionaries(
    SPLITS,
    st.dictionaries(
        st.sampled_from(["official", "clean"]),
        st.builds(EpochScores, NUMBERS, NUMBERS, NUMBERS, AT_K),
    ),
)
RECORDS = st.builds(
    EpochRecord,
    epoch=COUNTS,
    learning_rate=FINITE,
    random_rate=FINITE,
    negatives=st.builds(NegativeCounts, COUNTS, COUNTS, COUNTS, COUNTS),
    losses=st.dictionaries(SPLITS, st.builds(Losses, NUMBERS, NUMBERS, NUMBERS, NUMBERS)),
    distances=st.dictionaries(SPLITS, st.builds(Distances, SPREADS, SPREADS, NUMBERS)),
    accuracy=ACCURACY,
    gap=NUMBERS,
    spread=NUMBERS,
    diverged=st.none() | st.text(),
    events=st.lists(st.text(), max_size=3),
    tasks=st.dictionaries(st.sampled_from(["sdoc", "epc"]), ACCURACY, max_size=2),
)


@settings(max_examples=50, deadline=None)
@given(records=st.lists(RECORDS, max_size=3))
def test_any_record_comes_back(records: list[EpochRecord]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "epochs.jsonl"
        path.touch()
        for record in records:
            append(path, record)
        assert read(path) == records


def test_a_line_has_these_keys_in_this_order(tmp_path: Path) -> None:
    """Logs of cells that are trained already must stay what they are."""
    path = tmp_path / "epochs.jsonl"
    append(path, epoch_record(3))
    values = json.loads(path.read_text())
    assert list(values) == [
        "epoch", "learning_rate", "random_rate", "negatives", "losses", "distances", "accuracy",
        "gap", "spread", "diverged", "events",
    ]  # fmt: skip
    assert list(values["negatives"]) == ["random", "hard_point", "hard_counter", "same_debate"]
    assert list(values["losses"]["dev"]) == ["retrieval", "counter", "negative", "total"]
    assert values["distances"]["dev"]["negative"] == {"mean": 0.5, "std": 0.1}
    assert values["accuracy"]["dev"]["clean"] == {
        "retrieval": 0.5, "reranked": 0.25, "recall@10": 1.0,
    }  # fmt: skip


def test_what_is_known_of_distances_stands_behind_what_was_always_there(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    spread = Spread(0.5, 0.1, Quantiles(0.1, 0.2, 0.3, 0.4, 0.5))
    append(path, epoch_record(0, distances={"dev": Distances(spread, Spread(0.5, 0.1), 0.75)}))
    assert json.dumps(json.loads(path.read_text())["distances"]) == (
        '{"dev": {"positive": {"mean": 0.5, "std": 0.1, "quantiles": '
        '{"q05": 0.1, "q25": 0.2, "q50": 0.3, "q75": 0.4, "q95": 0.5}}, '
        '"negative": {"mean": 0.5, "std": 0.1}, "active": 0.75}}'
    )


def test_a_log_from_before_quantiles_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    append(old, epoch_record(0))
    assert "quantiles" not in old.read_text()
    assert "active" not in old.read_text()
    (record,) = read(old)
    assert record.distances["dev"].active is None
    assert record.distances["dev"].positive.quantiles is None
    append(new, record)
    assert new.read_bytes() == old.read_bytes()


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_a_newline_ends_a_record(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "epochs.jsonl"
    record = epoch_record(0, events=[f"a{separator}b", "two\nlines"])
    append(path, record)
    assert read(path) == [record]
    assert path.read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_becomes_null(tmp_path: Path, value: float) -> None:
    path = tmp_path / "epochs.jsonl"
    losses = {"dev": Losses(value, 1.5, 2.0, value)}
    append(path, epoch_record(0, losses=losses, gap=value))

    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads(path.read_text(), parse_constant=refuse)
    (record,) = read(path)
    assert record.losses == {"dev": Losses(None, 1.5, 2.0, None)}
    assert record.gap is None


def test_the_same_records_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        append(tmp_path / name, epoch_record(0, gap=1 / 3, events=["ü"]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_empty_log_has_no_records(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    path.touch()
    assert read(path) == []


def without(key: str) -> bytes:
    values = epoch_record(1).to_json()
    del values[key]
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    "line",
    [
        b'{"epoch": 1, "lo',
        b"\x00\x00\x00",
        b"\xff\xfe",
        b"",
        b"[1, 2]",
        b'"epoch"',
        without("epoch"),
        without("accuracy"),
        json.dumps(epoch_record(1).to_json() | {"random_rate": "much"}).encode(),
    ],
)
def test_a_broken_line_is_named_with_its_file(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "epochs.jsonl"
    append(path, epoch_record(0))
    path.write_bytes(path.read_bytes() + line + b"\n")
    append(path, epoch_record(2))
    with pytest.raises(InputError) as caught:
        read(path)
    assert f"{path}, line 2: not the record of an epoch" in str(caught.value)


def test_a_log_is_cut_to_its_first_records(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    records = [epoch_record(number) for number in range(3)]
    for record in records:
        append(path, record)
    truncate(path, 2)
    assert read(path) == records[:2]
    with pytest.raises(InputError, match=r"the log of 3 epochs was cut"):
        truncate(path, 3)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"the log of 2 epochs was cut"):
        truncate(path, 2)
    truncate(path, 0)
    assert path.read_bytes() == b""


def test_other_k_and_tasks_stand_in_the_log_where_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    scores = EpochScores(0.25, 0.5, 0.75, {"retrieval@3": 0.375, "reranked@3": 0.625})
    record = dataclasses.replace(
        epoch_record(0),
        accuracy={"dev": {"clean": scores}},
        tasks={"sdoc": {"dev": {"clean": EpochScores(1.0, 1.0, 1.0)}}},
    )
    append(path, record)
    line = json.loads(path.read_text())
    assert line["accuracy"] == {
        "dev": {
            "clean": {
                "retrieval": 0.25,
                "reranked": 0.5,
                "recall@10": 0.75,
                "retrieval@3": 0.375,
                "reranked@3": 0.625,
            }
        }
    }
    assert line["tasks"] == {
        "sdoc": {"dev": {"clean": {"retrieval": 1.0, "reranked": 1.0, "recall@10": 1.0}}}
    }
    assert read(path) == [record]


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        epoch_record(0).epoch = 1
