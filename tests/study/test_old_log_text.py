"""The original study's text logs: what their lines say, and which are refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.study import old_log_text
from counterpoint.study.log_summary import summaries, summary
from counterpoint.study.old_log import OldEpoch, OldLog
from counterpoint.study.old_log_text import ROLES, read_log
from tests.support.old_logs import THREE, lines_of, text_of

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "old.log"


def parse(log: Path, content: str | bytes) -> OldLog:
    log.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return read_log(log, "old")


def refused(log: Path, content: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        parse(log, content)
    message = str(caught.value)
    assert message.startswith(str(log))
    return message


def values(read: OldLog, role: str) -> list[float]:
    return [epoch.accuracy[role] for epoch in read.epochs]


# What is read


def test_figures_and_mean_losses_of_each_epoch(log: Path) -> None:
    found = parse(log, text_of(lines_of(THREE)))
    assert found.epochs[1] == OldEpoch(1, 2.0, {"train": 0.5, "dev": 0.75, "test": 0.5})
    assert found.source.protocol == "legacy-subset"
    assert found.epochs[1].to_json("legacy-subset") == {
        "epoch": 1,
        "losses": {"train": {"total": 2.0}},
        "accuracy": {
            "train": {"legacy-subset": {"reranked": 0.5}},
            "dev": {"legacy-subset": {"reranked": 0.75}},
            "test": {"legacy-subset": {"reranked": 0.5}},
        },
    }
    assert [epoch.epoch for epoch in found.epochs] == [0, 1, 2]
    assert values(found, "dev") == [0.125, 0.75, 0.25]
    assert found.source.notes == []


def test_best_is_at_its_first_epoch(log: Path) -> None:
    found = parse(log, text_of(lines_of(THREE)))
    assert {
        role: (each.best.value, each.best_epoch, each.last.value)
        for role, each in summaries(found).items()
    } == {"train": (0.5, 1, 0.5), "dev": (0.75, 1, 0.25), "test": (0.5, 1, 0.25)}
    assert summary(found).splitlines()[0] == (
        "old: 3 epochs; train best 0.5000 (epoch 1), last 0.5000; "
        "dev best 0.7500 (epoch 1), last 0.2500; test best 0.5000 (epoch 1), last 0.2500"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.26666666666666666", 4 / 15),
        ("2.3e-05", 2.3e-05),
        ("2.5E-1", 0.25),
        (".5", 0.5),
        ("0", 0.0),
        ("1", 1.0),
        ("1.0", 1.0),
        ("1.", 1.0),
        ("+0.5", 0.5),
        ("０．５", 0.5),
        (" 0.5", 0.5),
        ("：0.5", 0.5),
        (": 0.5", 0.5),
        (" = 0.5", 0.5),
        ("　0.5。", 0.5),
        ("0.5…", 0.5),
        ("0.5, best so far 0.75", 0.5),
    ],
)
def test_numbers_in_every_form(log: Path, text: str, value: float) -> None:
    found = parse(log, text_of(lines_of([(0.5, text, 0.5)])))
    assert values(found, "dev") == [value]


@pytest.mark.parametrize("text", ["nan", "inf", "-0.1", "1.5", "26.7%", "0.5 %", "", "0.2.5", "5e"])
def test_an_accuracy_that_is_no_fraction_is_refused_with_its_line(log: Path, text: str) -> None:
    # Opening, two losses and three figures an epoch: dev of the second is the eleventh line.
    message = refused(log, text_of(lines_of([(0.5, 0.5, 0.5), (0.5, text, 0.5)])))
    assert (
        f"{log}, line 11: expected an accuracy from 0 to 1, found '验证集top1 accuracy为" in message
    )
    assert text in message


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2023-05-01 10:00:00,123 - root - INFO - ", ""),
        ("", "（共4065条）"),
        ("\x1b[32m", "\x1b[0m"),
        ("100%|████| 508/508 [02:01<00:00]\r", "\r"),
    ],
    ids=["logger", "suffix", "colours", "progress bar"],
)
def test_what_stands_before_and_after_does_not_matter(log: Path, before: str, after: str) -> None:
    lines = (f"{before}{line}{after}" for line in lines_of(THREE))
    assert parse(log, text_of(lines)).epochs == parse(log, text_of(lines_of(THREE))).epochs


def test_spaces_and_capitals_do_not_matter(log: Path) -> None:
    text = (
        "开始第 0 个 Epoch 的训练\n当前第 0 个 mini batch, 当前 Loss 为： 2.5\n"
        "训练集 Top1 Accuracy 为: 0.5\n验证集 top-1 accuracy = 0.25\n"
    )
    assert parse(log, text).epochs == [OldEpoch(0, 2.5, {"train": 0.5, "dev": 0.25})]


def test_other_figures_and_other_lines_are_no_events(log: Path) -> None:
    lines = list(lines_of(THREE))
    lines[4:4] = ["验证集top10 accuracy为0.9", "验证集top3 accuracy为0.8", "加载模型", ""]
    assert parse(log, text_of(lines)).epochs == parse(log, text_of(lines_of(THREE))).epochs


def test_losses_that_are_no_numbers_are_kept_out_of_the_mean_and_told(log: Path) -> None:
    found = parse(log, text_of(lines_of([(0.5,)], losses=(1, "nan", "2e-0", "inf", "1e999"))))
    assert found.epochs[0].train_loss == 1.5
    assert found.source.notes[1:] == [
        "line 3: a loss that is no finite number; 3 such in all are kept out of the means"
    ]


@pytest.mark.parametrize("losses", [(), ("nan",)])
def test_an_epoch_without_losses_has_none(log: Path, losses: tuple[object, ...]) -> None:
    found = parse(log, text_of(lines_of(THREE, losses=losses)))
    assert [epoch.train_loss for epoch in found.epochs] == [None] * 3


@settings(max_examples=40, deadline=None)
@given(
    epochs=st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=8),
    losses=st.lists(st.floats(0, 1e6), max_size=3).map(tuple),
    opening=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_log_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    epochs: list[tuple[float | str, ...]],
    losses: tuple[float, ...],
    opening: bool,
    encoding: str,
    end: str,
) -> None:
    log = tmp_path_factory.getbasetemp() / "any.log"
    lines = lines_of(epochs, losses=losses, opening=opening)
    found = parse(log, "".join(line + end for line in lines).encode(encoding))
    assert list(zip(*(values(found, role) for role in ROLES.values()), strict=True)) == epochs
    assert [epoch.epoch for epoch in found.epochs] == list(range(len(epochs)))
    mean = sum(losses) / len(losses) if losses else None
    assert all(epoch.train_loss == mean for epoch in found.epochs)
    assert found.source.notes == []


# Encodings


def test_encodings_may_change_from_line_to_line(log: Path) -> None:
    lines = list(lines_of(THREE))
    mixed = [f"{line}\n".encode(("utf-8", "gb18030")[i % 2]) for i, line in enumerate(lines)]
    found = parse(log, b"".join(mixed))
    assert found.epochs == parse(log, text_of(lines)).epochs
    assert found.source.encoding == "UTF-8 and GB18030"


@pytest.mark.parametrize(
    ("encoding", "told"), [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("gb18030", "GB18030")]
)
def test_the_encoding_is_told(log: Path, encoding: str, told: str) -> None:
    # Plain ASCII is of either encoding, and more than one block.
    text = "INFO start\n" * 100_000 + text_of(lines_of(THREE))
    found = parse(log, text.encode(encoding))
    assert found.source.encoding == told
    assert found.source.lines == 100_000 + 3 * 6


def test_a_line_in_neither_encoding_is_refused_with_its_number(log: Path) -> None:
    content = text_of(lines_of(THREE)).encode("utf-8") + b"\xff\xff bytes\n" + b"end\n"
    assert ", line 19: neither UTF-8 nor GB18030" in refused(log, content)
    wide = text_of(lines_of(THREE)).encode("utf-16")
    assert ", line 1: neither UTF-8 nor GB18030" in refused(log, wide)


def test_lines_are_numbered_across_blocks(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = parse(log, text_of(lines_of(THREE)))
    text = text_of([*lines_of(THREE), "验证集top1 accuracy为2"])
    for size in (60, 61, 64, 100, 200):
        monkeypatch.setattr(old_log_text, "BLOCK", size)
        assert parse(log, text_of(lines_of(THREE))) == whole
        assert ", line 19: expected an accuracy" in refused(log, text)


def test_a_file_that_is_one_endless_line_is_refused(log: Path) -> None:
    assert ", line 1: longer than" in refused(log, b"x" * (3 * old_log_text.BLOCK))


# Epochs


def test_without_opening_lines_the_training_figure_counts(log: Path) -> None:
    lines = list(lines_of(THREE, opening=False))
    found = parse(log, text_of(lines))
    assert found.epochs == parse(log, text_of(lines_of(THREE))).epochs
    without_train = [line for line in lines if "训练集" not in line]
    assert values(parse(log, text_of(without_train)), "test") == [0.0, 0.5, 0.25]


def test_figures_before_the_first_epoch_are_left_out(log: Path) -> None:
    """The original study evaluates at the end of an epoch."""
    before = ["训练集top1 accuracy为0.9", "测试集top1 accuracy为0.9"]
    found = parse(log, text_of([*before, *lines_of(THREE)]))
    assert values(found, "train") == [0.25, 0.5, 0.5]
    assert found.source.notes == [
        "2 accuracy lines before the first opening line are left out: accuracies come at the end "
        "of an epoch, so they belong to none in the file"
    ]
    cut = list(lines_of(THREE, opening=False))[3:]
    found = parse(log, text_of(cut))
    assert values(found, "test") == [0.5, 0.25]
    assert found.source.notes[0].startswith("2 accuracy lines before the first train accuracy")
    only = ["训练集top1 accuracy为0.9", "开始第0个epoch的训练"]
    assert "no accuracy line within an epoch" in refused(log, text_of(only))


def test_a_log_whose_head_is_missing_keeps_its_numbers(log: Path) -> None:
    found = parse(log, text_of(lines_of(THREE, first=7)))
    assert [epoch.epoch for epoch in found.epochs] == [7, 8, 9]
    assert summaries(found)["dev"].best_epoch == 8
    assert found.source.notes == [
        "line 1: the file begins with epoch 7; what was before is not in it"
    ]


@pytest.mark.parametrize(
    ("first", "advice"),
    [(0, "split the file before line 19"), (2, "split the file before"), (5, "lines are missing")],
    ids=["restart", "resumed", "gap"],
)
def test_epochs_that_do_not_rise_by_one_are_refused(log: Path, first: int, advice: str) -> None:
    message = refused(log, text_of([*lines_of(THREE), *lines_of(THREE, first=first)]))
    assert f", line 19: epoch {first} begins after epoch 2 (line 13); expected epoch 3" in message
    assert advice in message


def test_a_second_figure_in_an_epoch_is_refused(log: Path) -> None:
    lines = list(lines_of(THREE))
    lines.insert(6, "验证集top1 accuracy为0.5")
    message = refused(log, text_of(lines))
    assert ", line 7: a second dev accuracy in epoch 0, which begins in line 1" in message


def test_an_incomplete_epoch_within_the_log_is_refused(log: Path) -> None:
    lines = list(lines_of(THREE))
    del lines[10]
    message = refused(log, text_of(lines))
    assert ", line 7: epoch 1, which begins there, has no dev accuracy" in message


def test_a_log_may_lack_a_split(log: Path) -> None:
    found = parse(log, text_of(lines_of([(0.5, 0.25), (0.25, 0.5)])))
    assert list(summaries(found)) == ["train", "dev"]
    assert summary(found).splitlines()[0] == (
        "old: 2 epochs; train best 0.5000 (epoch 0), last 0.2500; "
        "dev best 0.5000 (epoch 1), last 0.5000"
    )


@pytest.mark.parametrize("content", ["", "加载模型\n", text_of(lines_of([(), ()]))])
def test_a_file_without_accuracy_lines_is_refused(log: Path, content: str) -> None:
    message = refused(log, content)
    assert message == (
        f"{log}: no accuracy line; expected lines such as '训练集top1 accuracy为0.2667' "
        "(训练集 train, 验证集 dev, 测试集 test), as the original study's scripts print them"
    )


# Truncated logs


@pytest.mark.parametrize("kept", [13, 15, 16, 17])
@pytest.mark.parametrize("opening", [True, False])
def test_a_last_epoch_without_all_its_figures_is_left_out(
    log: Path, kept: int, opening: bool
) -> None:
    lines = list(lines_of(THREE))[:kept]
    lines = lines if opening else [line for line in lines if "开始" not in line]
    found = parse(log, text_of(lines))
    assert values(found, "dev") == [0.125, 0.75]
    assert all(epoch.train_loss == 2.0 for epoch in found.epochs)
    if opening:
        missing = " and ".join(list(ROLES.values())[max(kept - 15, 0) :])
        assert found.source.notes == [
            f"line 13: epoch 2, which begins there, has no {missing} accuracy; left out, as the "
            "log ends in it"
        ]
    else:
        assert len(found.source.notes) == (0 if kept == 13 else 1)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_log_cut_at_any_byte_gives_no_false_figure(log: Path, encoding: str) -> None:
    """Cut anywhere in its last epoch it gives the epochs before, or the last as it would print."""
    epochs = [(1 / 3, 2 / 3, 1 / 7), (3 / 7, 4 / 15, 2.3333e-05), (5 / 7, 1 / 9, 6 / 7)]
    content = text_of(lines_of(epochs)).encode(encoding)
    start = len(text_of(lines_of(epochs[:2])).encode(encoding))
    lengths = set()
    for end in range(start, len(content)):
        found = parse(log, content[:end])
        lengths.add(len(found.epochs))
        for role, column in zip(ROLES.values(), zip(*epochs, strict=True), strict=True):
            kept = values(found, role)
            printed = [[f"{each:.4f}" for each in values_] for values_ in (kept, column)]
            assert printed[0] == printed[1][: len(kept)]
            assert kept[:2] == list(column[:2])
        assert found.source.encoding == {"utf-8": "UTF-8", "gb18030": "GB18030"}[encoding]
    assert lengths == {2, 3}


def test_a_number_that_may_be_cut_is_told(log: Path) -> None:
    text = text_of(lines_of([(1 / 3, 2 / 3, 0.125), (1 / 3, 2 / 3, 0.25)]))
    assert values(parse(log, text), "test")[-1] == 0.25
    found = parse(log, text.removesuffix("\n"))
    assert len(found.epochs) == 1
    assert found.source.notes[0] == (
        "line 12: left out, because the file ends within it and its number may be cut; if it is "
        "whole, end the file with a line break"
    )
    long = text_of(lines_of([(0.5, 0.5, 2 / 3)])).removesuffix("\n")
    assert values(parse(log, long), "test") == [2 / 3]


def test_a_last_number_as_short_as_others_is_taken_for_whole_and_told(log: Path) -> None:
    found = parse(log, text_of(lines_of(THREE)).removesuffix("\n"))
    assert values(found, "test") == [0.0, 0.5, 0.25]
    assert found.source.notes == [
        "line 18: the file ends within it; its number is taken for whole, as others of the file "
        "are as short"
    ]


def test_a_split_that_stands_nowhere_is_told(log: Path) -> None:
    lines = [line for line in lines_of(THREE) if "测试集" not in line]
    found = parse(log, text_of(lines))
    assert len(found.epochs) == 3
    assert found.source.notes == ["no test accuracy anywhere in the file"]
