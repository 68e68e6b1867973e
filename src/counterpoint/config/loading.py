"""YAML, JSON and command-line values to validated options, with messages that name the key."""

import copy
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from counterpoint.config.options import RunConfig, Section
from counterpoint.errors import InputError

SomeSection = TypeVar("SomeSection", bound="Section")


def load(values: Mapping[str, Any], source: str) -> RunConfig:
    """Validate a whole configuration.

    Args:
        values: what the YAML files and command-line overrides add up to.
        source: where they came from, for the message.

    Raises:
        InputError: one line for each thing wrong, with the nearest known key for unknown ones.
    """
    return parse(RunConfig, values, source)


def load_options(
    kind: type[SomeSection], text_or_path: str, source: str = "--options"
) -> SomeSection:
    """Read a section from JSON text, or from a file of it such as a cell's `options.json`.

    Args:
        kind: of the section.
        text_or_path: text that begins with `{`, or a path.
        source: where the text came from, for the message.

    Raises:
        InputError: the file is no JSON, or holds something that is no option.
    """
    data = text_or_path.encode("utf-8", "surrogateescape")
    if not text_or_path.lstrip().startswith("{"):
        data, source = Path(text_or_path).read_bytes(), text_or_path
    try:
        values = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: expected a JSON object of options: {error}") from error
    return parse(kind, values, source)


def parse(kind: type[SomeSection], values: Any, source: str) -> SomeSection:
    """Validate `values` as a section of the given kind; see `load`."""
    if not isinstance(values, Mapping):
        raise InputError(f"{source}: expected a mapping of options, found {values!r}")
    try:
        return _validate(kind, values)
    except ValidationError as error:
        # YAML 1.1 reads 3e-6 as text, and snakemake's --config all that is nested.
        read = copy.deepcopy(dict(values))
        changed = [_read_scalar(read, details["loc"]) for details in error.errors()]
        if any(changed):
            try:
                return _validate(kind, read)
            except ValidationError as again:
                error = again
        lines = [f"  {_explain(kind, details)}" for details in error.errors()]
    raise InputError(
        f"{source}: the configuration is not valid\n" + "\n".join(dict.fromkeys(lines))
    )


def _validate(kind: type[SomeSection], values: Mapping[str, Any]) -> SomeSection:
    # Through JSON, because strict validation then still takes lists and whole floats.
    return kind.model_validate_json(json.dumps(values, default=_refuse))


def _read_scalar(values: Any, location: tuple[int | str, ...]) -> bool:
    """Replace text at a place by the number, truth value or null that it spells; say if it did."""
    path = [part for part in location if not _is_branch(part)]
    for part in path[:-1]:
        if not isinstance(values, dict | list) or (isinstance(values, dict) and part not in values):
            return False
        # A list's part is its number, which mypy cannot tell from a key.
        values = values[part]  # type: ignore[index]
    text = values.get(path[-1]) if path and isinstance(values, dict) else None
    if not isinstance(text, str):
        return False
    try:
        values[path[-1]] = json.loads(text, parse_constant=str)
    except json.JSONDecodeError:
        return False
    return not isinstance(values[path[-1]], str | dict | list)


def _refuse(value: Any) -> str:
    # Dates and the like, which YAML makes of unquoted text: give the text back.
    return str(value)


def _explain(kind: type[Section], details: ErrorDetails) -> str:
    path = ".".join(str(part) for part in details["loc"] if not _is_branch(part))
    found = details["input"]
    if details["type"] == "extra_forbidden":
        return f"{path}: unknown key{suggest(path, known_paths(kind))}"
    if details["type"] == "missing":
        return f"{path}: missing; it has no default"
    reason = details["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(found, dict) else f" (found {json.dumps(found, ensure_ascii=False)})"
    return f"{path}: {reason}{shown}" if path else f"{reason}{shown}"


def _is_branch(part: int | str) -> bool:
    # pydantic names the branch of a union that it tried, as in `trainable.constrained-int`.
    return (
        isinstance(part, str)
        and re.search(r"[\[(]|^constrained-|^(str|int|float|bool|none)$", part) is not None
    )


def known_paths(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted path of every option of a section, sections themselves included."""
    for name, field in kind.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from known_paths(field.annotation, f"{prefix}{name}.")


def suggest(path: str, known: Iterator[str]) -> str:
    """`; did you mean …?` for the known path nearest to an unknown one, or nothing."""
    paths = list(known)
    leaf = path.rsplit(".", 1)[-1]
    by_leaf = {known_path.rsplit(".", 1)[-1]: known_path for known_path in reversed(paths)}
    if leaf in by_leaf:  # a known key in the wrong section
        return f"; did you mean {by_leaf[leaf]!r}?"
    for candidates, word in ((paths, path), (list(by_leaf), leaf)):
        nearest = difflib.get_close_matches(word, candidates, n=1, cutoff=0.7)
        if nearest:
            return f"; did you mean {by_leaf.get(nearest[0], nearest[0])!r}?"
    return "; see config/config.yaml for every key"


def dump(section: Section) -> str:
    """One line of JSON with sorted keys: the same text for the same options."""
    return json.dumps(section.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
