"""A model in a folder of its own, which sentence-transformers opens too.

    modules.json, config_sentence_transformers.json   what sentence-transformers builds it from
    config.json, model.safetensors, tokenizer files   the encoder; with separate encoders one folder
                                                      each, in a Router
    1_Pooling/, 2_Dense/ or 2_Router/, …              pooling, projection, length 1
    counterpoint.json, options.json                   what `Retriever.load` builds it from
    classifier/model.safetensors                      the head that re-ranks, where the cell has one
    cross-encoder/                                    or the cross-encoder that does:
        config.json, model.safetensors, tokenizer     its encoder
        head.safetensors                              the layer above, and how scores are mixed

Nothing is stored twice, and nothing as a pickle.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from counterpoint.config.loading import dump, load_written
from counterpoint.config.options import CellOptions, EncoderOptions
from counterpoint.encoders.pretrained import without_bars
from counterpoint.errors import InputError
from counterpoint.io.atomic import new_folder, write_json, write_safetensors, write_text
from counterpoint.io.text import json_text
from counterpoint.results.files import JsonFile
from counterpoint.retrieval.loaded import LoadedModel, built, inference_options
from counterpoint.retrieval.pairs import LoadedPairs, built_pairs
from counterpoint.versions import program_version

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FORMAT = 1
"""Of `counterpoint.json`; raised where older programs would misread a folder."""

MANIFEST = "counterpoint.json"
OPTIONS = "options.json"
CLASSIFIER = "classifier/model.safetensors"

CROSS_ENCODER = "cross-encoder"
CROSS_HEAD = "head.safetensors"
"""In its folder."""

WEIGHTS = "model.safetensors"

MODES = ("cls_token", "mean_tokens")
"""The two of sentence-transformers' ways of pooling that an encoder's options name."""

ROUTES = {"query": "query", "candidate": "document"}
"""Our roles to the routes of sentence-transformers."""


def is_one(folder: Path) -> bool:
    """Whether a folder is one that `write` wrote."""
    return (folder / MANIFEST).is_file()


@dataclass(frozen=True)
class Manifest(JsonFile):
    """`counterpoint.json`."""

    REMEDY = "export the cell again"

    format: int
    program: str
    """Version of the program that wrote the folder."""
    name: str
    """Of the system."""


class Module(Protocol):
    """A module of sentence-transformers, as its folder holds it."""

    @property
    def kind(self) -> str:
        """Its class."""

    def write(self, folder: Path) -> None:
        """Write its folder."""


@dataclass(frozen=True)
class Settings:
    """A module that its settings describe, and perhaps a layer's weights."""

    kind: str
    settings: Mapping[str, object]
    layer: nn.Linear | None = None

    def write(self, folder: Path) -> None:
        """See `Module`."""
        write_json(folder / "config.json", dict(self.settings))
        if self.layer is not None:
            weights = {f"linear.{name}": value for name, value in self.layer.state_dict().items()}
            write_safetensors(folder / WEIGHTS, weights, {"format": "pt"})


@dataclass(frozen=True)
class Transformer:
    """The encoder of a role, with its tokenizer."""

    loaded: LoadedModel
    role: str
    kind: str = "Transformer"

    def write(self, folder: Path) -> None:
        """See `Module`."""
        most = self.loaded.encoder_options.max_tokens
        _save(self.loaded.encoder.models[self.role], self.loaded.tokenizer, most, folder)
        settings = {"max_seq_length": most}
        write_json(folder / "sentence_bert_config.json", {**settings, "do_lower_case": False})


