"""What is decided between epochs, on sequences of scores made by hand."""

import math
from collections.abc import Sequence

import pytest

from counterpoint.config.options import RetrievalLossOptions, StoppingOptions
from counterpoint.training.controls import Controls, Decision, collapsed
from tests.support.epochs import epoch_record

OFF = StoppingOptions(
    halve_after=None, patience=None, dev_loss_rises=None, gap_warning=None, gap_stop=None
)


def decide(
    options: StoppingOptions,
    dev: Sequence[float],
    loss: Sequence[float] | None = None,
    train: Sequence[float] | None = None,
) -> list[Decision]:
    """The decision of each epoch; losses and train accuracies are level where none are given."""
    controls = Controls(options)
    return [
        controls.update(
            epoch_record(
                epoch,
                dev=accuracy,
                dev_loss=1.0 if loss is None else loss[epoch],
                train=accuracy if train is None else train[epoch],
            )
        )
        for epoch, accuracy in enumerate(dev)
    ]


def with_control(**values: int) -> StoppingOptions:
    return OFF.model_copy(update=values)


def epochs(flags: Sequence[object]) -> list[int]:
    return [epoch for epoch, flag in enumerate(flags) if flag]


def halved(decisions: list[Decision]) -> list[int]:
    return epochs([decision.halve for decision in decisions])


def stops(decisions: list[Decision]) -> list[int]:
    return epochs([decision.stop for decision in decisions])


def warnings(decisions: list[Decision]) -> list[int]:
    return epochs([decision.warning for decision in decisions])


def best(decisions: list[Decision]) -> list[int]:
    return epochs([decision.best for decision in decisions])


# ---- best ----


def test_best_is_above_every_epoch_before() -> None:
    assert best(decide(OFF, [0.2, 0.1, 0.3, 0.25, 0.3, 0.31])) == [0, 2, 5]


def test_a_tie_is_not_best() -> None:
    assert best(decide(OFF, [0.5, 0.5, 0.5])) == [0]


def test_an_accuracy_of_zero_is_best_at_first() -> None:
    assert best(decide(OFF, [0.0, 0.0])) == [0]


def test_the_best_epoch_is_kept() -> None:
    controls = Controls(OFF)
    for epoch, accuracy in enumerate([0.2, 0.4, 0.3, 0.4]):
        controls.update(epoch_record(epoch, dev=accuracy))
    assert controls.memory.best_epoch == 1


def test_a_dev_accuracy_that_is_not_a_number_is_never_best() -> None:
    decisions = decide(OFF, [math.nan, 0.1, math.nan, 0.1, 0.2])
    assert best(decisions) == [1, 4]


# ---- halving ----


def test_the_rate_is_halved_after_three_epochs_without_rise_and_again_three_later() -> None:
    # Best at 0; epochs 1, 2, 3 bring no rise, then 4, 5, 6, then 7, 8, 9.
    decisions = decide(with_control(halve_after=3), [0.5] + [0.4] * 9)
    assert halved(decisions) == [3, 6, 9]


def test_a_rise_starts_the_count_anew() -> None:
    # Best at 0, 2 and 7: no rise in 3, 4, 5 (halved); in 6; then in 8, 9, 10 (halved).
    dev = [0.1, 0.1, 0.2, 0.2, 0.1, 0.2, 0.1, 0.3, 0.3, 0.3, 0.3]
    assert halved(decide(with_control(halve_after=3), dev)) == [5, 10]


def test_a_rise_below_the_best_is_no_rise() -> None:
    # After the best at 0 accuracy climbs all the way back, but never above it.
    assert halved(decide(with_control(halve_after=2), [0.5, 0.1, 0.2, 0.3, 0.5])) == [2, 4]


def test_halving_stops_nothing() -> None:
    assert stops(decide(with_control(halve_after=1), [0.5] * 20)) == []


# ---- patience ----


def test_five_epochs_without_rise_stop() -> None:
    # Best at 1; epochs 2 to 6 are five without rise.
    decisions = decide(with_control(patience=5), [0.2, 0.3, 0.3, 0.1, 0.2, 0.3, 0.3])
    assert stops(decisions) == [6]
    assert decisions[6].stop is not None
    assert "dev accuracy" in decisions[6].stop
    assert "5" in decisions[6].stop


def test_a_rise_in_the_last_moment_goes_on() -> None:
    dev = [0.2] + [0.1] * 4 + [0.21] + [0.2] * 4
    assert stops(decide(with_control(patience=5), dev)) == []


def test_patience_of_one_stops_at_the_first_tie() -> None:
    assert stops(decide(with_control(patience=1), [0.1, 0.2, 0.2])) == [2]


def test_accuracies_that_are_no_numbers_use_patience_up() -> None:
    # Epochs 0, 1 and 2 are three without a rise.
    assert stops(decide(with_control(patience=3), [math.nan] * 3)) == [2]


# ---- dev loss ----


def test_three_rises_of_dev_loss_in_a_row_stop() -> None:
    loss = [1.0, 2.0, 3.0, 2.0, 3.0, 4.0, 5.0]
    decisions = decide(with_control(dev_loss_rises=3), [0.5] * 7, loss)
    assert stops(decisions) == [6]
    assert decisions[6].stop is not None
    assert "dev loss" in decisions[6].stop
    assert "3" in decisions[6].stop


def test_the_original_study_stops_at_the_first_rise_of_dev_loss() -> None:
    assert stops(decide(with_control(dev_loss_rises=1), [0.5] * 3, [2.0, 1.0, 1.5])) == [2]


