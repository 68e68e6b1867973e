"""A trained cell again from its folder, with its vectors of whatever texts are asked for."""

import torch

from counterpoint.arrays import Floats
from counterpoint.config.cache_keys import features_key, shared_options
from counterpoint.config.loading import load_written
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.corpus.arguments import Texts
from counterpoint.encoders.encoder import Encoder
from counterpoint.encoders.features import FrozenFeatures, read_features
from counterpoint.encoders.live import LiveEncoder, frozen_features
from counterpoint.encoders.tokens import tokenise
from counterpoint.evaluation.system import TrainedSystem, embed
from counterpoint.models.retriever import Retriever
from counterpoint.models.weights import load_weights
from counterpoint.runs.folder import CellFolder, RunFolder


def encoder_outputs(
    texts: Texts, options: EncoderOptions, device: torch.device, run: RunFolder | None = None
) -> Floats:
    """(texts, H) float32: the untrained encoder's outputs for every text.

    Args:
        texts: of a corpus.
        options: of the encoder.
        device: where they are computed.
        run: whose stored outputs are read where they are there; they must be of these texts.
    """
    stored = run.features(features_key(options)) if run is not None else None
    if stored is not None and stored.is_file():
        return read_features(stored, texts)
    options = shared_options(options)
    return frozen_features(texts, tokenise(texts, options), options, device)


def load_cell(
    folder: CellFolder, texts: Texts, device: torch.device, run: RunFolder | None = None
) -> TrainedSystem:
    """A trained cell with its vectors of some texts.

    Args:
        folder: of the cell.
        texts: of any corpus.
        device: where to compute.
        run: as `encoder_outputs` takes it.

    Raises:
        InputError: its options or weights cannot be used.
    """
    options = load_written(CellOptions, folder.options)
    encoder: Encoder
    if options.encoder.trainable == "none":
        encoder = FrozenFeatures(encoder_outputs(texts, options.encoder, device, run))
    else:
        encoder = LiveEncoder(options.encoder, tokenise(texts, options.encoder))
    model = Retriever(options, encoder).to(device)
    load_weights(model, folder.model)
    numbers = torch.arange(len(texts.texts), device=device)
    return TrainedSystem(model, embed(model, numbers, len(numbers)), options.rerank)
