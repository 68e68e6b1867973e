"""The command that evaluates a system on any corpus."""

import argparse
from pathlib import Path

from counterpoint.cli.shared import (
    Commands,
    add_columns,
    add_run_or_only,
    add_threads,
    named_values,
    positive,
    print_notes,
)
from counterpoint.errors import InputError


def add_evaluate(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `evaluate`."""
    parser = commands.add_parser(
        "evaluate",
        help="evaluate a trained cell or a baseline on any corpus; export its rankings",
        description="Evaluate a trained cell or a baseline on another corpus, or again on the "
        "run's own, all tasks and protocols. Unseen are the queries whose texts the run's training "
        "folder lacks. A corpus in BEIR's layout is searched as a whole, without the query's own "
        "document, and again without documents that copy the query. Writes figures.csv, "
        "records.parquet (not for BEIR's layout) and, with --trec, rankings and judgements; prints "
        "the scores on all arguments.",
    )
    parser.add_argument(
        "system",
        metavar="SYSTEM",
        help="a cell's name as in tables/cells.csv, `best` (on dev), or baseline/NAME",
    )
    add_run_or_only(parser)
    parser.add_argument(
        "--corpus",
        metavar="PATH",
        help="folder or zip in the layout of ArguAna Counterargs or of BEIR, a file of pairs, or "
        "`sample` (default: the run's own)",
    )
    parser.add_argument(
        "--splits",
        nargs="+",
        default=[],
        metavar="SPLIT",
        help="of that corpus (default: all; dev and test of the run's own; test of BEIR's, one "
        "at a time)",
    )
    parser.add_argument(
        "--bad-files",
        choices=("stop", "skip"),
        help="what to do with what cannot be used of that corpus (default: stop; of BEIR's layout "
        "stop at lines that cannot be read, and tell what is merely missing, which BEIR's own "
        "evaluation passes over too)",
    )
    parser.add_argument(
        "--language",
        metavar="CODE",
        help="of that corpus, ISO 639-1 (default: the run's, or en)",
    )
    add_columns(parser)
    parser.add_argument(
        "--top-k",
        nargs="+",
        type=positive,
        default=[1],
        metavar="K",
        help="add accuracy, recall and nDCG at these K (not for BEIR's layout)",
    )
    parser.add_argument("--trec", action="store_true", help="write TREC qrels and runs too")
    add_threads(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="folder to write into (default: RUN/evaluations/SYSTEM/CORPUS)",
    )
    parser.set_defaults(command=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> None:
    import torch

    from counterpoint.evaluation.external import readable
    from counterpoint.io.text import markdown_table
    from counterpoint.reporting.scores import records_of
    from counterpoint.runs import devices, external
    from counterpoint.runs.folder import CellFolder

    torch.set_num_threads(arguments.threads)
    system, corpus = arguments.system, arguments.corpus
    run = external.run_for(system, arguments.run, corpus)
    out = arguments.out or external.default_folder(system, run, corpus)
    cell = None
    if not system.startswith(external.BASELINE):
        assert run is not None
        system, records = records_of(run, system)
        cell = CellFolder(records.parent)
    elif run is None and corpus is None:
        raise InputError(f"{system!r}: without a run only with --corpus; give --run or --corpus")
    with devices.device_for_job(jobs_per_gpu=1) as device:
        evaluated = external.ExternalEvaluation(
            system=system,
            cell=cell,
            run=run,
            corpus=corpus,
            splits=arguments.splits,
            device=torch.device(device),
            out=out,
            export=arguments.trec,
            bad_files=arguments.bad_files,
            language=arguments.language,
            columns=named_values("--columns", arguments.columns, "OURS=NAME"),
            top_k=arguments.top_k,
        ).write()
    best = [f"best: {system}"] if arguments.system == "best" else []
    print_notes([*best, *evaluated.notes])
    print(markdown_table(readable(evaluated.scores)), end="")
    print_notes([f"wrote {', '.join(evaluated.files)} into {out}"])
