"""What is put before a text of each role: as the options say, or else as the model was trained."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterpoint.config.options import EncoderOptions, PromptOptions
from counterpoint.encoders.names import file_beside
from counterpoint.encoders.roles import ROLES, ByRole, both
from counterpoint.errors import InputError

SETTINGS = "config_sentence_transformers.json"
"""Where sentence-transformers writes a model's prompts."""

NAMES = {"query": ("query",), "candidate": ("document", "passage", "corpus", "candidate")}
"""Role to the names that models have for its prompt; the first one counts."""

Prompts = ByRole[str]

NO_PROMPTS: Prompts = both("")


def prompts_of(options: EncoderOptions, commit: str | None = None) -> Prompts:
    """The prompt of each role: the option, or where it is null the model's own, or else none.

    Args:
        options: `name`, `revision` and `prompts`.
        commit: of a model on the hub; None for what its revision is now.

    Raises:
        InputError: the model's prompts cannot be read, or it does not count a prompt's tokens in
            its mean, which our pooling does.
    """
    given = options.prompts
    own = NO_PROMPTS if None not in (given.query, given.candidate) else own_prompts(options, commit)
    prompts = ByRole(*(own[role] if (asked := getattr(given, role)) is None else asked
                       for role in ROLES))  # fmt: skip
    if any((prompts.query, prompts.candidate)):
        _check_pooling(options, commit)
    return prompts


def own_prompts(options: EncoderOptions, commit: str | None = None) -> Prompts:
    """The prompts that a model names itself, as sentence-transformers saves them.

    A default prompt is for every text, so it is taken where the model names none for a role.

    Raises:
        InputError: they are no texts by name, or the default one is not among them.
    """
    path, settings = _settings(options, commit, SETTINGS)
    prompts = settings.get("prompts") or {}
    default = settings.get("default_prompt_name")
    is_text = isinstance(prompts, Mapping) and all(
        text is None or isinstance(text, str) for text in prompts.values()
    )
    if not is_text or (default is not None and default not in prompts):
        raise InputError(
            f"{path}: expected prompts as texts by name, the one of default_prompt_name among "
            f"them, found prompts {prompts!r} and default_prompt_name {default!r}; mend the file, "
            "or set both of encoder.prompts"
        )
    named = {
        role: next((prompts[known] for known in names if prompts.get(known) is not None), None)
        for role, names in NAMES.items()
    }
    if named["query"] is None and named["candidate"] is None and default is not None:
        return both(prompts[default] or "")
    return ByRole(named["query"] or "", named["candidate"] or "")


def pinned(options: EncoderOptions, prompts: Prompts | None) -> EncoderOptions:
    """The options with prompts that nothing is read for any more; as they are for None."""
    if prompts is None:
        return options
    explicit = PromptOptions(query=prompts.query, candidate=prompts.candidate)
    return options.model_copy(update={"prompts": explicit})


def _check_pooling(options: EncoderOptions, commit: str | None) -> None:
    """Refuse a model that leaves its prompt out of what it pools; see `prompts_of`."""
    _, modules = _settings(options, commit, "modules.json")
    for module in modules if isinstance(modules, list) else []:
        if not str(module.get("type", "")).endswith("Pooling"):
            continue
        path, pooling = _settings(options, commit, f"{module.get('path', '')}/config.json")
        if pooling.get("include_prompt") is False:
            raise InputError(
                f"{path}: include_prompt is false: this model leaves its prompt out of the mean, "
                "which is not supported; set encoder.prompts: {query: '', candidate: ''} to encode "
                "without prompts, or use another model"
            )


def _settings(options: EncoderOptions, commit: str | None, file: str) -> tuple[Path | str, Any]:
    """A JSON file beside a model, and where it lies; an empty object where there is none."""
    path, known = file_beside(options, file, commit)
    if not known:
        warnings.warn(
            f"encoder.prompts: whether {options.name} has a {file} cannot be told without the hub; "
            "it is taken for one without. Set both of encoder.prompts to say what is so",
            stacklevel=2,
        )
    if path is None:
        return file, {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: not a JSON file ({error}); mend it, or download the model again"
        ) from error
    if not isinstance(values, dict | list) or (file == SETTINGS and isinstance(values, list)):
        raise InputError(f"{path}: expected a JSON object, found {type(values).__name__}")
    return path, values
