"""The command line: one subcommand a rule of the workflow, each of use by hand.

Modules are imported inside the commands, so that `--help` answers at once and a cell on frozen
features never loads what it does not need.
"""

import argparse
import dataclasses
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from counterpoint import __version__
from counterpoint.errors import InputError, Interrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status.

    0, 2 for input that cannot be used, or 75 for a job that was asked to stop and can go on.
    """
    parsed = _parser().parse_args(arguments)
    try:
        parsed.command(parsed)
    except InputError as error:
        print(f"counterpoint: {error}", file=sys.stderr)
        return 2
    except Interrupted as error:
        print(f"counterpoint: {error}", file=sys.stderr)
        return Interrupted.STATUS
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"counterpoint: {named}", file=sys.stderr)
        return 2
    return 0


def run() -> None:
    """The console command."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that has no sign for a name or a δ must end no command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="counterpoint",
        description="Find the best counterargument, and find out which way of training works.",
        epilog="The whole matrix: snakemake --cores all --configfile config/arguana.yaml",
    )
    parser.add_argument("--version", action="version", version=f"counterpoint {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        _add_matrix,
        _add_corpus,
        _add_tasks,
        _add_synthesize,
        _add_tokens,
        _add_features,
        _add_train,
        _add_baseline,
        _add_plan,
        _add_status,
        _add_tables,
        _add_compare,
        _add_leak,
        _add_evaluate,
        _add_import_log,
        _add_plots,
        _add_report,
        _add_clean,
        _add_schema,
    ):
        add(commands)
    return parser


Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add_matrix(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "matrix",
        help="expand a configuration into its cells",
        description="Validate a whole configuration and expand its matrix. Writes matrix.csv (a "
        "cell a row) and config.json (every option, defaults included) into a folder.",
    )
    parser.add_argument(
        "--config",
        required=True,
        metavar="JSON|FILE",
        help="the configuration, as JSON or a file of it",
    )
    _add_out(parser, "folder to write into")
    parser.set_defaults(command=_matrix)


def _matrix(arguments: argparse.Namespace) -> None:
    from counterpoint import config, files, formats, matrix

    read = config.load_options(config.RunConfig, arguments.config, "--config")
    rows = matrix.rows(matrix.expand(read, "--config"))
    files.write_text(arguments.out / "matrix.csv", formats.csv_text(rows))
    files.write_json(arguments.out / "config.json", read.model_dump(mode="json"))


def _add_corpus(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "corpus",
        help="read a corpus into one table of arguments, and audit it",
        description="Read a corpus in the layout of ArguAna Counterargs. Writes arguments.parquet, "
        "audit.csv, audit.md and problems.txt into a folder.",
    )
    source = parser.add_mutually_exclusive_group()
    _add_source(source)
    source.add_argument("--url", help="download the zip from here instead")
    parser.add_argument("--sha256", help="checksum of the file at --url")
    parser.add_argument(
        "--splits",
        nargs="+",
        metavar="ROLE=FOLDER",
        default=["train=training", "dev=validation", "test=test"],
        help="the folder of each role (default: %(default)s)",
    )
    parser.add_argument(
        "--bad-files",
        choices=("stop", "skip"),
        default="stop",
        help="what to do with files that cannot be used (default: %(default)s)",
    )
    parser.add_argument(
        "--decontaminate",
        choices=("none", "train"),
        default="none",
        help="train: leave out training pairs that share a text with dev or test "
        "(default: %(default)s)",
    )
    _add_out(parser, "folder to write into")
    parser.set_defaults(command=_corpus)


def _add_source(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--corpus",
        metavar="PATH",
        default="sample",
        help="folder or zip that holds the corpus, a file of pairs (CSV, JSON lines), $VARIABLE, "
        "or `sample` (default: %(default)s)",
    )


def _add_out(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=what)


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=_positive, default=1, help="CPU threads (default: 1)")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--arguments",
        type=Path,
        required=True,
        metavar="FILE",
        help="arguments.parquet, as `counterpoint corpus` writes it",
    )