def _save(model: Any, tokenizer: "PreTrainedTokenizerBase", max_tokens: int, folder: Path) -> None:
    """Write a transformer and its tokenizer as transformers has them."""
    with without_bars():
        model.save_pretrained(folder)
    # A copy, because saving keeps the length and the tokenizer may be at work.
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.model_max_length = max_tokens
    tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Router:
    """Modules that differ by role."""

    routes: Mapping[str, Sequence[Module]]
    kind: str = "Router"

    def write(self, folder: Path) -> None:
        """See `Module`."""
        structure: dict[str, list[str]] = {}
        types: dict[str, str] = {}
        for route, modules in self.routes.items():
            structure[route] = []
            for number, module in enumerate(modules):
                name = route_folder(route, number, module.kind)
                module.write(folder / name)
                structure[route].append(name)
                types[name] = type_of(module)
        settings = {"default_route": ROUTES["candidate"], "allow_empty_key": True}
        described = {"types": types, "structure": structure, "parameters": settings}
        write_json(folder / "router_config.json", described)


def type_of(module: Module) -> str:
    """The class by the name that all releases of sentence-transformers know."""
    return f"sentence_transformers.models.{module.kind}"


def route_folder(route: str, number: int, kind: str) -> str:
    """Where a router keeps a module of a route."""
    return f"{route}_{number}_{kind}"


def pipeline(loaded: LoadedModel) -> list[Module]:
    """The modules that sentence-transformers runs one after the other.

    Raises:
        InputError: the encoder's pooler is none that they can do.
    """

    def encoded(role: str) -> list[Module]:
        return [Transformer(loaded, role), *_pooled(loaded, role)]

    def projected(role: str) -> list[Module]:
        layer = loaded.model.projections[role]
        return [_dense(layer, "Identity")] if isinstance(layer, nn.Linear) else []

    modules: list[Module]
    if loaded.encoder.towers_differ:
        both = {route: encoded(role) + projected(role) for role, route in ROUTES.items()}
        modules = [Router(both)]
    elif loaded.model.projections_differ:
        both = {route: projected(role) for role, route in ROUTES.items()}
        modules = [*encoded("query"), Router(both)]
    else:
        modules = encoded("query") + projected("query")
    return [*modules, Settings("Normalize", {})] if loaded.model.normalised else modules


def _pooled(loaded: LoadedModel, role: str) -> list[Module]:
    """Pooling; BERT's pooler is a dense layer over the first token."""
    pooling = loaded.encoder_options.pooling
    by = "mean" if pooling == "mean" else "cls"
    size = loaded.encoder.hidden_size
    settings = {
        "word_embedding_dimension": size,
        **{f"pooling_mode_{mode}": mode == f"{by}_token{'s' * (by == 'mean')}" for mode in MODES},
        "include_prompt": True,
    }
    modules: list[Module] = [Settings("Pooling", settings)]
    if pooling == "pooler":
        model: Any = loaded.encoder.models[role]
        layers = dict(model.pooler.named_children())
        if set(layers) != {"dense", "activation"} or not isinstance(layers["activation"], nn.Tanh):
            raise InputError(
                f"encoder.pooling: the pooler of {loaded.options.encoder.name} is not BERT's, so "
                "sentence-transformers has no module for it; only cells with pooling cls or mean "
                "can be exported"
            )
        modules.append(_dense(layers["dense"], "Tanh"))
    return modules


def _dense(layer: nn.Linear, activation: str) -> Settings:
    kind = f"torch.nn.modules.{'linear' if activation == 'Identity' else 'activation'}.{activation}"
    settings = {
        "in_features": layer.in_features,
        "out_features": layer.out_features,
        "bias": True,
        "activation_function": kind,
    }
    return Settings("Dense", settings, layer)


