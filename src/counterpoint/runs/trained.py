"""A trained cell again from its folder, with its vectors of whatever texts are asked for."""

from dataclasses import dataclass

import numpy as np
import torch

from counterpoint.arrays import Floats, Ints, Mask
from counterpoint.config.cache_keys import features_key, shared_options, tokens_key
from counterpoint.config.loading import load_written
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.corpus.arguments import Corpus, Texts
from counterpoint.corpus.texts import NumberedTexts
from counterpoint.encoders.arrays import commit_in
from counterpoint.encoders.encoder import Encoder
from counterpoint.encoders.features import FrozenFeatures, read_features
from counterpoint.encoders.live import LiveEncoder, frozen_features
from counterpoint.encoders.tokens import Tokens, read_tokens, tokenise
from counterpoint.evaluation.system import TrainedSystem, embed
from counterpoint.models.cell_model import CellModel
from counterpoint.models.weights import load_weights
from counterpoint.results.files import Provenance
from counterpoint.runs.folder import CellFolder, RunFolder


@dataclass(frozen=True)
class StoredTexts:
    """A run's own texts, whose tokens and untrained outputs it may have stored."""

    run: RunFolder
    corpus: Corpus

    def rows(self, texts: Texts) -> Ints:
        """(texts,) int64: the number that each of some texts has in the run, or -1."""
        known = self.corpus.text_number
        return np.array([known.get(name, -1) for name in texts.text_number], dtype=np.int64)


def encoder_outputs(
    texts: Texts,
    options: EncoderOptions,
    device: torch.device,
    stored: StoredTexts | None = None,
    commit: str | None = None,
) -> Floats:
    """(texts, H) float32: the untrained encoder's outputs for every text.

    Args:
        texts: of any corpus.
        options: of the encoder.
        device: where they are computed.
        stored: of a run, whose outputs serve for the texts that it shares.
        commit: of an encoder on the hub; None for what it is now. Stored outputs have their own.
    """
    options = shared_options(options)
    path = stored.run.features(features_key(options)) if stored is not None else None
    if stored is None or path is None or not path.is_file():
        return _computed(texts, _pinned(options, commit), device)
    table = read_features(path, stored.corpus, options)
    rows = stored.rows(texts)
    if (rows >= 0).all():
        return table if np.array_equal(rows, np.arange(len(table))) else table[rows]
    outputs = np.empty((len(rows), table.shape[1]), dtype=np.float32)
    outputs[rows >= 0] = table[rows[rows >= 0]]
    new = _subset(texts, rows < 0)
    outputs[rows < 0] = _computed(new, _pinned(options, commit_in(path)), device)
    return outputs


def tokens_of(
    texts: Texts,
    options: EncoderOptions,
    stored: StoredTexts | None = None,
    commit: str | None = None,
) -> Tokens:
    """The tokens of every text; those that a run has stored serve for the texts that it shares.

    Args:
        texts: of any corpus.
        options: of the encoder.
        stored: of a run.
        commit: as `encoder_outputs` takes it.
    """
    path = stored.run.tokens(tokens_key(options)) if stored is not None else None
    if stored is None or path is None or not path.is_file():
        return tokenise(texts, _pinned(options, commit))
    table = read_tokens(path, stored.corpus, options)
    rows = stored.rows(texts)
    ids = [table.ids[table.starts[row] : table.starts[row + 1]] for row in rows]
    if (rows < 0).any():
        new = tokenise(_subset(texts, rows < 0), _pinned(options, table.commit))
        for number, place in enumerate(np.flatnonzero(rows < 0)):
            ids[place] = new.ids[new.starts[number] : new.starts[number + 1]]
    ends = np.cumsum([len(part) for part in ids], dtype=np.int64)
    return Tokens(np.concatenate(ids), np.concatenate([[0], ends]), table.pad, table.commit)


def _pinned(options: EncoderOptions, commit: str | None) -> EncoderOptions:
    """The options with the very commit of an encoder on the hub; as they are without one."""
    return options if commit is None else options.model_copy(update={"revision": commit})


def _computed(texts: Texts, options: EncoderOptions, device: torch.device) -> Floats:
    return frozen_features(texts, tokenise(texts, options), options, device)


def _subset(texts: Texts, wanted: Mask) -> NumberedTexts:
    """Some of the texts, in their order."""
    numbers = np.flatnonzero(wanted)
    hashes = list(texts.text_number)
    return NumberedTexts(
        [texts.texts[number] for number in numbers],
        {hashes[number]: place for place, number in enumerate(numbers)},
        np.arange(len(numbers)),
    )


def encoder_commit(folder: CellFolder) -> str | None:
    """The commit of the encoder on the hub that a cell was trained with, where it tells one."""
    made = folder.provenance
    return Provenance.read(made).encoder_commit if made.is_file() else None


def load_cell(
    folder: CellFolder, texts: Texts, device: torch.device, stored: StoredTexts | None = None
) -> TrainedSystem:
    """A trained cell with its vectors of some texts.

    Args:
        folder: of the cell.
        texts: of any corpus.
        device: where to compute.
        stored: as `encoder_outputs` takes it.

    Raises:
        InputError: its options or weights cannot be used.
    """
    options = load_written(CellOptions, folder.options)
    commit = encoder_commit(folder)
    encoder: Encoder
    if options.encoder.trainable == "none":
        encoder = FrozenFeatures(encoder_outputs(texts, options.encoder, device, stored, commit))
    else:
        encoder = LiveEncoder(options.encoder, tokens_of(texts, options.encoder, stored, commit))
    model = CellModel(options, encoder).to(device)
    load_weights(model, folder.model)
    numbers = torch.arange(len(texts.texts), device=device)
    return TrainedSystem(model, embed(model, numbers, len(numbers)), options.rerank)