def _add_options(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--options",
        default="{}",
        metavar="JSON|FILE",
        help=f"{what}, as JSON or a file of it; what is left out has its default",
    )


def _positive(text: str) -> int:
    return _at_least(1, text)


def _not_negative(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of at least {least}, found {text!r}"
        )
    return int(text)


def _corpus(arguments: argparse.Namespace) -> None:
    from counterpoint import audit, config, corpus, files, formats, layouts, sources

    options = config.parse(
        config.CorpusOptions,
        {
            "path": None if arguments.url else arguments.corpus,
            "url": arguments.url,
            "sha256": arguments.sha256,
            "splits": _roles(arguments.splits),
            "bad_files": arguments.bad_files,
            "decontaminate": arguments.decontaminate,
        },
        "arguments of `counterpoint corpus`",
    )
    if options.sha256 is not None and options.url is None:
        raise InputError("--sha256: goes with --url alone; a local corpus is not checked")
    if options.url is not None and options.sha256 is not None:
        path = str(sources.download(options.url, options.sha256))
    else:
        path = str(options.path)
    roles = options.splits.model_dump()
    read, problems = layouts.read(path, roles, skip=options.bad_files == "skip")
    read = dataclasses.replace(read, decontaminate=options.decontaminate)
    rows = audit.audit(read)
    corpus.write_arguments(read, arguments.out / "arguments.parquet")
    files.write_text(arguments.out / "audit.csv", formats.csv_text(rows))
    files.write_text(arguments.out / "audit.md", formats.markdown_table(rows))
    lines = [f"{problem}\n" for problem in problems]
    files.write_text(arguments.out / "problems.txt", "".join(lines))
    if problems:
        print(f"counterpoint: left out {len(problems)} bad files or rows:", file=sys.stderr)
        print("".join(lines), end="", file=sys.stderr)
    print(formats.markdown_table(rows), end="")


def _roles(pairs: Sequence[str]) -> dict[str, str]:
    roles = {}
    for pair in pairs:
        role, equals, folder = pair.partition("=")
        if not equals or not folder:
            raise InputError(f"--splits: expected ROLE=FOLDER, found {pair!r}")
        roles[role] = folder
    return roles


def _add_tasks(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "tasks",
        help="count the candidates of the eight tasks in one split",
        description="Count the queries of a split, and the query-candidate pairs of each task "
        "(protocol official, gold included).",
    )
    _add_source(parser)
    parser.add_argument("--split", required=True, metavar="FOLDER", help="folder of the split")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.set_defaults(command=_tasks)


def _tasks(arguments: argparse.Namespace) -> None:
    from counterpoint import layouts, tasks

    read = layouts.read_all(arguments.corpus, [arguments.split])
    pool = tasks.pool_of(read.split(arguments.split), read.text_number, frozenset())
    counts = {"queries": pool.pairs, **tasks.totals(pool)}
    if arguments.json:
        print(json.dumps(counts))
    else:
        for name, count in counts.items():
            print(f"{name:8}{count:12,}")


def _add_synthesize(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "synthesize",
        help="write a made-up corpus of any size with planted structure",
        description="Write a corpus in the layout of ArguAna Counterargs whose right answers are "
        "known: the words of a counter are planted from those of its point.",
    )
    parser.add_argument("--pairs", type=_positive, required=True, help="pairs in all three splits")
    parser.add_argument(
        "--seed", type=_not_negative, default=1, help="of its random numbers (default: 1)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="folder to write; must not exist, or be empty (default: synthetic-PAIRS-SEED)",
    )
    parser.set_defaults(command=_synthesize)


def _synthesize(arguments: argparse.Namespace) -> None:
    from counterpoint import synthesize

    out = arguments.out or Path(f"synthetic-{arguments.pairs}-{arguments.seed}")
    synthesize.write_corpus(out, pairs=arguments.pairs, seed=arguments.seed)


def _add_tokens(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "tokens",
        help="tokenise every unique text of a corpus once",
        description="Tokenise every unique text of a corpus (safetensors).",
    )
    _add_arguments(parser)
    _add_options(parser, "options of the encoder")
    _add_out(parser, "file to write")
    parser.set_defaults(command=_tokens)


