"""YAML, JSON and command-line values to validated options, with messages that name the key."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from counterpoint.config.options import CellOptions
from counterpoint.config.origins import Source, origin
from counterpoint.config.renames import RENAMED, translate
from counterpoint.config.run_options import RunConfig
from counterpoint.config.section import Section
from counterpoint.errors import InputError

SomeSection = TypeVar("SomeSection", bound=Section)
SomeOptions = TypeVar("SomeOptions", bound=CellOptions)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an option."""

    path: str
    """Dotted, of the option; of a section whose options do not go together; or empty."""
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class InvalidOptions(InputError):
    """Options that cannot be used, with each thing that is wrong."""

    def __init__(self, problems: Sequence[Problem], source: Source) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        by_source: dict[str, list[str]] = {}
        for problem in self.problems:
            by_source.setdefault(origin(source, problem.path), []).append(f"  {problem}")
        super().__init__(
            "\n".join(
                "\n".join([f"{name}: the configuration is not valid", *lines])
                for name, lines in by_source.items()
            )
        )


def load(values: Mapping[str, Any], source: Source) -> RunConfig:
    """Validate a whole configuration.

    Args:
        values: what the YAML files and command-line overrides add up to (`layers.merge`).
        source: where they came from, for the message.

    Raises:
        InputError: one line for each thing wrong, with the nearest known key for unknown ones.
    """
    return parse(RunConfig, values, source)


def load_options(
    kind: type[SomeSection], text_or_path: str, source: str = "--options"
) -> SomeSection:
    """Read a section that a user gives: JSON text, or a file of it.

    Args:
        kind: of the section.
        text_or_path: text that begins with `{`, or a path.
        source: where the text came from, for the message.

    Raises:
        InputError: the file is no JSON, or holds something that is no option.
    """
    if text_or_path.lstrip().startswith("{"):
        return parse(
            kind, _decoded(text_or_path.encode("utf-8", "surrogateescape"), source), source
        )
    return parse(kind, _decoded(Path(text_or_path).read_bytes(), text_or_path), text_or_path)


def load_written(kind: type[SomeOptions], path: Path) -> SomeOptions:
    """Read what the program wrote itself: a run's `config.json` or a cell's `options.json`.

    Options that had another name when it was written are read by that name (`renames`).

    Args:
        kind: `RunConfig` or `CellOptions`.
        path: of the file.

    Raises:
        InputError: the file is no JSON, or holds something that never was an option.
    """
    values = _decoded(path.read_bytes(), str(path))
    return parse(kind, translate(values) if isinstance(values, Mapping) else values, str(path))


def _decoded(data: bytes, source: str) -> Any:
    try:
        return json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: expected a JSON object of options: {error}") from error


def parse(kind: type[SomeSection], values: Any, source: Source) -> SomeSection:
    """Validate `values` as a section of the given kind; see `load`."""
    if not isinstance(values, Mapping):
        raise InputError(f"{source}: expected a mapping of options, found {values!r}")
    # Through JSON, because strict validation then still takes lists and whole floats. Dates and the
    # like, which YAML makes of unquoted text, are text again.
    text = json.dumps(values, default=str)
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        given = json.loads(text)
        problems = [_explain(kind, given, details) for details in error.errors()]
        raise InvalidOptions(problems, source) from error


def _explain(kind: type[Section], values: Mapping[str, Any], details: ErrorDetails) -> Problem:
    path, found = _dotted(kind, values, details["loc"]), details["input"]
    if details["type"] == "extra_forbidden":
        return Problem(path, _unknown(kind, path, found))
    if details["type"] == "missing":
        return Problem(path, "missing; it has no default")
    section = dict(sections_of(kind)).get(path)
    if section is not None and isinstance(found, str | int | float):
        # Which of its options is meant nobody can tell.
        return Problem(path, f"name its options: {_inside(path, next(iter(section.model_fields)))}")
    reason = details["msg"].removeprefix("Value error, ")
    if path.startswith("matrix.axes.") and details["type"] == "list_type":
        reason = "expected a list of values; an option that is no axis has its base value"
    shown = "" if isinstance(found, dict) else f" (found {json.dumps(found, ensure_ascii=False)})"
    return Problem(path, f"{reason}{shown}")


def _unknown(kind: type[Section], path: str, found: Any) -> str:
    """What to say of a key that is none."""
    known = list(known_paths(kind))
    section, _, key = path.rpartition(".")
    if path in known:  # written with its dots
        return f"an option is given inside its section: {_inside(section, key, found)}"
    if new := _renamed(kind).get(path):
        return f"is called {new} now"
    meant = ending_in(path, known)
    if len(meant) == 1:  # without its section
        section = meant[0].rpartition(".")[0]
        return f"unknown key; did you mean {meant[0]!r}? That is {_inside(section, key, found)}"
    return f"unknown key{suggest(path, iter(known))}"


def _inside(section: str, key: str, value: Any = "…") -> str:
    """How an option is written, in YAML and on the command line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{section}: {{{key}: {text}}}, or --config {section}='{{{key}: {text}}}'"


def _dotted(kind: type[Section], values: Any, location: tuple[int | str, ...]) -> str:
    """The path of the key that an error is about.

    Parts that are neither a field nor in the values are names of validation's own steps, such as
    the branch of a union that it tried, and are left out.
    """
    parts: list[str] = []
    section: type[Section] | None = kind
    for part in location:
        is_field = section is not None and part in section.model_fields
        if not is_field and not _holds(values, part):
            continue
        parts.append(str(part))
        section = dict(sections_of(section)).get(str(part)) if section is not None else None
        values = values[part] if _holds(values, part) else None
    return ".".join(parts)


def _holds(values: Any, part: int | str) -> bool:
    if isinstance(values, list):
        return isinstance(part, int) and part < len(values)
    return isinstance(values, dict) and part in values


def _renamed(kind: type[Section]) -> Mapping[str, str]:
    """Old keys of a section to new ones; dotted where it holds the sections of a cell."""
    if issubclass(kind, CellOptions):
        return RENAMED
    prefixes = tuple(f"{name}." for name, section in sections_of(CellOptions) if section is kind)
    return {
        old.partition(".")[2]: new.partition(".")[2]
        for old, new in RENAMED.items()
        if old.startswith(prefixes)
    }


def sections_of(kind: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    """The keys of a section that are sections themselves, and their kinds."""
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield name, field.annotation


def known_paths(kind: type[Section], prefix: str = "") -> Iterator[str]:
    """The dotted path of every option of a section, sections themselves included."""
    inner = dict(sections_of(kind))
    for name in kind.model_fields:
        yield prefix + name
        if name in inner:
            yield from known_paths(inner[name], f"{prefix}{name}.")


def ending_in(name: str, paths: Iterable[str]) -> list[str]:
    """The paths whose last part is a name.

    A cross-encoder has options of the same names as a first stage, which are meant alone where they
    are said in full.
    """
    found = [path for path in paths if path.endswith(f".{name}")]
    return [path for path in found if not path.startswith("reranker.")] or found


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
