"""Commands about a run as a whole: its plan, its cost, where it stands."""

import argparse
import json
import os
import sys
from pathlib import Path

from counterpoint.cli.shared import Commands, add_out, add_run_or_only, positive


def add_matrix(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `matrix`."""
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
    add_out(parser, "folder to write into")
    parser.set_defaults(command=_matrix)


def _matrix(arguments: argparse.Namespace) -> None:
    from counterpoint.config import loading, matrix, run_options
    from counterpoint.runs import folder, opening

    read = loading.load_options(run_options.RunConfig, arguments.config, "--config")
    cells = matrix.all_cells(read, "--config")
    opening.write_plan(folder.RunFolder(arguments.out), read, cells)


def add_plan(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `plan`."""
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
        type=positive,
        default=os.cpu_count(),
        help="that snakemake will get (default: all, %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="print one line, from few kinds of cells; refuse what no job could do",
    )
    parser.set_defaults(command=_plan)


def _plan(arguments: argparse.Namespace) -> None:
    import dataclasses
    import time

    begun = time.perf_counter()
    import torch

    from counterpoint.config import loading, run_options
    from counterpoint.runs import devices, estimate, measure, quick
    from counterpoint.runs import folder as folder_module

    if arguments.run is None:
        config = loading.load_options(run_options.RunConfig, arguments.config, "--config")
        folder = folder_module.RunFolder(Path("results") / config.run)
    else:
        folder = folder_module.RunFolder(arguments.run)
        config = loading.load_written(run_options.RunConfig, folder.config)
    with devices.device_for_job(config.resources.jobs_per_gpu) as device:
        bench = measure.Bench(config, folder, arguments.arguments, torch.device(device))
        if arguments.quick:
            # A job loads about the same.
            bench.start_up = time.perf_counter() - begun
            print(f"counterpoint: {quick.quick_text(bench, arguments.cores)}")
            return
        plan = estimate.plan(config, folder, bench, cores=arguments.cores)
    print(json.dumps(dataclasses.asdict(plan)) + "\n" if arguments.json else plan.text(), end="")


def add_status(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `status`."""
    parser = commands.add_parser(
        "status",
        help="where a run stands: a grid of its cells, what failed, the time left",
        description="Print a run's cells as a grid (done, running with epoch and time left, "
        "failed, diverged, waiting), the failed ones with reason and log, and an estimate of the "
        "time left. Disturbs no job.",
    )
    add_run_or_only(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--watch",
        type=positive,
        nargs="?",
        const=5,
        metavar="SECONDS",
        help="look again every so many seconds (default: 5), until all cells have ended or Ctrl-C",
    )
    how.add_argument("--failed", action="store_true", help="print the failed cells alone")
    parser.set_defaults(command=_status)


def _status(arguments: argparse.Namespace) -> None:
    from counterpoint.runs import folder as folder_module
    from counterpoint.runs import status

    folder = arguments.run or folder_module.find_run()
    clear = "\x1b[H\x1b[2J" if sys.stdout.isatty() else ""
    if arguments.watch is not None:
        status.watch(folder, arguments.watch, lambda text: print(clear + text, flush=True))
        return
    run = folder_module.read_run(folder)
    print(status.failures(run, status.look(run)) if arguments.failed else status.text(run), end="")


def add_clean(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `clean`."""
    parser = commands.add_parser(
        "clean",
        help="remove saved states that no job will take up again",
        description="Remove a run's stale states: of cells that are finished, planned no more, or "
        "planned with other options now. Keeps results, and the states of running jobs.",
    )
    add_run_or_only(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.set_defaults(command=_clean)


def _clean(arguments: argparse.Namespace) -> None:
    from counterpoint.runs import folder as folder_module
    from counterpoint.runs import prune

    stale = prune.stale(arguments.run or folder_module.find_run())
    for state in stale:
        print(f"{state.path}: {state.reason} ({state.size / 1e6:.1f} MB)")
    if not stale:
        print("nothing is stale")
        return
    removed = stale if arguments.dry_run else prune.remove(stale)
    size = sum(state.size for state in removed) / 1e6
    verb = "would be removed" if arguments.dry_run else "removed"
    kept = len(stale) - len(removed)
    note = f"; {kept} kept, whose cells a job trains by now" if kept else ""
    print(f"{len(removed)} states, {size:.1f} MB {verb}{note}")


def add_schema(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `schema`."""
    parser = commands.add_parser(
        "schema",
        help="write the JSON schema of the configuration",
        description="Write the JSON schema of the configuration, for editors.",
    )
    add_out(parser, "file to write")
    parser.set_defaults(command=_schema)


def _schema(arguments: argparse.Namespace) -> None:
    from counterpoint.config import schema
    from counterpoint.io import atomic

    atomic.write_text(arguments.out, schema.json_schema())