def _tokens(arguments: argparse.Namespace) -> None:
    from counterpoint import config, corpus, encoder

    options = config.load_options(config.EncoderOptions, arguments.options)
    read = corpus.read_arguments(arguments.arguments)
    encoder.write_tokens(encoder.tokenise(read, options), read, arguments.out, options)


def _add_features(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "features",
        help="compute the untrained encoder's outputs for every unique text",
        description="Compute the untrained encoder's outputs for every unique text (safetensors); "
        "they serve every cell with encoder.trainable: none.",
    )
    _add_arguments(parser)
    parser.add_argument(
        "--tokens", type=Path, required=True, metavar="FILE", help="as `counterpoint tokens` writes"
    )
    _add_options(parser, "options of the encoder")
    _add_threads(parser)
    _add_jobs_per_gpu(parser)
    _add_out(parser, "file to write")
    parser.set_defaults(command=_features)


def _add_jobs_per_gpu(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jobs-per-gpu",
        type=_positive,
        default=1,
        help="jobs that may share one GPU of this machine (default: 1)",
    )


def _features(arguments: argparse.Namespace) -> None:
    import torch

    from counterpoint import config, corpus, devices, encoder, live_encoder

    options = config.load_options(config.EncoderOptions, arguments.options)
    torch.set_num_threads(arguments.threads)
    read = corpus.read_arguments(arguments.arguments)
    tokens = encoder.read_tokens(arguments.tokens, read, options)
    with devices.device_for_job(arguments.jobs_per_gpu) as device:
        devices.keep_freed_memory()
        found = live_encoder.frozen_features(read, tokens, options, torch.device(device))
    encoder.write_features(found, read, arguments.out, options)


def _add_train(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "train",
        help="train and evaluate one cell",
        description="Train one cell and evaluate it at its best epoch. Writes epochs.jsonl, "
        "records.parquet, model.safetensors, options.json, outcome.json, provenance.json and "
        "seconds.json into a folder.",
    )
    _add_arguments(parser)
    inputs = parser.add_mutually_exclusive_group(required=True)
    inputs.add_argument("--features", type=Path, metavar="FILE", help="frozen encoder: its outputs")
    inputs.add_argument("--tokens", type=Path, metavar="FILE", help="live encoder: its tokens")
    _add_options(parser, "options of the cell")
    _add_threads(parser)
    _add_jobs_per_gpu(parser)
    parser.add_argument(
        "--state",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for what a running job leaves; of this cell alone",
    )
    parser.add_argument(
        "--checkpoint-steps",
        type=_positive,
        metavar="N",
        help="save the state every N steps too, and not after each epoch alone",
    )
    parser.add_argument(
        "--tracker",
        action="append",
        choices=("tensorboard", "mlflow"),
        default=[],
        help="write the epoch log there too, into the folder of the run; may be repeated; each "
        "is an extra to install",
    )
    _add_out(parser, "folder to write into")
    parser.set_defaults(command=_train)


def _train(arguments: argparse.Namespace) -> None:
    from counterpoint import config, job

    options = config.load_options(config.CellOptions, arguments.options)
    job.Job(
        options=options,
        arguments=arguments.arguments,
        features=arguments.features,
        tokens=arguments.tokens,
        threads=arguments.threads,
        jobs_per_gpu=arguments.jobs_per_gpu,
        state=arguments.state,
        out=arguments.out,
        checkpoint_steps=arguments.checkpoint_steps,
        tracker_names=arguments.tracker,
    ).run()


def _add_baseline(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "baseline",
        help="evaluate a system that nothing is trained for",
        description="Evaluate a baseline on the dev and test splits (records.parquet).",
    )
    parser.add_argument("name", help="random, tfidf, bm25 or untrained")
    _add_arguments(parser)
    parser.add_argument("--features", type=Path, metavar="FILE", help="for untrained")
    _add_threads(parser)
    _add_out(parser, "file to write")
    parser.set_defaults(command=_baseline)


