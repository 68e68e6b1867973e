"""The configuration of a run: the base options of its cells, the matrix over them, the corpus, and
what the workflow needs to run it. Everything is checked before any job starts.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from counterpoint.config.corpus_options import CorpusOptions
from counterpoint.config.options import CellOptions
from counterpoint.config.scalars import Scalar
from counterpoint.config.section import NonNegative, Section

Axis = Annotated[list[Scalar], Field(min_length=1)]
Entry = Annotated[
    dict[str, Scalar | Annotated[list[Scalar], Field(min_length=1)]], Field(min_length=1)
]


class MatrixOptions(Section):
    """The cells: a grid of axes, less `exclude`, and what `include` adds.

    A file or `--config` that gives a matrix gives all of it: nothing is taken over from a matrix
    below, so naming one axis leaves every other option at its base value. An axis is named by an
    option's path (`retrieval_loss.margin`) or its last part where that is unambiguous (`margin`).
    """

    axes: dict[str, Axis] = {}
    """Option to values; the grid is their product.

    Without any axis the base options are the only cell, unless `include` names others."""
    include: list[Entry] = []
    """Further cells: options to a value, or to a list that is multiplied out."""
    exclude: list[Entry] = []
    """Drops those cells of the grid that agree with an entry in all that it names."""


class ResourceOptions(Section):
    """What a job asks for. Only the numbers of threads can change a result, by rounding."""

    threads: Annotated[int, Field(ge=1)] = 1
    """CPU threads of one cell, whatever --cores says."""
    encoding_threads: Annotated[int, Field(ge=1)] = 1
    """CPU threads of the rule that computes frozen features."""
    jobs_per_gpu: Annotated[int, Field(ge=1)] = 1
    """How many cells may lease one GPU of a workstation at the same time."""
    memory_mb: Annotated[int, Field(ge=256)] = 3000
    """Of one cell, in MB; grows with each retry."""
    runtime_minutes: Annotated[int, Field(ge=1)] = 60
    """Of one cell; grows with each retry."""
    cells_per_job: Annotated[int, Field(ge=1)] | None = None
    """Cells that one process trains, one after the other; `null`: with a live encoder one, frozen
    ones as many as keep the cores of a workstation busy to the end, or 20 on a cluster."""
    checkpoint_seconds: NonNegative = 30.0
    """Save a cell's state after an epoch where so many seconds of work are not saved yet."""
    checkpoint_steps: Annotated[int, Field(ge=1)] | None = None
    """Save a cell's state every so many steps too."""


class TableOptions(Section):
    """How tables are written; changing it trains nothing."""

    decimals: Annotated[int, Field(ge=0, le=4)] = 1
    """Of percentages in the Markdown and LaTeX tables."""
    axis: str | None = None
    """An option, named as an axis of the matrix is, whose values get a table of their own: what
    each gives on dev, and which is picked. Written where the matrix has several values of it."""
    intervals: bool = False
    """Whether scores in the LaTeX tables have their 95 % intervals as subscripts."""


class PlotOptions(Section):
    """How plots are written; changing it trains nothing."""

    format: Literal["png", "svg", "pdf"] = "png"
    """File format."""
    dpi: Annotated[int, Field(ge=50, le=600)] = 120
    """Dots an inch of PNG files."""


BaselineName = Literal["random", "tfidf", "bm25", "untrained", "hybrid-rrf", "hybrid"]

ENCODING_BASELINES = ("untrained", "hybrid-rrf", "hybrid")
"""Those that need the frozen outputs of the base options' encoder."""

RecipeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class RunConfig(CellOptions):
    """A whole configuration: the base options of every cell, and the run around them."""

    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of the run; everything it writes goes under results/RUN/."""
    corpus: CorpusOptions = CorpusOptions()
    """Where the debates come from."""
    matrix: MatrixOptions = MatrixOptions()
    """The cells."""
    recipes: dict[RecipeName, dict[str, Any]] = {}
    """Cells outside the matrix, by a name of their own: the sections and options in which each
    departs from the base options. They are laid beside the best cell and the baselines."""
    baselines: list[BaselineName] = ["random", "tfidf", "bm25", "untrained"]
    """Systems that nothing is trained for. `hybrid-rrf` and `hybrid` are the untrained encoder and
    BM25, fused by reciprocal ranks and by z-scores."""
    trackers: list[Literal["tensorboard", "mlflow"]] = []
    """Where each cell's epoch log is written too; extras to install. Changes no result."""
    resources: ResourceOptions = ResourceOptions()
    """What jobs ask for."""
    tables: TableOptions = TableOptions()
    """How tables are written."""
    plots: PlotOptions = PlotOptions()
    """How plots are written."""
