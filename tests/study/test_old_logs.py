"""Imported logs: written beside the runs whole or not at all, and read back."""

import json
import os
import random
import re
from pathlib import Path

import pytest

from counterpoint.cli.main import main
from counterpoint.errors import InputError
from counterpoint.io.atomic import write_json, write_text
from counterpoint.study import old_logs
from counterpoint.study.log_summary import summary
from counterpoint.study.old_log import OldEpoch
from counterpoint.study.old_log_text import ROLES, read_log
from counterpoint.study.old_logs import import_logs
from tests.support.old_logs import THREE, lines_of, text_of

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "old.log"


def test_two_hundred_epochs_on_the_command_line(tmp_path: Path, capsys: Captured) -> None:
    numbers = random.Random(1)
    epochs = [tuple(numbers.random() for _ in ROLES) for _ in range(200)]
    log = tmp_path / "concat_decreased_0.01.log"
    log.write_text(text_of(lines_of(epochs, losses=tuple(numbers.random() for _ in range(50)))))
    out = tmp_path / "results" / "imported"
    assert main(["import-log", str(log), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    first, *by_split, meaning = printed.out.splitlines()
    assert by_split == [
        f"  {role}: n unknown: no n up to 5000 has every value as a multiple of 1/n"
        for role in ROLES.values()
    ]
    assert meaning.startswith("n is the number of queries")
    name, rest = first.split(": ", 1)
    assert name == "concat_decreased_0.01"
    count, *parts = rest.split("; ")
    assert count == "200 epochs"
    for part, role, column in zip(parts, ROLES.values(), zip(*epochs, strict=True), strict=True):
        found = re.fullmatch(r"(\w+) best (\d\.\d{4}) \(epoch (\d+)\), last (\d\.\d{4})", part)
        assert found is not None
        best = max(range(200), key=lambda epoch: column[epoch])
        expected = (role, f"{column[best]:.4f}", str(best), f"{column[-1]:.4f}")
        assert found.groups() == expected
    assert len(old_logs.read_imported(out)[name].epochs) == 200


STUDY = {"train": 255, "dev": 81, "test": 88}


def test_a_log_of_the_study_tells_that_it_asked_a_sixteenth_of_the_pairs(
    tmp_path: Path, log: Path, capsys: Captured
) -> None:
    numbers = random.Random(3)
    epochs = [tuple(numbers.randint(n // 2, n - 1) / n for n in STUDY.values()) for _ in range(30)]
    # The best and the last are known: 71 and 68 of 81.
    epochs[4] = (250 / 255, 71 / 81, 70 / 88)
    epochs = [(a, min(b, 71 / 81), c) for a, b, c in epochs]
    epochs[-1] = (241 / 255, 68 / 81, 66 / 88)
    log.write_text(text_of(lines_of(epochs)))
    out = tmp_path / "imported"
    assert main(["import-log", str(log), "--out", str(out)]) == 0
    _, train, dev, test, meaning = capsys.readouterr().out.splitlines()
    assert train.startswith("  train: n = 255 (")
    assert "each a multiple of 1/255; as many as ⌈4065/16⌉, the batches of ArguAna's" in train
    assert dev.startswith("  dev: n = 81 (")
    assert "each a multiple of 1/81; as many as ⌈1287/16⌉" in dev
    # Wilson's formula by hand: (k + z²/2 ± z √(k (n − k) / n + z²/4)) / (n + z²), z = 1.95996.
    assert dev.endswith("; best 87.7 (78.7–93.2), last 84.0 (74.5–90.4) in %")
    assert test.startswith("  test: n = 88 (")
    assert "asks the first ⌈N/16⌉ of a split's N pairs alone" in meaning
    read = old_logs.read_imported(out)["old"]
    assert {role: read.n(role) for role in STUDY} == STUDY
    assert read.source.protocol == "legacy-subset"


def test_a_log_over_all_pairs_is_of_scripts_that_somebody_has_mended(log: Path) -> None:
    numbers = random.Random(4)
    epochs = [tuple(numbers.randint(1, n - 1) / n for n in (4065, 1287, 1401)) for _ in range(9)]
    log.write_text(text_of(lines_of(epochs)))
    read = read_log(log, "old")
    assert (read.n("dev"), read.source.protocol) == (1287, "legacy")
    assert "n = 1287 (" in summary(read)
    assert "all pairs of ArguAna's validation split" in summary(read)


def test_few_values_are_told_as_few(log: Path) -> None:
    # 63 of 81 is 7 of 9; 1/2 is half of anything; 0 and 1 fit every n.
    log.write_text(text_of(lines_of([(0.5, 63 / 81, 1.0)])))
    _, train, dev, test = summary(read_log(log, "old")).splitlines()
    assert train == (
        "  train: n unknown: 1 different value of so few decimals fit n = 2, as any would by chance"
    )
    assert "n = 81 (1 different value, each a multiple of 1/9, so of 1/81 too; as many as" in dev
    assert test == "  test: n unknown: the values, 0 and 1, fit every n"


def test_a_log_may_say_what_it_was_trained_with(
    tmp_path: Path, log: Path, capsys: Captured
) -> None:
    log.write_text(text_of(lines_of(THREE)))
    out = tmp_path / "imported"
    command = ["import-log", str(log), "--out", str(out)]
    axes = ["--axis", "fusion=concat", "--axis", "mining.decrease_rate=1e-2", "--axis", "margin=2"]
    assert main(command) == 0
    assert main([*command, *axes]) == 0
    assert old_logs.read_imported(out)["old"].source.axes == {
        "fusion": "concat",
        "decrease_rate": 0.01,
        "retrieval_loss.margin": 2.0,
    }
    assert "stands in comparisons as fusion concat, decrease_rate 0.01" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (["fushion=concat"], "--axis fushion=concat: 'fushion' is no option of a cell; did you"),
        (["fusion=concatt"], "fusion: Input should be 'embedding', 'cls' or 'concat'"),
        (["decrease_rate=fast"], "mining.decrease_rate: Input should be a valid number"),
        (["head=relu", "head.hidden=0"], "head.hidden 0 leaves no layer for the ReLU"),
        (["fusion"], "--axis fusion: expected AXIS=VALUE, such as fusion=concat"),
        (["fusion=cls", "fusion=cls"], "--axis fusion=cls: fusion is given twice"),
    ],
)
def test_an_axis_or_value_that_is_none_is_refused(
    tmp_path: Path, log: Path, capsys: Captured, axes: list[str], message: str
) -> None:
    log.write_text(text_of(lines_of(THREE)))
    given = [part for axis in axes for part in ("--axis", axis)]
    assert main(["import-log", str(log), "--out", str(tmp_path / "imported"), *given]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "imported").exists()


def test_an_import_of_before_the_number_of_queries_was_known_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "imported" / "old"
    write_json(
        folder / "source.json",
        {
            "file": "old.log",
            "sha256": "0",
            "encoding": "UTF-8",
            "lines": 3,
            "protocol": "legacy",
            "notes": [],
        },
    )
    record = OldEpoch(0, None, {"dev": 0.8}).to_json("legacy")
    write_text(folder / "epochs.jsonl", json.dumps(record) + "\n")
    read = old_logs.read_imported(tmp_path / "imported")["old"]
    assert (read.epochs, read.n("dev")) == ([OldEpoch(0, None, {"dev": 0.8})], None)
    write_json(folder / "source.json", {})
    with pytest.raises(InputError, match=r"source\.json: not what .*import the log again"):
        old_logs.read_imported(tmp_path / "imported")


def test_what_is_written_is_reproducible_and_is_read_back(
    tmp_path: Path, log: Path, capsys: Captured
) -> None:
    log.write_text(text_of(lines_of(THREE)) + "开始第3个epoch的训练\n")
    out = tmp_path / "imported"
    contents = []
    for _ in range(2):
        assert main(["import-log", str(log), "--name", "mine", "--out", str(out)]) == 0
        contents.append([path.read_bytes() for path in sorted((out / "mine").iterdir())])
    assert contents[0] == contents[1]
    assert old_logs.read_imported(out) == {"mine": read_log(log, "mine")}
    source = json.loads((out / "mine" / "source.json").read_text())
    assert source["file"] == "old.log"
    assert (source["lines"], source["protocol"]) == (19, "legacy-subset")
    printed = capsys.readouterr().err
    assert printed.startswith("counterpoint: old.log: line 19: epoch 3, which begins there, has no")


def test_an_import_that_was_cut_short_is_made_again(tmp_path: Path, log: Path) -> None:
    log.write_text(text_of(lines_of(THREE)))
    (tmp_path / "imported" / "old").mkdir(parents=True)
    (tmp_path / "imported" / "old" / "epochs.jsonl").write_text('{"epoch": 0}')
    import_logs([log], tmp_path / "imported")
    found = old_logs.read_imported(tmp_path / "imported")["old"]
    assert [epoch.epoch for epoch in found.epochs] == [0, 1, 2]


def test_a_files_name_may_be_of_another_encoding(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + "旧.txt".encode("gbk")))
    path.write_text(text_of(lines_of(THREE)))
    import_logs([path], tmp_path / "imported", "mine")
    source = json.loads((tmp_path / "imported" / "mine" / "source.json").read_text())
    assert source["file"] == r"\xbe\xc9.txt"


def test_another_files_folder_is_not_overwritten(tmp_path: Path, log: Path) -> None:
    log.write_text(text_of(lines_of(THREE)))
    out = tmp_path / "imported"
    import_logs([log], out)
    before = (out / "old" / "epochs.jsonl").read_bytes()
    log.write_text(text_of(lines_of(THREE[:2])))
    with pytest.raises(InputError, match=r"old exists and was not made from this file; .*--name"):
        import_logs([log], out)
    (out / "cell").mkdir()
    (out / "cell" / "records.parquet").touch()
    with pytest.raises(InputError, match="cell exists and was not made from this file"):
        import_logs([log], out, "cell")
    assert (out / "old" / "epochs.jsonl").read_bytes() == before


def test_of_several_files_all_are_read_before_anything_is_written(
    tmp_path: Path, log: Path
) -> None:
    log.write_text(text_of(lines_of(THREE)))
    other = tmp_path / "other.log"
    other.write_text("nothing\n")
    with pytest.raises(InputError, match=r"other\.log: no accuracy line"):
        import_logs([log, other], tmp_path / "imported")
    assert not (tmp_path / "imported").exists()
    other.write_text(text_of(lines_of(THREE[:1])))
    found = import_logs([log, other], tmp_path / "imported")
    assert [(each.name, len(each.epochs)) for each in found] == [("old", 3), ("other", 1)]


def test_names_that_cannot_be_are_refused(tmp_path: Path, log: Path) -> None:
    log.write_text(text_of(lines_of(THREE)))
    out = tmp_path / "imported"
    for name in ("", ".", "..", "a/b", "../a", ".hidden", "a b", "a\nb", "-x"):
        with pytest.raises(InputError, match="cannot name a folder"):
            import_logs([log], out, name)
    with pytest.raises(InputError, match="--name mine: names one log, but 2 are given"):
        import_logs([log, log], out, "mine")
    with pytest.raises(InputError, match=r"would be named old, as .*old\.log is; give --name"):
        import_logs([log, tmp_path / "old.txt"], out)
    assert not out.exists()


def test_a_number_is_no_ending_of_a_files_name(tmp_path: Path) -> None:
    paths = [tmp_path / "decreased_0.01", tmp_path / "decreased_0.02", tmp_path / "日志.txt"]
    for path in paths:
        path.write_text(text_of(lines_of(THREE)))
    names = [log.name for log in import_logs(paths, tmp_path / "imported")]
    assert names == ["decreased_0.01", "decreased_0.02", "日志"]


def test_a_missing_file_is_refused_without_a_traceback(tmp_path: Path, capsys: Captured) -> None:
    assert main(["import-log", str(tmp_path / "no.log"), "--out", str(tmp_path)]) == 2
    assert "no.log: No such file" in capsys.readouterr().err
