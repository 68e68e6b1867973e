"""Seconds by stage."""

from types import SimpleNamespace

import pytest

from counterpoint.training.stopwatch import Stopwatch


def test_a_stage_within_another_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 4.0, 6.0])
    clock = SimpleNamespace(perf_counter=lambda: next(now))
    monkeypatch.setattr("counterpoint.training.stopwatch.time", clock)
    watch = Stopwatch()
    with watch("train"), watch("save"):
        pass
    assert watch.seconds == {"save": 3.0, "train": 3.0}
