"""The file of per-query records."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from counterpoint.corpus.arguments import Corpus
from counterpoint.errors import InputError
from counterpoint.evaluation.records import KEYS, by_task, read_records, write_records
from counterpoint.search.distances import Euclidean
from counterpoint.tasks.candidates import candidate_sets
from tests.support.evaluation import fast, random_system, results_of
from tests.support.runs import query_results


@pytest.fixture
def written(sample, tmp_path):
    """What is written for dev with a second stage and for test without one, and the records."""
    dev_sets, dev = fast(sample, "validation", random_system(sample, 5))
    test_sets = candidate_sets(sample, "test")
    rng = np.random.default_rng(0)
    costs = Euclidean(
        torch.from_numpy(rng.standard_normal((test_sets.pairs, 4))).float(),
        torch.from_numpy(rng.standard_normal((2 * test_sets.pairs, 4))).float(),
    )
    test = results_of(test_sets, costs)
    path = tmp_path / "records.parquet"
    write_records({"dev": (dev_sets, dev), "test": (test_sets, test)}, path)
    return pq.read_table(path), {"dev": (dev_sets, dev), "test": (test_sets, test)}


def test_records_have_these_columns_and_types(written) -> None:
    table, _ = written
    schema = {field.name: field.type for field in table.schema}
    assert schema.keys() == {
        "split",
        "protocol",
        "task",
        "query",
        "candidates",
        "rank",
        "further_ranks",
        "nearest",
        "nearest_scores",
        "reranked",
        "further_reranked",
        "reordered",
        "reordered_scores",
    }
    for name in ("split", "protocol", "task", "query"):
        assert schema[name] == pa.string()
    for name in ("candidates", "rank", "reranked"):
        assert schema[name] == pa.int32()
    for name in ("nearest", "reordered"):
        assert schema[name].value_type == pa.string()
    for name in ("further_ranks", "further_reranked"):
        assert schema[name].value_type == pa.int32()
    for name in ("nearest_scores", "reordered_scores"):
        assert schema[name].value_type == pa.float32()


def test_scores_are_of_the_texts_beside_them(written) -> None:
    for row in written[0].to_pylist():
        assert len(row["nearest_scores"]) == len(row["nearest"])
        # Minus the distances: the nearest first.
        assert row["nearest_scores"] == sorted(row["nearest_scores"], reverse=True)
        assert row["nearest_scores"][0] <= 0
        if row["reordered"] is None:
            assert row["reordered_scores"] is None
            continue
        scores = row["reordered_scores"]
        assert len(scores) == len(row["reordered"]) <= 10
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)


def test_only_a_system_without_a_second_stage_has_nulls(written) -> None:
    rows = written[0].to_pylist()
    assert {row["split"] for row in rows} == {"dev", "test"}
    for row in rows:
        without = row["split"] == "test"
        assert (row["reranked"] is None) == without
        assert (row["reordered"] is None) == without
        # Where each query has one gold.
        assert row["further_ranks"] is row["further_reranked"] is None
        nulls = {"reranked", "reordered", "reordered_scores", "further_ranks", "further_reranked"}
        assert None not in [value for name, value in row.items() if name not in nulls]


def test_records_name_arguments_that_exist(written, sample) -> None:
    folders = {"dev": "validation", "test": "test"}
    known = {role: {one.id for one in sample.split(folders[role])} for role in folders}
    for row in written[0].to_pylist():
        ids = known[row["split"]]
        assert row["query"] in ids
        assert row["query"].endswith("a")
        assert set(row["nearest"]) <= ids
        assert row["query"] not in row["nearest"]
        assert len(row["nearest"]) == min(10, row["candidates"])
        if row["reordered"] is not None:
            assert sorted(row["reordered"]) == sorted(row["nearest"])


def test_records_read_back_give_the_same_ranks(written) -> None:
    table, systems = written
    rows = table.to_pylist()
    start = 0
    for role, (sets, several) in systems.items():
        for records in several:
            part = rows[start : start + len(records.queries)]
            start += len(part)
            assert {row["split"] for row in part} == {role}
            assert {row["protocol"] for row in part} == {records.protocol}
            assert {row["task"] for row in part} == {records.task}
            queries = [sets.ids[sets.pairs + query] for query in records.queries]
            assert [row["query"] for row in part] == queries
            assert [row["candidates"] for row in part] == records.candidates.tolist()
            assert [row["rank"] for row in part] == records.rank.tolist()
            near = [[sets.ids[i] for i in found if i >= 0] for found in records.nearest]
            assert [row["nearest"] for row in part] == near
            if records.reranked is not None:
                assert [row["reranked"] for row in part] == records.reranked.tolist()
                again = [[sets.ids[i] for i in found if i >= 0] for found in records.reordered]
                assert [row["reordered"] for row in part] == again
    assert start == len(rows)


def test_a_rank_within_k_is_the_golds_place_in_the_list(written) -> None:
    for row in written[0].to_pylist():
        gold = row["query"][:-1] + "b"
        for rank, order in (("rank", "nearest"), ("reranked", "reordered")):
            if row[rank] is not None:
                place = row[order].index(gold) + 1 if gold in row[order] else None
                assert place == (row[rank] if row[rank] <= len(row[order]) else None)


def test_an_empty_protocol_writes_no_row(sample, tmp_path) -> None:
    sets, found = fast(sample, "training", random_system(sample, 0), tasks=["sdoc"])
    write_records({"train": (sets, found)}, tmp_path / "records.parquet")
    rows = pq.read_table(tmp_path / "records.parquet").to_pylist()
    assert len(rows) == sets.pairs
    assert {row["protocol"] for row in rows} == {"official"}


def test_rows_by_task_are_those_of_each_whatever_their_order(small: Corpus, tmp_path: Path) -> None:
    sets = candidate_sets(small, "validation")
    several = query_results(sets, [1, 2], [1])
    write_records({"dev": (sets, several), "test": (sets, several)}, tmp_path / "records.parquet")
    records = read_records(tmp_path / "records.parquet")
    for order in (np.arange(len(records)), np.random.default_rng(0).permutation(len(records))):
        shuffled = records.iloc[order]
        parts = by_task(shuffled)
        assert list(parts) == list(dict.fromkeys(shuffled[KEYS].itertuples(index=False, name=None)))
        for where, rows in parts.items():
            part = shuffled[(shuffled[KEYS] == list(where)).all(axis=1)]
            pd.testing.assert_frame_equal(shuffled.iloc[rows], part)
    assert by_task(records[:0]) == {}


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("rank", 0, "rank is 0"),
        ("rank", None, "rank is <NA>"),
        ("reranked", -1, "reranked is -1"),
        ("reranked", None, "reranked is <NA>"),
    ],
)
def test_a_rank_that_is_none_is_named(
    tmp_path: Path, small: Corpus, column: str, value: int | None, words: str
) -> None:
    path = tmp_path / "records.parquet"
    sets = candidate_sets(small, "validation")
    write_records({"dev": (sets, query_results(sets, [1, 2], [1]))}, path)
    found = pd.read_parquet(path)
    found[column] = found[column].astype("Int64")
    found.loc[3, column] = value
    found.to_parquet(path)
    query = found["query"].tolist()[3]
    with pytest.raises(InputError, match=f"parquet: dev, official, epa, query {query}: {words}"):
        read_records(path)


def test_a_file_that_is_no_records_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    path.write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"records\.parquet: not the records of a system"):
        read_records(path)
    pd.DataFrame({"split": ["dev"]}).to_parquet(path)
    with pytest.raises(InputError, match=r"records\.parquet: not the records of a system"):
        read_records(path)
