"""Runs that are ready to train."""

from pathlib import Path
from typing import Any

from counterpoint.config import loading, matrix
from counterpoint.config.batches import inputs_key
from counterpoint.config.cache_keys import tokens_key
from counterpoint.corpus.arguments import Corpus, write_arguments
from counterpoint.encoders.features import same_outputs, write_features
from counterpoint.encoders.tokens import tokenise, write_tokens
from counterpoint.io import atomic
from counterpoint.runs.batch import Batch
from counterpoint.runs.folder import RunFolder
from tests.support.training import features


def a_run(folder: Path, corpus: Corpus, tiny_bert: Path, **values: Any) -> Batch:
    """A run of several cells, ready to train: two seeds, and what `values` say."""
    config = loading.load(
        {
            "run": "batch",
            "encoder": {"name": str(tiny_bert), "max_tokens": 24},
            "training": {"epochs": 2, "batch_size": 4},
            "matrix": {"axes": {"seed": [1, 2]}},
            **values,
        },
        "test",
    )
    run = RunFolder(folder)
    write_arguments(corpus, run.arguments)
    atomic.write_json(run.config, config.model_dump(mode="json"))
    cells = matrix.all_cells(config, "test")
    for cell in cells:
        if cell.first is not None:
            pairs = cell.options.reranker.encoder
            write_tokens(tokenise(corpus, pairs), corpus, run.tokens(tokens_key(pairs)))
        kind, key = inputs_key(cell.options.encoder)
        if kind == "features":
            write_features(same_outputs(features(corpus)), corpus, run.features(key))
        else:
            write_tokens(tokenise(corpus, cell.options.encoder), corpus, run.tokens(key))
    return Batch.of_run(folder, [cell.name for cell in cells])