def write(loaded: LoadedModel, folder: Path, card: str) -> None:
    """Write a model, and its card as `README.md`.

    Args:
        loaded: the model.
        folder: which is not there yet, or empty.
        card: Markdown.

    Raises:
        InputError: the encoder's pooler is none that sentence-transformers can do.
        OSError: the folder is not empty, or cannot be written.
    """
    with new_folder(folder) as temporary:
        described = []
        for number, module in enumerate(pipeline(loaded)):
            path = f"{number}_{module.kind}" if number else ""
            module.write(temporary / path)
            described.append(
                {"idx": number, "name": str(number), "path": path, "type": type_of(module)}
            )
        write_text(temporary / "modules.json", json_text(described))
        settings: dict[str, object] = {
            "prompts": {
                ROUTES[role]: loaded.prompts[role] for role in ROUTES if loaded.prompts[role]
            },
            "default_prompt_name": None,
            "similarity_fn_name": "cosine" if loaded.model.normalised else "euclidean",
        }
        write_json(temporary / "config_sentence_transformers.json", settings)
        if loaded.pairs is not None:
            _write_pairs(loaded.pairs, temporary / CROSS_ENCODER)
        elif loaded.options.rerank > 1:
            head = {name: value.cpu() for name, value in loaded.model.head.state_dict().items()}
            write_safetensors(temporary / CLASSIFIER, head, {"format": "pt"})
        write_text(temporary / "README.md", card)
        write_text(temporary / OPTIONS, dump(loaded.options) + "\n")
        Manifest(FORMAT, program_version(), loaded.name).write(temporary / MANIFEST)


def _write_pairs(pairs: LoadedPairs, folder: Path) -> None:
    """Write a cross-encoder.

    A file of our own has the layer above, because no class of transformers has our pooling before a
    linear layer, and none knows the first stage's score.
    """
    _save(pairs.model.encoder.model, pairs.tokenizer, 2 * pairs.options.max_tokens, folder)
    weights = {name: value.cpu() for name, value in _above(pairs).state_dict().items()}
    write_safetensors(folder / CROSS_HEAD, weights, {"format": "pt"})


def _above(pairs: LoadedPairs) -> nn.Module:
    """What of a cross-encoder is not its encoder."""
    above = nn.Module()
    above.head = pairs.model.head
    above.register_buffer("mix", pairs.model.mix)
    return above


def read(folder: Path, device: torch.device) -> LoadedModel:
    """Read what `write` wrote.

    Raises:
        InputError: it is damaged, or of another version.
    """
    manifest = Manifest.read(folder / MANIFEST)
    if manifest.format != FORMAT:
        raise InputError(
            f"{folder / MANIFEST}: format {manifest.format}, written by counterpoint "
            f"{manifest.program}; this version reads {FORMAT}: export the cell again"
        )
    options = load_written(CellOptions, folder / OPTIONS)
    query, candidate = (folder / route_folder(route, 0, "Transformer") for route in ROUTES.values())
    separate = query.is_dir()
    here = {"name": str(query if separate else folder), "revision": None}
    encoder = options.encoder.model_copy(update=here)
    loaded = built(manifest.name, options.model_copy(update={"encoder": encoder}), device)
    if separate:
        _load(loaded.encoder.models["candidate"], candidate / WEIGHTS)
    for number, module in enumerate(pipeline(loaded)):
        place = folder / (f"{number}_{module.kind}" if number else "")
        if isinstance(module, Router):
            for route, modules in module.routes.items():
                for inner, one in enumerate(modules):
                    _load_layer(one, place / route_folder(route, inner, one.kind))
        else:
            _load_layer(module, place)
    if options.asks_pairs:
        pairs = _read_pairs(options.reranker.encoder, folder / CROSS_ENCODER, device)
        return replace(loaded, pairs=pairs)
    if options.rerank > 1:
        _load(loaded.model.head, folder / CLASSIFIER)
    return loaded


def _read_pairs(options: EncoderOptions, folder: Path, device: torch.device) -> LoadedPairs:
    """Read what `_write_pairs` wrote."""
    here = options.model_copy(update={"name": str(folder), "revision": None})
    pairs = built_pairs(inference_options(here), device)
    _load(_above(pairs), folder / CROSS_HEAD)
    return pairs


def _load_layer(module: Module, folder: Path) -> None:
    if isinstance(module, Settings) and module.layer is not None:
        _load(module.layer, folder / WEIGHTS, "linear.")


def _load(layer: nn.Module, path: Path, prefix: str = "") -> None:
    """Put a file's weights into a layer.

    Raises:
        InputError: the file is gone, damaged, or of another layer.
    """
    try:
        weights = {name.removeprefix(prefix): value for name, value in load_file(path).items()}
        layer.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: not the weights that were exported ({reason}); export the cell again"
        ) from error
