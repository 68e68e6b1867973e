"""What is shown is made again when something has changed, and only then."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpoint.cli.main import main
from counterpoint.reporting import made
from counterpoint.runs.folder import RunFolder, read_run
from counterpoint.tasks.candidates import CandidateSets
from tests.support.runs import fail, finish

SHOWN = ("tables/summary.txt", "tables/claims.csv", "plots/rates.png", "report/index.html")


def inodes(run: Path) -> list[int]:
    """A file that is written anew is another one."""
    return [(run / name).stat().st_ino for name in SHOWN]


def summarise(run: Path, *of_plots: str) -> None:
    """As the command of that name, but in this process."""
    for command in (["tables"], ["plots", *of_plots], ["report"]):
        assert main([*command, "--run", str(run)]) == 0


def test_nothing_is_made_again_from_the_same(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summarise(run)
    before, said = inodes(run), capsys.readouterr().out
    summarise(run)
    assert inodes(run) == before
    assert capsys.readouterr().out == said
    assert said.startswith("Run mini: 3 of 5 cells trained.")


def add_records(run: Path, sets: CandidateSets) -> None:
    last = read_run(run).cells[-1]
    finish(last.folder, sets, [1])


def add_failure(run: Path, _: CandidateSets) -> None:
    last = read_run(run).cells[-1]
    fail(RunFolder(run), last.name, "InputError: also no")


def touch_a_log(run: Path, _: CandidateSets) -> None:
    log = read_run(run).cells[0].folder.epochs
    os.utime(log, ns=(1, 1))


def lose_tables_plots_and_page(run: Path, _: CandidateSets) -> None:
    for name in SHOWN:
        (run / name).unlink()


def change_the_code(_: Path, __: CandidateSets) -> None:
    pass


@pytest.mark.parametrize(
    "change", [add_records, add_failure, touch_a_log, lose_tables_plots_and_page, change_the_code]
)
def test_all_is_made_again_when_something_has_changed(
    run: Path,
    sets: CandidateSets,
    change: Callable[[Path, CandidateSets], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summarise(run)
    # Held, so that their numbers are not given to the new files.
    held = [(run / name).open("rb") for name in SHOWN]
    before = inodes(run)
    change(run, sets)
    if change is change_the_code:
        monkeypatch.setattr(made, "MADE_BY", ("reporting",))
    summarise(run)
    assert all(new != old for new, old in zip(inodes(run), before, strict=True))
    for stream in held:
        stream.close()


def test_other_options_make_again_what_they_are_of(run: Path) -> None:
    summarise(run)
    summary, claims, rates, page = inodes(run)
    held = [(run / name).open("rb") for name in SHOWN]
    summarise(run, "--dpi", "60")
    assert inodes(run)[:2] == [summary, claims]
    assert inodes(run)[2] != rates
    assert inodes(run)[3] == page
    for stream in held:
        stream.close()


def test_a_kill_between_two_files_leaves_none_that_counts(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shown"

    def die() -> list[Path]:
        (folder / "a").write_text("half")
        raise KeyboardInterrupt

    def whole() -> list[Path]:
        (folder / "a").write_text("whole")
        return [folder / "a"]

    look = read_run(run)
    assert made.once(look, folder, (), whole)
    assert not made.once(look, folder, (), whole)
    with pytest.raises(KeyboardInterrupt):
        made.once(look, folder, ("other",), die)
    assert made.once(look, folder, (), whole)
    assert (folder / "a").read_text() == "whole"
