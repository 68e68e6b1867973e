# Configuration, matrix, path patterns and helpers; no rules.

import os
import re
import sys
from pathlib import Path

from snakemake.common.configfile import load_configfile
from snakemake_interface_executor_plugins.settings import ExecMode

from counterpoint.config.axes import option_path
from counterpoint.config.batches import batches, inputs_key
from counterpoint.config.cache_keys import features_key, shared_options, tokens_key
from counterpoint.config.loading import dump
from counterpoint.config.matrix import base_options, option_values
from counterpoint.config.run_options import ENCODING_BASELINES
from counterpoint.corpus.sources import expand_variables, folder_fingerprint
from counterpoint.errors import InputError
from counterpoint.runs.opening import open_run
from counterpoint.runs.starting import Stop, begin
from counterpoint.versions import (
    BASELINES_VERSION,
    CORPUS_VERSION,
    FEATURES_VERSION,
    TRAINING_VERSION,
)

# Snakemake has parsed the workflow once before where it does so for a single job, which is given
# what the user gave. Nothing runs for the others.
IS_JOB = workflow.remote_exec or workflow.subprocess_exec
RUNS_NOTHING = {"--unlock", "--lint"} & set(sys.argv)

try:
    OPENED = open_run(
        {
            str(path): load_configfile(path)
            for path in ["config/config.yaml", *workflow.overwrite_configfiles]
        },
        workflow.config_settings.config,
        may_refuse=not (IS_JOB or RUNS_NOTHING),
    )
except InputError as error:
    # A plain exit, because what snakemake prints of an exception buries the message.
    print(f"counterpoint: {error}", file=sys.stderr)
    sys.exit(2)

CONFIG, CELLS, RUN = OPENED.config, OPENED.cells, OPENED.folder
# A workstation's cores are known; on a cluster, whose jobs read this anew, they must not count.
PARALLEL = (
    max(1, (workflow.cores or os.cpu_count()) // CONFIG.resources.threads)
    if workflow.local_exec and workflow.exec_mode == ExecMode.DEFAULT
    else None
)
BATCHES = batches(CELLS.values(), CONFIG.resources.cells_per_job, PARALLEL)
# How `counterpoint tables`, `plots` and `report` show what came out.
TABLES = f"--decimals {CONFIG.tables.decimals}{' --intervals' * CONFIG.tables.intervals}"
PLOTS = f"--format {CONFIG.plots.format} --dpi {CONFIG.plots.dpi}"
BASELINES = list(dict.fromkeys(CONFIG.baselines))
ENVIRONMENT = "../envs/counterpoint.yaml"

# `logged LOG COMMAND …`: all output goes to the log, and a command that fails shows its log. SIGTERM
# to the whole group must not end the shell before its command, which saves its state first.
shell.prefix(
    'trap : TERM; logged() {{ "${{@:2}}" > "$1" 2>&1 || {{ local status=$?; cat "$1" >&2; return $status; }}; }}; '
)

# Encoder options by what they share. The base options' are there for baselines.
ENCODERS = [*(cell.options.encoder for cell in CELLS.values()), CONFIG.encoder]
PAIR_ENCODERS = [cell.options.reranker.encoder for cell in CELLS.values() if cell.first is not None]
FEATURES = {features_key(encoder): encoder for encoder in ENCODERS}
TOKENS = {tokens_key(encoder): encoder for encoder in [*ENCODERS, *PAIR_ENCODERS]}

# Only what is planned: a path that is made up computes nothing.


wildcard_constraints:
    features="|".join(map(re.escape, FEATURES)),
    tokens="|".join(map(re.escape, TOKENS)),


def corpus_arguments(options):
    """Where `counterpoint corpus` reads from; with the variables' values, so that they count."""
    if options.url is not None:
        return ["--url", options.url, "--sha256", options.sha256]
    if options.path == "sample":
        return ["--corpus", "sample"]
    return ["--corpus", str(expand_variables(options.path))]


def columns_arguments(options):
    """What a file of pairs calls our columns, as `counterpoint corpus` takes it."""
    named = [f"{ours}={name}" for ours, name in options.columns.named().items()]
    return ["--columns", *named] if named else []


def encoder_fingerprint(options):
    """Changes when the files of a local encoder do."""
    folder = Path(options.name).expanduser()
    return folder_fingerprint(folder) if folder.is_dir() else None


def tokens_of(encoder):
    """The tokens of an encoder's corpus."""
    return str(RUN.tokens(tokens_key(encoder)))


def features_of(encoder):
    """The frozen outputs of an encoder."""
    return str(RUN.features(features_key(encoder)))


def batch_texts(batch):
    """What stands for the texts of a batch: frozen features, or tokens for live encoders."""
    kind, key = inputs_key(batch[0].options.encoder)
    return str(RUN.features(key) if kind == "features" else RUN.tokens(key))


def first_stages(batch):
    """What a cross-encoder's cell waits for: its first stage, and its tokens."""
    cells = [cell for cell in batch if cell.first is not None]
    return [
        file
        for cell in cells
        for file in (str(RUN.cell(cell.first).mark), tokens_of(cell.options.reranker.encoder))
    ]


def batch_options(batch):
    """What, with its name, tells all options of a cell of a batch.

    Those that every cell starts from, so that another batch of it is no other cell.
    """
    return dump(base_options(CONFIG) if batch[0].columns else batch[0].options)


def has_axis_table():
    """Whether the option that gets a table of its values has several."""
    if CONFIG.tables.axis is None:
        return False
    path = option_path(CONFIG.tables.axis, "tables.axis")
    return len({option_values(cell.options)[path] for cell in CELLS.values() if cell.columns}) > 1


def folder_of(path):
    """The folder of an input or output."""
    return str(Path(path).parent)


def run_folder(wildcards):
    """The run's folder, for commands that read its plan."""
    return str(RUN.path)


def grown(base):
    """A resource that grows with each attempt."""
    return lambda wildcards, attempt: base * attempt


onstart:
    if not IS_JOB:
        try:
            begin(
                OPENED,
                {job.rule.name.partition("_")[0] for job in workflow.dag.needrun_jobs()},
                local=workflow.local_exec,
                cores=workflow.cores if workflow.local_exec else None,
            )
        except (InputError, Stop, OSError) as error:
            if str(error):
                print(f"counterpoint: {error}", file=sys.stderr)
            sys.exit(2)