def _baseline(arguments: argparse.Namespace) -> None:
    import torch

    from counterpoint import baselines, corpus, evaluation

    torch.set_num_threads(arguments.threads)
    read = corpus.read_arguments(arguments.arguments)
    records = baselines.evaluate_baseline(arguments.name, read, arguments.features)
    evaluation.write_records(records, arguments.out)


def _add_plan(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "plan",
        help="estimate what a run will cost: cells, jobs, hours, disk",
        description="Print the number of cells, the jobs by rule, and an estimate of the hours "
        "that are left and of the disk space: from finished cells, or else from a few epochs that "
        "are measured here and now. Says what it was measured on.",
    )
    run = parser.add_mutually_exclusive_group(required=True)
    run.add_argument(
        "--config", metavar="JSON|FILE", help="the configuration, as JSON or a file of it"
    )
    run.add_argument("--run", type=Path, metavar="DIR", help="folder of a run, results/RUN")
    parser.add_argument(
        "--arguments",
        type=Path,
        metavar="FILE",
        help="arguments.parquet (default: the run's; where it has none yet the corpus is read)",
    )
    parser.add_argument(
        "--cores",
        type=_positive,
        default=os.cpu_count(),
        help="that snakemake will get (default: all, %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.set_defaults(command=_plan)


def _plan(arguments: argparse.Namespace) -> None:
    import torch

    from counterpoint import config, devices, plan

    text = arguments.config or str(arguments.run / "config.json")
    read = config.load_options(config.RunConfig, text, "--config")
    with devices.device_for_job(read.resources.jobs_per_gpu) as device:
        found = plan.plan(
            read,
            arguments.run or Path("results") / read.run,
            arguments=arguments.arguments,
            cores=arguments.cores,
            device=torch.device(device),
        )
    print(json.dumps(dataclasses.asdict(found)) + "\n" if arguments.json else found.text(), end="")


def _add_status(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "status",
        help="where a run stands: a grid of its cells, what failed, the time left",
        description="Print a run's cells as a grid (done, running with epoch and time left, "
        "failed, diverged, waiting), the failed ones with reason and log, and an estimate of the "
        "time left. Disturbs no job.",
    )
    _add_run_or_only(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--watch",
        type=_positive,
        nargs="?",
        const=5,
        metavar="SECONDS",
        help="look again every so many seconds (default: 5), until all cells have ended or Ctrl-C",
    )
    how.add_argument("--failed", action="store_true", help="print the failed cells alone")
    parser.set_defaults(command=_status)


def _status(arguments: argparse.Namespace) -> None:
    from counterpoint import status, tables

    folder = arguments.run or tables.find_run()
    clear = "\x1b[H\x1b[2J" if sys.stdout.isatty() else ""
    if arguments.watch is not None:
        status.watch(folder, arguments.watch, lambda text: print(clear + text, flush=True))
        return
    run = tables.read_run(folder)
    print(status.failures(run, status.look(run)) if arguments.failed else status.text(run), end="")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="folder of the run, results/RUN"
    )


def _add_tables(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "tables",
        help="make the tables of a run from whatever records exist",
        description="Write the tables of a run into its folder tables/: figures (cells.csv), "
        "comparison, strategies, seeds, protocols, tasks, margins and imported logs (Markdown; CSV "
        "and LaTeX of some), the claims and their verdicts, and a summary, which is printed. "
        "Trains nothing.",
    )
    _add_run(parser)
    _add_table_options(parser)
    parser.set_defaults(command=_tables)


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decimals", type=_not_negative, default=1, help="of percentages (default: 1)"
    )
    parser.add_argument(
        "--intervals",
        action="store_true",
        help="give the figures of the LaTeX tables their 95 %% intervals as subscripts",
    )


def _tables(arguments: argparse.Namespace) -> None:
    from counterpoint import claims, latex_tables, markdown_tables, tables

    run, folder = tables.read_run(arguments.run), arguments.run / "tables"
    found = tables.overview(run)
    summary = markdown_tables.write_tables(found, folder, arguments.decimals)
    latex_tables.write_latex(found, folder, arguments.decimals, intervals=arguments.intervals)
    claims.write_claims(run, folder, arguments.decimals)
    print(summary, end="")