def test_an_equal_dev_loss_is_no_rise() -> None:
    # 1 < 2 = 2 < 3 < 4: two in a row at the end.
    loss = [1.0, 2.0, 2.0, 3.0, 4.0]
    assert stops(decide(with_control(dev_loss_rises=3), [0.5] * 5, loss)) == []
    assert stops(decide(with_control(dev_loss_rises=2), [0.5] * 5, loss)) == [4]


def test_a_dev_loss_that_is_not_a_number_is_no_rise() -> None:
    # Nothing rises to, or from, what is no number: 3 < 4 < 5 are the only two in a row.
    loss = [1.0, 2.0, math.nan, 3.0, 4.0, 5.0]
    assert stops(decide(with_control(dev_loss_rises=2), [0.5] * 6, loss)) == [5]


def test_dev_loss_stops_while_dev_accuracy_rises() -> None:
    loss = [1.0, 1.1, 1.2]
    assert stops(decide(with_control(dev_loss_rises=2), [0.1, 0.2, 0.3], loss)) == [2]


# ---- the gap between train and dev accuracy ----

DEV = [0.25] * 7
GROWING = [0.25, 0.375, 0.5, 0.5, 0.625, 0.75, 0.875]
"""Grows at 1, 2; level at 3; grows at 4, 5, 6. Eighths, which floats hold exactly."""


def test_a_gap_that_grew_three_times_in_a_row_is_warned_of() -> None:
    decisions = decide(with_control(gap_warning=3), DEV, train=GROWING)
    assert warnings(decisions) == [6]
    assert stops(decisions) == []
    assert "gap" in str(decisions[6].warning)


def test_a_warning_lasts_as_long_as_the_gap_grows() -> None:
    assert warnings(decide(with_control(gap_warning=2), DEV, train=GROWING)) == [2, 5, 6]


def test_a_gap_that_grew_three_times_in_a_row_may_stop() -> None:
    decisions = decide(with_control(gap_stop=3), DEV, train=GROWING)
    assert stops(decisions) == [6]
    assert warnings(decisions) == []
    assert "gap" in str(decisions[6].stop)


def test_the_gap_is_train_less_dev() -> None:
    # Train is level and dev falls: the gap grows. Then both fall alike: it is level.
    falling = [0.5, 0.375, 0.25, 0.125]
    assert stops(decide(with_control(gap_stop=3), falling, train=[0.5] * 4)) == [3]
    assert stops(decide(with_control(gap_stop=1), falling, train=falling)) == []
    assert stops(decide(with_control(gap_stop=1), [0.5] * 4, train=falling)) == []


def test_rounding_is_no_growth_of_the_gap() -> None:
    # The gap is 0.2 both times, though in floats 0.3 − 0.1 < 0.4 − 0.2.
    assert warnings(decide(with_control(gap_warning=1), [0.1, 0.2], train=[0.3, 0.4])) == []


def test_a_gap_that_is_not_a_number_is_no_growth() -> None:
    train = [0.25, 0.5, math.nan, 0.75, 0.875]
    assert warnings(decide(with_control(gap_warning=2), DEV[:5], train=train)) == []
    assert warnings(decide(with_control(gap_warning=1), DEV[:5], train=train)) == [1, 4]


# ---- switched off, and together ----


@pytest.mark.parametrize(
    "key", ["halve_after", "patience", "dev_loss_rises", "gap_warning", "gap_stop"]
)
def test_each_control_acts_alone_and_not_when_switched_off(key: str) -> None:
    # Everything goes wrong, epoch after epoch.
    dev = [0.5 - epoch / 64 for epoch in range(30)]
    loss = [1.0 + epoch for epoch in range(30)]
    train = [0.5] * 30

    def acted(options: StoppingOptions) -> set[str]:
        decisions = decide(options, dev, loss, train)
        found = {"halve"} if halved(decisions) else set()
        found |= {"warn"} if warnings(decisions) else set()
        return found | ({"stop"} if stops(decisions) else set())

    act = {"halve_after": "halve", "gap_warning": "warn"}.get(key, "stop")
    assert acted(OFF) == set()
    assert acted(with_control(**{key: 3})) == {act}


def test_the_defaults_halve_at_three_and_stop_at_five() -> None:
    decisions = decide(StoppingOptions(), [0.5] + [0.4] * 5)
    assert halved(decisions) == [3]
    assert stops(decisions) == [5]


def test_controls_of_two_cells_know_nothing_of_each_other() -> None:
    first, second = Controls(OFF), Controls(OFF)
    first.update(epoch_record(dev=0.9))
    assert second.update(epoch_record(dev=0.1)).best


# ---- collapse ----


@pytest.mark.parametrize(
    ("loss", "spread", "kind", "expected"),
    [
        (1.0, 0.001, "triplet", True),
        (1.0, 0.2, "triplet", False),  # at the margin, but texts still differ
        (0.5, 0.001, "triplet", False),  # small vectors that rank
        (5.0, 0.001, "infonce", True),
        (1.0, None, "triplet", False),
    ],
)
def test_collapse_by_hand(loss: float, spread: float | None, kind: str, expected: bool) -> None:
    record = epoch_record(retrieval_loss=loss, spread=spread)
    options = RetrievalLossOptions(kind=kind)  # type: ignore[arg-type]
    assert collapsed(record, 1.0, options) is expected
