"""Commands that show what came out."""

import argparse
import subprocess
import sys
from pathlib import Path

from counterpoint.cli.shared import (
    Commands,
    add_run,
    add_run_or_only,
    not_negative,
    positive,
    print_notes,
)


def add_tables(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `tables`."""
    parser = commands.add_parser(
        "tables",
        help="make the tables of a run from whatever records exist",
        description="Write the tables of a run into its folder tables/: scores (cells.csv), "
        "every epoch (curves.csv), comparison, strategies, seeds, protocols, tasks, one axis and "
        "imported logs (Markdown; CSV and LaTeX of some), the claims and their verdicts, and a "
        "summary, which is printed. Trains nothing.",
    )
    add_run(parser)
    add_table_options(parser)
    parser.set_defaults(command=_tables)


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the tables' numbers."""
    parser.add_argument(
        "--decimals", type=not_negative, default=1, help="of percentages (default: 1)"
    )
    parser.add_argument(
        "--intervals",
        action="store_true",
        help="give the scores of the LaTeX tables their 95 %% intervals as subscripts",
    )


def _tables(arguments: argparse.Namespace) -> None:
    from counterpoint.reporting import tables
    from counterpoint.runs import folder as folder_module

    run = folder_module.read_run(arguments.run)
    print(tables.write_tables(run, arguments.decimals, intervals=arguments.intervals), end="")


def add_compare(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `compare`."""
    parser = commands.add_parser(
        "compare",
        help="compare two systems of a run, paired over debates",
        description="Print a table of two systems of a run on the same queries: the metric of each "
        "in %, the difference with its 95 % interval (bootstrap over debates, 10,000 resamples) "
        "and p-value, Holm-corrected over the table.",
    )
    names = "a cell's name as in tables/cells.csv, `best` (on dev), or baseline/NAME"
    parser.add_argument("first", metavar="A", help=names)
    parser.add_argument("second", metavar="B", help="likewise")
    add_run_or_only(parser)
    parser.add_argument(
        "--over-seeds",
        action="store_true",
        help="let A and B stand for all cells that differ from them in the seed alone, and compare "
        "seed by seed: mean difference, its 95 %% t interval and p-value",
    )
    parser.add_argument(
        "--metric",
        default="accuracy@1",
        help="mrr, or accuracy@K, recall@K or ndcg@K for any K (default: %(default)s)",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table here too")
    parser.set_defaults(command=_compare)


def _compare(arguments: argparse.Namespace) -> None:
    from counterpoint.io import atomic
    from counterpoint.io import text as text_module
    from counterpoint.reporting import compare
    from counterpoint.runs import folder as folder_module

    run = folder_module.read_run(arguments.run or folder_module.find_run())
    function = compare.compare_over_seeds if arguments.over_seeds else compare.compare
    rows = function(run, arguments.first, arguments.second, metric=arguments.metric)
    if arguments.csv is not None:
        atomic.write_text(arguments.csv, text_module.csv_text(compare.rows(rows)))
    print_notes(compare.notes(run, (arguments.first, arguments.second), rows))
    print(text_module.markdown_table(compare.readable(rows)), end="")


def add_leak(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `leak`."""
    parser = commands.add_parser(
        "leak",
        help="what training on texts of dev and test was worth to a cell",
        description="Print one cell trained on all pairs beside the same cell of a decontaminated "
        "run, on all queries, on unseen ones, and by the protocol that leaks the answer: "
        "accuracy@1 in % on epa, the paired difference with its interval and p-value.",
    )
    parser.add_argument("cell", metavar="CELL", help="a cell's name, or `best` (of --run, on dev)")
    add_run(parser)
    parser.add_argument(
        "--without",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the run with corpus.decontaminate: train",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table here too")
    parser.set_defaults(command=_leak)


def _leak(arguments: argparse.Namespace) -> None:
    from counterpoint.io import atomic
    from counterpoint.io import text as text_module
    from counterpoint.reporting import compare, contamination
    from counterpoint.runs import folder as folder_module

    run, without = folder_module.read_run(arguments.run), folder_module.read_run(arguments.without)
    rows = contamination.leak(run, without, arguments.cell)
    if arguments.csv is not None:
        atomic.write_text(arguments.csv, text_module.csv_text(compare.rows(rows)))
    print_notes(compare.notes(run, (arguments.cell,), rows))
    print(text_module.markdown_table(contamination.readable(rows)), end="")


def add_import_log(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `import-log`."""
    parser = commands.add_parser(
        "import-log",
        help="read text logs of the original study's scripts, to be shown beside new runs",
        description="Read text logs of the original study's scripts (UTF-8 or GB18030) into the "
        "epoch log, marked as protocol legacy-subset, which leaks the answer. Writes "
        "NAME/epochs.jsonl and NAME/source.json. Prints for each log its epochs, and for train, "
        "dev and test the best accuracy, its epoch counted from 0, the last, and over how many "
        "queries they are, with 95 % intervals. Tables and plots of every run that has that folder "
        "beside it show them.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="the logs")
    parser.add_argument("--name", help="of the log, where there is one (default: the file's)")
    parser.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="AXIS=VALUE",
        help="what the logs were trained with, such as fusion=concat or decrease_rate=0.01, once "
        "for each axis; logs with axes stand in the comparisons of runs, marked as imported",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/imported"),
        metavar="DIR",
        help="folder of the imported logs; runs look in `imported` beside their own folder "
        "(default: %(default)s)",
    )
    parser.set_defaults(command=_import_log)


def _import_log(arguments: argparse.Namespace) -> None:
    from counterpoint.study import log_axes, log_summary, old_logs

    axes = log_axes.read_axes(arguments.axis)
    for log in old_logs.import_logs(arguments.files, arguments.out, arguments.name, axes):
        print_notes(f"{log.source.file}: {note}" for note in log.source.notes)
        print(log_summary.summary(log))
    print(log_summary.MEANING)


def add_plots(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `plots`."""
    parser = commands.add_parser(
        "plots",
        help="draw a run's figures from whatever logs and records exist",
        description="Draw accuracy@1 against epoch for train, dev and test, one figure a fusion "
        "and head, the decrease rates as lines; accuracy@1 on dev against the decrease rate, with "
        "intervals; and fusion by head as a heat map.",
    )
    add_run(parser)
    add_plot_options(parser)
    parser.set_defaults(command=_plots)


def add_plot_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the plots' files."""
    parser.add_argument(
        "--format", choices=("png", "svg", "pdf"), default="png", help="of the files (default: png)"
    )
    parser.add_argument("--dpi", type=positive, default=120, help="of png (default: 120)")


def _plots(arguments: argparse.Namespace) -> None:
    from counterpoint.reporting import plots
    from counterpoint.runs import folder as folder_module

    plots.draw(folder_module.read_run(arguments.run), arguments.format, arguments.dpi)


def add_report(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `report`."""
    parser = commands.add_parser(
        "report",
        help="make one page to look at from whatever a run has",
        description="Write report/index.html into a run's folder: one page that opens from disk, "
        "with the answer, the comparison, charts, claims, baselines, the corpus, example queries "
        "and what failed. Makes the run's tables first where records are newer. Trains nothing.",
    )
    add_run(parser)
    add_table_options(parser)
    parser.set_defaults(command=_report)


def _report(arguments: argparse.Namespace) -> None:
    from counterpoint.reporting import tables
    from counterpoint.reporting.page import build
    from counterpoint.runs import folder as folder_module

    run = folder_module.read_run(arguments.run)
    tables.write_tables(run, arguments.decimals, intervals=arguments.intervals)
    print(f"report: {build.write_report(run, arguments.decimals)}")


def add_summarise(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `summarise`."""
    parser = commands.add_parser(
        "summarise",
        help="make tables, plots and report of a run in one go",
        description="What `tables`, `plots` and `report` do; the plots beside the others.",
    )
    add_run(parser)
    add_table_options(parser)
    add_plot_options(parser)
    parser.set_defaults(command=_summarise)


def _summarise(arguments: argparse.Namespace) -> None:
    # Drawing takes as long as the rest, and shares nothing with it but the scores.
    command = [sys.executable, "-m", "counterpoint", "plots", "--run", str(arguments.run)]
    command += ["--format", arguments.format, "--dpi", str(arguments.dpi)]
    with subprocess.Popen(command) as drawing:
        _tables(arguments)
        _report(arguments)
    if drawing.returncode:
        sys.exit(drawing.returncode)
