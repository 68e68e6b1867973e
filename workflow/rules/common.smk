# Configuration, matrix, path patterns and helpers; no rules.

import re
import sys
from pathlib import Path

import pandas as pd
from snakemake.common.configfile import load_configfile
from snakemake.utils import Paramspace

from counterpoint.config.cache_keys import features_key, shared_options, tokens_key
from counterpoint.config.loading import dump
from counterpoint.config.matrix import COLUMNS, option_path, option_values
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
SPACE = Paramspace(
    pd.DataFrame([dict(cell.columns) for cell in CELLS.values()], columns=list(COLUMNS)),
)
TRACKERS = " ".join(f"--tracker {name}" for name in CONFIG.trackers)
STEPS = CONFIG.resources.checkpoint_steps
CHECKPOINTS = "" if STEPS is None else f"--checkpoint-steps {STEPS}"
# How `counterpoint tables`, `plots` and `report` show what came out.
TABLES = f"--decimals {CONFIG.tables.decimals}{' --intervals' * CONFIG.tables.intervals}"
PLOTS = f"--format {CONFIG.plots.format} --dpi {CONFIG.plots.dpi}"
CELL = RUN.cell(SPACE.wildcard_pattern)
ENVIRONMENT = "../envs/counterpoint.yaml"

# `logged LOG COMMAND …`: all output goes to the log, and a command that fails shows its log. SIGTERM
# to the whole group must not end the shell before its command, which saves its state first.
shell.prefix(
    'trap : TERM; logged() {{ "${{@:2}}" > "$1" 2>&1 || {{ local status=$?; cat "$1" >&2; return $status; }}; }}; '
)

# Encoder options by what they share. The base options' are there for the untrained baseline.
ENCODERS = [*(cell.options.encoder for cell in CELLS.values()), CONFIG.encoder]
FEATURES = {features_key(encoder): encoder for encoder in ENCODERS}
TOKENS = {tokens_key(encoder): encoder for encoder in ENCODERS}

# Only cells of the matrix: a path that is made up trains nothing.


wildcard_constraints:
    **{
        column: "|".join(sorted({re.escape(cell.columns[column]) for cell in CELLS.values()}))
        for column in COLUMNS
    },
    features="|".join(map(re.escape, FEATURES)),
    tokens="|".join(map(re.escape, TOKENS)),
    baseline="|".join(CONFIG.baselines) or "none",


def corpus_arguments(options):
    """Where `counterpoint corpus` reads from; with the variables' values, so that they count."""
    if options.url is not None:
        return ["--url", options.url, "--sha256", options.sha256]
    if options.path == "sample":
        return ["--corpus", "sample"]
    return ["--corpus", str(expand_variables(options.path))]


def encoder_fingerprint(options):
    """Changes when the files of a local encoder do."""
    folder = Path(options.name).expanduser()
    return folder_fingerprint(folder) if folder.is_dir() else None


def cell_of(wildcards):
    """The cell that a job's wildcards name."""
    return CELLS[SPACE.wildcard_pattern.format(**wildcards)]


def tokens_of(encoder):
    """The tokens of an encoder's corpus."""
    return str(RUN.tokens(tokens_key(encoder)))


def features_of(encoder):
    """The frozen outputs of an encoder."""
    return str(RUN.features(features_key(encoder)))


def cell_texts(wildcards):
    """What stands for the texts: frozen features, or tokens for a live encoder."""
    encoder = cell_of(wildcards).options.encoder
    return features_of(encoder) if encoder.trainable == "none" else tokens_of(encoder)


def base_features(wildcards):
    """The frozen features of the base options' encoder, which the untrained baseline needs."""
    return features_of(CONFIG.encoder) if wildcards.baseline == "untrained" else []


def has_axis_table():
    """Whether the option that gets a table of its values has several."""
    if CONFIG.tables.axis is None:
        return False
    path = option_path(CONFIG.tables.axis, "tables.axis")
    return len({option_values(cell.options)[path] for cell in CELLS.values()}) > 1


def folder_of(path):
    """The folder of an input or output."""
    return str(Path(path).parent)


def grown(base):
    """A resource that grows with each attempt."""
    return lambda wildcards, attempt: base * attempt


onstart:
    if not IS_JOB:
        try:
            begin(
                OPENED,
                {job.rule.name for job in workflow.dag.needrun_jobs()},
                local=workflow.local_exec,
                cores=workflow.cores if workflow.local_exec else None,
            )
        except (InputError, Stop) as error:
            if str(error):
                print(f"counterpoint: {error}", file=sys.stderr)
            sys.exit(2)
