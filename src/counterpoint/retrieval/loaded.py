"""A trained model in memory, ready for texts that it has never seen."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from counterpoint.config.cache_keys import shared_options
from counterpoint.config.loading import load_written
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.encoders.features import FrozenFeatures, same_outputs
from counterpoint.encoders.live import LiveEncoder
from counterpoint.encoders.names import commit_of
from counterpoint.encoders.prompts import Prompts, pinned, prompts_of
from counterpoint.encoders.tokens import RoleTokens, Tokens, load_tokenizer
from counterpoint.errors import InputError
from counterpoint.models.cell_model import CellModel
from counterpoint.models.weights import load_weights
from counterpoint.retrieval.pairs import LoadedPairs, built_pairs
from counterpoint.runs.folder import CellFolder
from counterpoint.runs.trained import NOW, TrainedWith, first_stage_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class LoadedModel:
    """A cell's model with the encoder that computes its inputs."""

    name: str
    """Of the system, for people."""
    options: CellOptions
    encoder: LiveEncoder
    """Gives x of texts: trained with the cell, or the one whose outputs it was trained on."""
    tokenizer: "PreTrainedTokenizerBase"
    model: CellModel
    """Projections, fusion and head."""
    pairs: LoadedPairs | None = None
    """The cross-encoder that re-orders the nearest, where the system has one."""

    @property
    def prompts(self) -> Prompts:
        """What is put before texts of each role."""
        return self.encoder.prompts

    @property
    def encoder_options(self) -> EncoderOptions:
        """What texts are encoded with."""
        return inference_options(self.options.encoder)


def inference_options(encoder: EncoderOptions) -> EncoderOptions:
    """An encoder's options where nothing is trained.

    In float32, so that vectors do not depend on the machine that an index is asked on.
    """
    if encoder.trainable == "none":
        return shared_options(encoder)
    changes = {"trainable": "all", "dropout": 0.0, "precision": "float32", "compile": False}
    return encoder.model_copy(update=changes)


def untrained_options(encoder: EncoderOptions) -> CellOptions:
    """A cell that compares an untrained encoder's outputs by cosine, without a classifier."""
    return CellOptions.model_validate(
        {
            "encoder": shared_options(encoder).model_dump(),
            "projection": {"width": "none"},
            "retrieval_loss": {"kind": "infonce"},  # vectors of length 1
            "classifier_loss": {"weight": 0.0},
        }
    )


def load_trained(folder: CellFolder, name: str, device: torch.device) -> LoadedModel:
    """A trained cell; one with a cross-encoder has the vectors of its first stage.

    Raises:
        InputError: no trained cell lies there, its first stage does not, or its options or weights
            cannot be used.
    """
    for path in (folder.options, folder.model):
        if not path.is_file():
            raise InputError(f"{path}: no such file; give the folder of a cell that is trained")
    options = load_written(CellOptions, folder.options)
    first = first_stage_of(folder) if options.reads_pairs else folder
    loaded = built(name, options, device, TrainedWith.of(first))
    load_weights(loaded.model, first.model)
    if not options.asks_pairs:
        return loaded
    wanted = inference_options(options.reranker.encoder)
    pairs = built_pairs(wanted, device, TrainedWith.of(folder).commit)
    load_weights(pairs.model, folder.model)
    return replace(loaded, options=_with_prompts(loaded.options, pairs), pairs=pairs)


def _with_prompts(options: CellOptions, pairs: LoadedPairs) -> CellOptions:
    """The options with the prompts that the cross-encoder has; see `built`."""
    encoder = options.reranker.encoder.model_copy(update={"prompts": pairs.options.prompts})
    reranker = options.reranker.model_copy(update={"encoder": encoder})
    return options.model_copy(update={"reranker": reranker})


def load_untrained(encoder: EncoderOptions, device: torch.device) -> LoadedModel:
    """The encoder as it comes.

    Raises:
        InputError: it cannot be loaded.
    """
    return built("baseline/untrained", untrained_options(encoder), device)


def built(
    name: str, options: CellOptions, device: torch.device, trained: TrainedWith = NOW
) -> LoadedModel:
    """A model of these options, its encoder as it comes and the rest random.

    Args:
        name: of the system, for people.
        options: of the cell.
        device: where it computes.
        trained: what the encoder is loaded as.

    Raises:
        InputError: the encoder cannot be loaded.
    """
    wanted = inference_options(options.encoder)
    commit = trained.commit or commit_of(wanted)
    tokenizer = load_tokenizer(wanted, commit)
    prompts = prompts_of(pinned(wanted, trained.prompts), commit)
    if any((prompts.query, prompts.candidate)):
        # So that whoever is given the options has the prompts too.
        changes = {"encoder": pinned(options.encoder, prompts)}
        options = options.model_copy(update=changes)
    nothing = Tokens(np.empty(0, np.int32), np.zeros(1, np.int64), pad=0)
    encoder = LiveEncoder(wanted, RoleTokens(nothing, nothing, prompts, commit))
    frozen = options.encoder.trainable == "none"
    # A frozen encoder's weights are not the cell's; `FrozenFeatures` keeps them out of its file.
    none = FrozenFeatures(same_outputs(np.empty((0, encoder.hidden_size), np.float32)))
    model = CellModel(options, none if frozen else encoder)
    for part in (encoder, model):
        part.to(device).eval().requires_grad_(False)
    return LoadedModel(name, options, encoder, tokenizer, model)
