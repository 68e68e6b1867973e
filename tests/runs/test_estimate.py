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
        self.tokens_of: list[EncoderOptions] = []
        self.start_up = 0.0

    @property
    def notes(self) -> Sequence[str]:
        return ["a test"]

    def encoding(self, options: EncoderOptions) -> Cost:
        return self._encoding

    def tokens(self, options: EncoderOptions) -> Cost:
        self.tokens_of.append(options)
        return TOKENS

    def cell(self, options: CellOptions) -> CellCost:
        self.asked.append(options)
        return self._cell


FREE = Cost(0, 0)
TOKENS = Cost(2, 3)


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


def second_stages(tiny_bert: Path, axes: dict[str, list[object]] | None = None) -> RunConfig:
    """Cells of two epochs with a cross-encoder each, over first stages of four."""
    return configuration(
        tiny_bert,
        reranker={
            "kind": "cross_encoder",
            "encoder": {"name": str(tiny_bert), "max_tokens": 16},
            "training": {"epochs": 2, "batch_size": 4},
        },
        matrix={"axes": axes or {}},
        baselines=[],
    )


def test_a_cross_encoder_is_a_job_of_its_own_behind_its_first_stage(
    folder: RunFolder, tiny_bert: Path
) -> None:
    measures = told()
    found = plan(second_stages(tiny_bert), folder, measures, cores=2)
    assert found.cells == 2
    assert found.jobs["train"] == 2
    assert found.jobs["tokens"] == 2  # the frozen first stage's, and those of the pairs
    assert [options.reads_pairs for options in measures.asked] == [False, True]
    assert [options.max_tokens for options in measures.tokens_of] == [16]
    # Four epochs, then two, one cell after the other, and the texts before.
    assert found.parallel == 1
    assert found.hours == pytest.approx(((100 + 40) + (100 + 20) + 360 + 2) / 3600)
    assert found.bytes == (7 + 4) + (7 + 2) + 5 + 3


def test_a_long_chain_is_not_shared_among_cores(folder: RunFolder, tiny_bert: Path) -> None:
    """Of four cells two wait for the others, so two run at a time."""
    found = plan(second_stages(tiny_bert, {"seed": [1, 2]}), folder, told(), cores=8)
    assert (found.cells, found.parallel) == (4, 2)
    assert found.hours == pytest.approx((140 + 120 + 362) / 3600)


def test_a_finished_first_stage_tells_nothing_of_the_second(
    folder: RunFolder, tiny_bert: Path
) -> None:
    config, measures = second_stages(tiny_bert), told()
    first, second = matrix.all_cells(config, "test")
    finish(folder, first.name, 3600, 1000)
    found = plan(config, folder, measures, cores=2)
    assert [options.reads_pairs for options in measures.asked] == [True]
    assert found.hours == pytest.approx((120 + 362) / 3600)
    assert found.bytes == 1000 + 9 + 8
    assert found.measured_on == ["a test"]
    assert second.first == first.name


@pytest.mark.parametrize(
    ("axes", "measured"),
    [
        ({"reranker.mining.negatives": [1, 2]}, 3),
        ({"reranker.training.batch_size": [2, 4]}, 3),
        ({"reranker.encoder.max_tokens": [8, 16]}, 3),
        ({"evaluation.rerank": [2, 4]}, 4),  # of the first stages too
        ({"reranker.training.epochs": [1, 2]}, 2),
        ({"reranker.training.learning_rate": [1e-3, 1e-4]}, 2),
    ],
)
def test_what_sets_a_cross_encoders_cost_is_measured_for_each(
    folder: RunFolder, tiny_bert: Path, axes: dict[str, list[object]], measured: int
) -> None:
    measures = told()
    plan(second_stages(tiny_bert, axes), folder, measures, cores=2)
    assert len(measures.asked) == measured


def test_a_control_that_may_stop_a_cell_makes_an_upper_bound(
    folder: RunFolder, tiny_bert: Path
) -> None:
    assert "time left    about" in estimate(configuration(tiny_bert), folder).text()
    bound = estimate(configuration(tiny_bert, stopping={}), folder)
    assert bound.at_most
    assert "time left    at most about" in bound.text()


@pytest.mark.parametrize(
    ("baselines", "features"), [(["bm25"], 0), (["hybrid"], 1), (["untrained", "hybrid-rrf"], 1)]
)
def test_baselines_with_an_encoder_need_its_features(
    folder: RunFolder, tiny_bert: Path, baselines: list[str], features: int
) -> None:
    axes = {"trainable": ["all"], "fusion": ["cls"]}
    config = configuration(tiny_bert, matrix={"axes": axes}, baselines=baselines)
    assert estimate(config, folder).jobs["features"] == features


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
