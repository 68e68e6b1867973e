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
from counterpoint.encoders.encoder import Encoder
from counterpoint.encoders.features import FrozenFeatures, Outputs, read_features
from counterpoint.encoders.live import LiveEncoder, frozen_features
from counterpoint.encoders.pairs import load_pairs
from counterpoint.encoders.prompts import Prompts, pinned
from counterpoint.encoders.roles import ROLES, ByRole
from counterpoint.encoders.tokens import RoleTokens, Tokens, read_tokens, tokenise
from counterpoint.errors import InputError
from counterpoint.evaluation.cross_system import CrossEncoderSystem
from counterpoint.evaluation.hybrid import CandidateRanking
from counterpoint.evaluation.system import TrainedSystem, embed
from counterpoint.models.cell_model import CellModel
from counterpoint.models.cross_encoder import CrossEncoder
from counterpoint.models.weights import load_weights
from counterpoint.results.files import HybridWeight, Provenance
from counterpoint.runs.folder import CellFolder, RunFolder, run_and_cell


@dataclass(frozen=True)
class StoredTexts:
    """A run's own texts, whose tokens and untrained outputs it may have stored."""

    run: RunFolder
    corpus: Corpus

    def rows(self, texts: Texts) -> Ints:
        """(texts,) int64: the number that each of some texts has in the run, or -1."""
        known = self.corpus.text_number
        return np.array([known.get(name, -1) for name in texts.text_number], dtype=np.int64)


@dataclass(frozen=True)
class TrainedWith:
    """What a cell's options leave to its encoder, as it was when the cell was trained."""

    commit: str | None = None
    """Of an encoder on the hub; None for what it is now."""
    prompts: Prompts | None = None
    """None for what the model names now."""

    @classmethod
    def of(cls, folder: CellFolder) -> "TrainedWith":
        """As a cell's provenance tells it; one that is older than prompts was trained with none."""
        if not folder.provenance.is_file():
            return cls()
        told = Provenance.read(folder.provenance)
        prompts = ByRole(*(told.prompts.get(role, "") for role in ROLES))
        return cls(told.encoder_commit, prompts)

    def pinned(self, options: EncoderOptions) -> EncoderOptions:
        """The options with all that filled in."""
        revision = options.revision if self.commit is None else self.commit
        return pinned(options, self.prompts).model_copy(update={"revision": revision})


NOW = TrainedWith()


def encoder_outputs(
    texts: Texts,
    options: EncoderOptions,
    device: torch.device,
    stored: StoredTexts | None = None,
    trained: TrainedWith = NOW,
) -> Outputs:
    """The untrained encoder's outputs for every text.

    Args:
        texts: of any corpus.
        options: of the encoder.
        device: where they are computed.
        stored: of a run, whose outputs serve for the texts that it shares, and whose commit and
            prompts for the others.
        trained: what they are computed with.

    Raises:
        InputError: the encoder cannot be loaded, or the run's outputs have other prompts.
    """
    options = shared_options(options)
    path = stored.run.features(features_key(options)) if stored is not None else None
    if stored is None or path is None or not path.is_file():
        return _computed(texts, trained.pinned(options), device)
    table = read_features(path, stored.corpus, pinned(options, trained.prompts))
    rows = stored.rows(texts)
    if np.array_equal(rows, np.arange(len(table.candidate))):
        return table
    if (rows >= 0).all():
        x = table.map(lambda of_role: of_role[rows])
    else:
        made = TrainedWith(table.commit, table.prompts).pinned(options)
        new = _computed(_subset(texts, rows < 0), made, device)
        x = table.roles.map(lambda role: _filled(table[role], rows, new[role]))
    return Outputs(x.query, x.candidate, table.prompts, table.commit)


def _computed(texts: Texts, options: EncoderOptions, device: torch.device) -> Outputs:
    return frozen_features(texts, tokenise(texts, options), options, device)


def _filled(table: Floats, rows: Ints, new: Floats) -> Floats:
    """Outputs in the rows (texts,) of a table, and for rows of -1 the new ones in turn."""
    outputs = np.empty((len(rows), table.shape[1]), dtype=np.float32)
    outputs[rows >= 0] = table[rows[rows >= 0]]
    outputs[rows < 0] = new
    return outputs


