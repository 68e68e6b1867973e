"""A run's report: one page that opens from disk, made from its tables, logs and records.

Scores are read from `tables/`, never computed again; only the answer at the top pairs two systems.
"""

from pathlib import Path

import jinja2
from markupsafe import Markup

from counterpoint.evaluation.records import SPLITS
from counterpoint.io.atomic import write_text
from counterpoint.reporting.made import once
from counterpoint.reporting.overview import Overview
from counterpoint.reporting.page.answer import answer
from counterpoint.reporting.page.charts import data
from counterpoint.reporting.page.contents import Contents
from counterpoint.reporting.page.facts import facts
from counterpoint.reporting.page.queries import queries
from counterpoint.reporting.page.sections import audit, baseline_rows, claim_rows, untrained
from counterpoint.reporting.scores import SHOWN, read_scores
from counterpoint.runs.folder import Run
from counterpoint.tasks.protocols import PROTOCOLS

SCRIPTS = ("base.js", "table.js", "charts.js", "epochs.js", "start.js")
"""Parts of the page's script, in order; they are one function."""


def write_report(run: Run, decimals: int) -> Path:
    """Write `report/index.html` from the run's tables, which must be there; return its path.

    Nothing is written where it is there and nothing has changed since.

    Raises:
        InputError: the tables, a log or the corpus's table cannot be used.
    """

    def make() -> list[Path]:
        write_text(run.folder.report, page(contents_of(run, decimals)))
        return [run.folder.report]

    once(run, run.folder.report.parent, ("page", decimals), make)
    return run.folder.report


def contents_of(run: Run, decimals: int) -> Contents:
    """Read the run's tables.

    Raises:
        InputError: there are none.
    """
    return Contents(Overview(run, read_scores(run)), decimals)


def page(contents: Contents) -> str:
    """The whole page as HTML."""
    # Imported here, because it takes longer than all the rest of this module's imports.
    from plotly.offline import get_plotlyjs

    loader = jinja2.PackageLoader("counterpoint.reporting", "page")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def source(name: str) -> str:
        return loader.get_source(environment, name)[0]

    overview = contents.overview
    return environment.get_template("page.html").render(
        run=contents.run,
        answer=answer(contents),
        few_unseen=contents.overview.few_unseen,
        untrained=untrained(contents),
        claims=claim_rows(contents),
        baselines=baseline_rows(contents),
        notes=overview.notes,
        splits=SPLITS,
        protocols=[PROTOCOLS[name].label for name in SHOWN],
        audit=audit(contents.run),
        queries=queries(contents),
        facts=facts(contents.run),
        best=contents.labels.get(overview.best or ""),
        asked=contents.asked,
        ceiling=overview.ceiling_name,
        ceiling_of=overview.ceiling_of,
        plotly=Markup(get_plotlyjs()),
        data=data(contents),
        css=Markup(source("page.css")),
        js=Markup("".join(source(name) for name in SCRIPTS)),
    )