def _add_compare(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "compare",
        help="compare two systems of a run, paired over debates",
        description="Print a table of two systems of a run on the same queries: accuracy@1 of each "
        "in %, the difference with its 95 % interval (bootstrap over debates, 10,000 resamples) "
        "and p-value, Holm-corrected over the table.",
    )
    names = "a cell's name as in tables/cells.csv, `best` (on dev), or baseline/NAME"
    parser.add_argument("first", metavar="A", help=names)
    parser.add_argument("second", metavar="B", help="likewise")
    _add_run_or_only(parser)
    parser.add_argument(
        "--over-seeds",
        action="store_true",
        help="let A and B stand for all cells that differ from them in the seed alone, and compare "
        "seed by seed: mean difference, its 95 %% t interval and p-value",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table here too")
    parser.set_defaults(command=_compare)


def _compare(arguments: argparse.Namespace) -> None:
    from counterpoint import compare, files, formats, tables

    run = tables.read_run(arguments.run or tables.find_run())
    function = compare.compare_over_seeds if arguments.over_seeds else compare.compare
    rows = function(run, arguments.first, arguments.second)
    if arguments.csv is not None:
        files.write_text(arguments.csv, formats.csv_text(rows))
    _print_notes(compare.notes(run, (arguments.first, arguments.second), rows))
    print(formats.markdown_table(compare.readable(rows)), end="")


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"counterpoint: {note}", file=sys.stderr)


def _add_run_or_only(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run",
        type=Path,
        metavar="DIR",
        help="folder of the run, results/RUN (default: the only one there is)",
    )


def _add_leak(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "leak",
        help="what training on texts of dev and test was worth to a cell",
        description="Print one cell trained on all pairs beside the same cell of a decontaminated "
        "run, on all queries, on unseen ones, and by the protocol that leaks the answer: "
        "accuracy@1 in % on epa, the paired difference with its interval and p-value.",
    )
    parser.add_argument("cell", metavar="CELL", help="a cell's name, or `best` (of --run, on dev)")
    _add_run(parser)
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
    from counterpoint import compare, files, formats, leak, tables

    run, without = tables.read_run(arguments.run), tables.read_run(arguments.without)
    rows = leak.leak(run, without, arguments.cell)
    if arguments.csv is not None:
        files.write_text(arguments.csv, formats.csv_text(rows))
    _print_notes(compare.notes(run, (arguments.cell,), rows))
    print(formats.markdown_table(leak.readable(rows)), end="")