def tokens_of(
    texts: Texts,
    options: EncoderOptions,
    stored: StoredTexts | None = None,
    trained: TrainedWith = NOW,
) -> RoleTokens:
    """The tokens of every text; those that a run has stored serve for the texts that it shares.

    Args:
        texts: of any corpus.
        options: of the encoder.
        stored: as `encoder_outputs` takes it.
        trained: likewise.

    Raises:
        InputError: the tokenizer cannot be loaded, or the run's tokens have other prompts.
    """
    path = stored.run.tokens(tokens_key(options)) if stored is not None else None
    if stored is None or path is None or not path.is_file():
        return tokenise(texts, trained.pinned(options))
    table = read_tokens(path, stored.corpus, pinned(options, trained.prompts))
    rows = stored.rows(texts)
    subset = _subset(texts, rows < 0)
    made = TrainedWith(table.commit, table.prompts).pinned(options)
    new = tokenise(subset, made) if subset.texts else table
    tokens = table.roles.map(lambda role: _merged(table[role], rows, new[role]))
    return RoleTokens(tokens.query, tokens.candidate, table.prompts, table.commit)


def _merged(table: Tokens, rows: Ints, new: Tokens) -> Tokens:
    """The tokens in the rows (texts,) of a table, and for rows of -1 the new ones in turn."""
    ids = [table.ids[table.starts[row] : table.starts[row + 1]] for row in rows]
    for number, place in enumerate(np.flatnonzero(rows < 0)):
        ids[place] = new.ids[new.starts[number] : new.starts[number + 1]]
    ends = np.cumsum([len(part) for part in ids], dtype=np.int64)
    return Tokens(np.concatenate(ids), np.concatenate([[0], ends]), table.pad)


def _subset(texts: Texts, wanted: Mask) -> NumberedTexts:
    """Some of the texts, in their order."""
    numbers = np.flatnonzero(wanted)
    hashes = list(texts.text_number)
    return NumberedTexts(
        [texts.texts[number] for number in numbers],
        {hashes[number]: place for place, number in enumerate(numbers)},
        np.arange(len(numbers)),
    )


def ranking_of(folder: CellFolder) -> CandidateRanking:
    """What ranks candidates in a trained cell's evaluations, with the weight that its dev chose.

    Raises:
        InputError: its options or its weight cannot be used.
    """
    kind = load_written(CellOptions, folder.options).evaluation.first_stage
    return CandidateRanking.chosen(kind, lambda: HybridWeight.read(folder.hybrid_weight))


def load_model(
    folder: CellFolder, texts: Texts, device: torch.device, stored: StoredTexts | None = None
) -> tuple[CellModel, CellOptions]:
    """A trained cell's model over some texts, and its options.

    Args:
        folder: of the cell.
        texts: of any corpus.
        device: where to compute.
        stored: as `encoder_outputs` takes it.

    Raises:
        InputError: its options or weights cannot be used.
    """
    options = load_written(CellOptions, folder.options)
    trained = TrainedWith.of(folder)
    encoder: Encoder
    if options.encoder.trainable == "none":
        encoder = FrozenFeatures(encoder_outputs(texts, options.encoder, device, stored, trained))
    else:
        encoder = LiveEncoder(options.encoder, tokens_of(texts, options.encoder, stored, trained))
    model = CellModel(options, encoder).to(device)
    load_weights(model, folder.model)
    return model, options


def load_cell(
    folder: CellFolder, texts: Texts, device: torch.device, stored: StoredTexts | None = None
) -> TrainedSystem | CrossEncoderSystem:
    """A trained cell with its vectors of some texts; see `load_model`.

    Raises:
        InputError: of a cell with a cross-encoder, its first stage is not in its run too.
    """
    options = load_written(CellOptions, folder.options)
    if options.reads_pairs:
        return _with_cross_encoder(folder, options, texts, device, stored)
    model, options = load_model(folder, texts, device, stored)
    numbers = torch.arange(len(texts.texts), device=device)
    return TrainedSystem(model, embed(model, numbers, len(numbers)), options.rerank)


def first_stage_of(folder: CellFolder) -> CellFolder:
    """The cell that a cross-encoder's candidates are from.

    Raises:
        InputError: it is not there.
    """
    run, _ = run_and_cell(folder.path)
    name = Provenance.read(folder.provenance).first_stage
    if name is None:
        raise InputError(f"{folder.provenance}: no first stage is named; train the cell again")
    first = run.cell(name)
    if not first.model.is_file():
        raise InputError(
            f"{first.model}: no such file; it is the first stage of {folder.path}, so give the "
            "whole run"
        )
    return first


def _with_cross_encoder(
    folder: CellFolder,
    options: CellOptions,
    texts: Texts,
    device: torch.device,
    stored: StoredTexts | None,
) -> CrossEncoderSystem:
    first = load_cell(first_stage_of(folder), texts, device, stored)
    assert isinstance(first, TrainedSystem)
    of_encoder = options.reranker.encoder
    tokens = tokens_of(texts, of_encoder, stored, TrainedWith.of(folder))
    model = CrossEncoder(load_pairs(of_encoder, tokens)).to(device)
    load_weights(model, folder.model)
    return CrossEncoderSystem(first, model, options.rerank)
