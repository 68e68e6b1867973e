"""What a run will cost, from what is there or from what jobs are said to cost."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from counterpoint.cli.main import main
from counterpoint.config import matrix
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.config.run_options import RunConfig
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.io import atomic
from counterpoint.results.files import Seconds
from counterpoint.runs.estimate import CellCost, Cost, Plan, plan
from counterpoint.runs.folder import RunFolder
from tests.support.miniature import configuration


class Told:
    """What jobs cost, as a test says."""

    def __init__(self, encoding: Cost, cell: CellCost) -> None:
        self._encoding, self._cell = encoding, cell
        self.asked: list[CellOptions] = []
        self.start_up = 0.0

    @property
    def notes(self) -> Sequence[str]:
        return ["a test"]

    def encoding(self, options: EncoderOptions) -> Cost:
        return self._encoding

    def cell(self, options: CellOptions) -> CellCost:
        self.asked.append(options)
        return self._cell


FREE = Cost(0, 0)


def told() -> Told:
    return Told(Cost(360, 5), CellCost(Cost(100, 7), Cost(10, 1)))


def estimate(config: RunConfig, folder: RunFolder, cores: int = 2) -> Plan:
    return plan(config, folder, told(), cores=cores)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Of a run of which nothing is there."""
    return RunFolder(tmp_path / "mini")


def finish(folder: RunFolder, name: str, seconds: float, size: int) -> None:
    """A cell whose files have so many bytes."""
    cell = folder.cell(name)
    atomic.write_json(cell.outcome, {})
    Seconds("", "", seconds).write(cell.seconds)
    there = sum(path.stat().st_size for path in cell.path.iterdir())
    atomic.write_text(cell.records, "x" * (size - there))


def test_finished_cells_give_the_hours_and_bytes_of_the_others(
    folder: RunFolder, tiny_bert: Path
) -> None:
    config = configuration(tiny_bert)
    names = [cell.name for cell in matrix.expand(config, "test")]
    finish(folder, names[0], 3600, 1000)
    finish(folder, names[1], 7200, 3000)
    measures = Told(Cost(0, 5), CellCost(FREE, FREE))
    two = plan(config, folder, measures, cores=2)
    assert measures.asked == []
    assert (two.cells, two.done, two.parallel) == (4, 2, 2)
    assert two.hours == 1.5 * 2 / 2  # the median, two cells to go, two at a time
    assert two.bytes == 1000 + 3000 + 2 * 2000 + 5
    assert two.measured_on == ["a test", "2 finished cells"]
    assert not two.at_most
    one_at_a_time = configuration(tiny_bert, resources={"threads": 2})
    assert plan(one_at_a_time, folder, measures, cores=3).hours == 3.0


def test_jobs_are_counted_by_rule(folder: RunFolder, tiny_bert: Path) -> None:
    """A live encoder needs tokens alone; the untrained baseline the base options' features."""
    config = configuration(
        tiny_bert,
        matrix={
            "axes": {"trainable": ["none", "all"], "max_tokens": [16, 32], "seed": [1, 2, 3]},
            "include": [{"pooling": "cls"}],
        },
    )
    assert estimate(config, folder).jobs == {
        "corpus": 1,
        "tokens": 3,  # 16, 32, and the 24 of the base options
        "features": 4,  # 16, 32, 24 with the first token, 24 for the baseline
        "train": 13,
        "baselines": 1,
        "summarise": 1,
    }


def test_more_epochs_take_longer_by_as_much(folder: RunFolder, tiny_bert: Path) -> None:
    """A cell's cost is a constant and a rate an epoch, whatever they were measured to be."""
    axes = {"epochs": [4, 40], "fusion": ["cls", "concat"]}
    whole = estimate(configuration(tiny_bert, matrix={"axes": axes}), folder)
    assert whole.hours == pytest.approx((2 * (140 + 500) / 2 + 360) / 3600)
    assert whole.bytes == 2 * (7 + 4) + 2 * (7 + 40) + 5


@pytest.mark.parametrize(("cells_per_job", "loads"), [(1, 12), (3, 4), (12, 1)])
def test_modules_are_loaded_once_a_job(
    folder: RunFolder, tiny_bert: Path, cells_per_job: int, loads: int
) -> None:
    config = configuration(
        tiny_bert,
        matrix={"axes": {"seed": list(range(12))}},
        resources={"cells_per_job": cells_per_job},
    )
    measures = Told(FREE, CellCost(FREE, FREE))
    measures.start_up = 3600.0
    assert plan(config, folder, measures, cores=2).hours == loads / 2


@pytest.mark.parametrize(
    ("axis", "values", "measured"),
    [
        ("batch_size", [4, 8], 2),
        ("projection.width", [8, "none"], 2),
        ("backend", ["exact", "balltree"], 2),
        ("margin", [0.5, 1.0], 1),
        ("seed", [1, 2], 1),
        ("decrease_rate", [0.0, 0.1], 1),
    ],
)
def test_what_sets_an_epochs_cost_is_measured_for_each(
    folder: RunFolder, tiny_bert: Path, axis: str, values: list[object], measured: int
) -> None:
    measures = told()
    plan(configuration(tiny_bert, matrix={"axes": {axis: values}}), folder, measures, cores=2)
    assert len(measures.asked) == measured


def test_a_control_that_may_stop_a_cell_makes_an_upper_bound(
    folder: RunFolder, tiny_bert: Path
) -> None:
    assert "time left    about" in estimate(configuration(tiny_bert), folder).text()
    bound = estimate(configuration(tiny_bert, stopping={}), folder)
    assert bound.at_most
    assert "time left    at most about" in bound.text()


def test_the_command_plans_a_run_and_a_configuration(
    folder: RunFolder, small: Corpus, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(tiny_bert, matrix={"axes": {"fusion": ["cls"]}}, baselines=["random"])
    write_arguments(small, folder.arguments)
    atomic.write_json(folder.config, config.model_dump(mode="json"))
    assert main(["plan", "--run", str(folder.path), "--cores", "1"]) == 0
    assert capsys.readouterr().out.startswith("cells        1, 0 of them done\n")
    arguments = ["--arguments", str(folder.arguments)]
    assert main(["plan", "--config", str(folder.config), *arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["run"], printed["cells"], printed["jobs"]["train"]) == ("mini", 1, 1)
    assert printed["hours"] > 0
