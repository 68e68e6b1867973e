"""The public Python interface, thin over the packages; `import counterpoint` gives these names.

Whatever cannot be used is told with `InputError`, whose message says what to do.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from counterpoint.arrays import Floats
from counterpoint.config.corpus_options import CorpusOptions
from counterpoint.config.loading import parse
from counterpoint.config.options import EncoderOptions
from counterpoint.corpus import opening
from counterpoint.corpus.arguments import Corpus
from counterpoint.corpus.texts import number_texts
from counterpoint.errors import InputError
from counterpoint.reporting.scores import current_scores
from counterpoint.runs import folder as folder_module
from counterpoint.runs.folder import Run

__all__ = [
    "Corpus",
    "InputError",
    "Run",
    "encode_texts",
    "open_corpus",
    "read_run",
    "scores",
]


def open_corpus(
    path: str | Path = "sample",
    *,
    splits: Mapping[str, str] | None = None,
    bad_files: Literal["stop", "skip"] = "stop",
    decontaminate: Literal["none", "train"] = "none",
    language: str = "en",
) -> Corpus:
    """Read a corpus.

    Args:
        path: `sample`, the corpus that the package brings; a folder or zip in the layout of
            ArguAna Counterargs; a file of pairs; `$NAME` stands for an environment variable.
        splits: role (`train`, `dev`, `test`) to the folder that plays it; those left out are
            `training`, `validation` and `test`.
        bad_files: whether files that cannot be used end the reading or are left out.
        decontaminate: `train` leaves out training pairs that share a text with dev or test.
        language: of the texts, as ISO 639-1 has it.

    Returns:
        The corpus: `.arguments` are its texts, `.split(folder)` those of one folder.

    Raises:
        InputError: there is no such corpus, or it holds what cannot be used.
    """
    values = {
        "path": str(path),
        "splits": dict(splits or {}),
        "bad_files": bad_files,
        "decontaminate": decontaminate,
        "language": language,
    }
    return opening.open_corpus(parse(CorpusOptions, values, "open_corpus"))[0]


def read_run(path: str | Path) -> Run:
    """Look at what a run has left so far.

    Args:
        path: its folder, `results/RUN`.

    Returns:
        The run: `.cells` are the planned ones with what has become of them, `.folder` knows every
        path.

    Raises:
        InputError: there is no run in that folder.
    """
    return folder_module.read_run(Path(path))


def scores(run: Run) -> pd.DataFrame:
    """Every score of a run, cells first, then baselines: the table `tables/cells.csv`.

    Read from there, or computed from the records where that is behind them, which takes seconds.

    Returns:
        One row a system, split, protocol, task, stage and metric, with the axes of the matrix,
        `value`, `low` and `high` (95 % interval, a bootstrap over debates; fractions, not %) and
        `n`, the number of queries.

    Raises:
        InputError: records that cannot be used, or that lack a query which others have.
    """
    return current_scores(run)


def encode_texts(
    texts: Sequence[str],
    *,
    role: Literal["query", "candidate"] = "candidate",
    encoder: Mapping[str, object] | None = None,
    device: str = "cpu",
) -> Floats:
    """The outputs of an untrained encoder: what cells on frozen features learn from.

    Args:
        texts: n texts, none empty.
        role: whose prompt is put before each text, where the encoder has prompts.
        encoder: the section `encoder` of a configuration (`name`, `pooling`, `max_tokens`,
            `batch_tokens`, `prompts`); what is left out has its default.
        device: `cpu` or `cuda`.

    Returns:
        (n, H) float32.

    Raises:
        InputError: an option or the encoder cannot be used, or a text is empty.
    """
    import torch

    from counterpoint.config.cache_keys import shared_options
    from counterpoint.encoders.live import frozen_features
    from counterpoint.encoders.tokens import RoleTokens, tokenise

    options = shared_options(parse(EncoderOptions, dict(encoder or {}), "encode_texts"))
    numbered = number_texts(texts)
    tokens = tokenise(numbered, options)
    alone = RoleTokens(tokens[role], tokens[role], tokens.prompts, tokens.commit)
    outputs = frozen_features(numbered, alone, options, torch.device(device))
    return outputs[role][numbered.numbers]