def _add_evaluate(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "evaluate",
        help="evaluate a trained cell or a baseline on any corpus; export its rankings",
        description="Evaluate a trained cell or a baseline on another corpus, or again on the "
        "run's own, all tasks and protocols. Unseen are the queries whose texts the run's training "
        "folder lacks. A corpus in BEIR's layout is searched as a whole, without the query's own "
        "document. Writes figures.csv, records.parquet (not for BEIR's layout) and, with --trec, "
        "rankings and judgements; prints the figures on all arguments.",
    )
    parser.add_argument(
        "system",
        metavar="SYSTEM",
        help="a cell's name as in tables/cells.csv, `best` (on dev), or baseline/NAME",
    )
    _add_run_or_only(parser)
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
    parser.add_argument("--trec", action="store_true", help="write TREC qrels and runs too")
    _add_threads(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="folder to write into (default: RUN/evaluations/SYSTEM/CORPUS)",
    )
    parser.set_defaults(command=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> None:
    import torch

    from counterpoint import devices, formats, transfer

    torch.set_num_threads(arguments.threads)
    run = transfer.find_run(arguments.system, arguments.run, arguments.corpus)
    with devices.device_for_job(jobs_per_gpu=1) as device:
        figures, notes = transfer.Transfer(
            system=arguments.system,
            run=run,
            corpus=arguments.corpus,
            splits=arguments.splits,
            trec=arguments.trec,
            device=torch.device(device),
            out=arguments.out or transfer.default_folder(arguments.system, run, arguments.corpus),
        ).write()
    _print_notes(notes)
    print(formats.markdown_table(transfer.readable(figures)), end="")


def _add_import_log(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "import-log",
        help="read text logs of the seeds' scripts, to be shown beside new runs",
        description="Read text logs of the seeds' scripts (UTF-8 or GB18030) into the epoch log, "
        "marked as protocol legacy, which leaks the answer. Writes NAME/epochs.jsonl and "
        "NAME/source.json; prints a line a log: epochs, and for train, dev and test the best "
        "accuracy, its epoch counted from 0, and the last. Tables and plots of every run that has "
        "that folder beside it show them.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="the logs")
    parser.add_argument("--name", help="of the log, where there is one (default: the file's)")
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
    from counterpoint import old_logs

    for log in old_logs.import_logs(arguments.files, arguments.out, arguments.name):
        for note in log.notes:
            print(f"counterpoint: {log.source['file']}: {note}", file=sys.stderr)
        print(old_logs.summary(log))


def _add_plots(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "plots",
        help="draw a run's figures from whatever logs and records exist",
        description="Draw accuracy@1 against epoch for train, dev and test, one figure a fusion "
        "and head, the decrease rates as lines; accuracy@1 on dev against the decrease rate, with "
        "intervals; and fusion by head as a heat map.",
    )
    _add_run(parser)
    parser.add_argument(
        "--format", choices=("png", "svg", "pdf"), default="png", help="of the files (default: png)"
    )
    parser.add_argument("--dpi", type=_positive, default=120, help="of png (default: 120)")
    parser.set_defaults(command=_plots)


def _plots(arguments: argparse.Namespace) -> None:
    from counterpoint import plots, tables

    run, folder = tables.read_run(arguments.run), arguments.run / "plots"
    curves = tables.without_parts(run, tables.curves(run))
    plots.draw_curves(curves, folder, arguments.format, arguments.dpi, tables.ended(run))
    figures = tables.without_parts(run, tables.written_figures(run))
    plots.draw_figures(figures, folder, arguments.format, arguments.dpi)


def _add_report(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "report",
        help="make one page to look at from whatever a run has",
        description="Write report/index.html into a run's folder: one page that opens from disk, "
        "with the answer, the comparison, charts, claims, baselines, the corpus, example queries "
        "and what failed. Makes the run's tables first where records are newer. Trains nothing.",
    )
    _add_run(parser)
    _add_table_options(parser)
    parser.set_defaults(command=_report)


def _report(arguments: argparse.Namespace) -> None:
    from counterpoint import report, tables

    run = tables.read_run(arguments.run)
    if not tables.is_current(run, "claims.csv"):
        _tables(arguments)
    print(f"report: {report.write_report(run, arguments.decimals)}")


def _add_clean(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "clean",
        help="remove saved states that no job will take up again",
        description="Remove a run's stale states: of cells that are finished, planned no more, or "
        "planned with other options now. Keeps results, and the states of running jobs.",
    )
    _add_run_or_only(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.set_defaults(command=_clean)


def _clean(arguments: argparse.Namespace) -> None:
    from counterpoint import clean, tables

    found = clean.stale(arguments.run or tables.find_run())
    for state in found:
        print(f"{state.path}: {state.reason} ({state.size / 1e6:.1f} MB)")
    if not found:
        print("nothing is stale")
        return
    gone = found if arguments.dry_run else clean.remove(found)
    size = sum(state.size for state in gone) / 1e6
    verb = "would be removed" if arguments.dry_run else "removed"
    kept = len(found) - len(gone)
    note = f"; {kept} kept, whose cells a job trains by now" if kept else ""
    print(f"{len(gone)} states, {size:.1f} MB {verb}{note}")


def _add_schema(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "schema",
        help="write the JSON schema of the configuration",
        description="Write the JSON schema of the configuration, for editors.",
    )
    _add_out(parser, "file to write")
    parser.set_defaults(command=_schema)


def _schema(arguments: argparse.Namespace) -> None:
    from counterpoint import config, files

    files.write_text(arguments.out, config.json_schema())
