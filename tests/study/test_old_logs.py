"""Imported logs: written beside the runs whole or not at all, and read back."""

import json
import os
import random
import re
from pathlib import Path

import pytest

from counterpoint.cli.main import main
from counterpoint.errors import InputError
from counterpoint.study import old_logs
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
    assert printed.out.count("\n") == 1
    name, rest = printed.out.rstrip("\n").split(": ", 1)
    assert name == "concat_decreased_0.01"
    count, *parts = rest.split("; ")
    assert count == "200 epochs"
    for part, role, column in zip(parts, ROLES.values(), zip(*epochs, strict=True), strict=True):
        found = re.fullmatch(r"(\w+) best (\d\.\d{4}) \(epoch (\d+)\), last (\d\.\d{4})", part)
        assert found is not None
        best = max(range(200), key=lambda epoch: column[epoch])
        expected = (role, f"{column[best]:.4f}", str(best), f"{column[-1]:.4f}")
        assert found.groups() == expected
    assert len(old_logs.read_imported(out)[name]) == 200


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
    assert old_logs.read_imported(out) == {"mine": read_log(log, "mine").epochs}
    source = json.loads((out / "mine" / "source.json").read_text())
    assert source["file"] == "old.log"
    assert (source["lines"], source["protocol"]) == (19, "legacy")
    printed = capsys.readouterr().err
    assert printed.startswith("counterpoint: old.log: line 19: epoch 3, which begins there, has no")


def test_an_import_that_was_cut_short_is_made_again(tmp_path: Path, log: Path) -> None:
    log.write_text(text_of(lines_of(THREE)))
    (tmp_path / "imported" / "old").mkdir(parents=True)
    (tmp_path / "imported" / "old" / "epochs.jsonl").write_text('{"epoch": 0}')
    import_logs([log], tmp_path / "imported")
    found = old_logs.read_imported(tmp_path / "imported")["old"]
    assert [epoch.epoch for epoch in found] == [0, 1, 2]


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
