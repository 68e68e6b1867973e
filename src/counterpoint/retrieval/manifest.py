"""The manifest of an index: what it is made of, with a checksum of its own."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from counterpoint.results.files import JsonFile

FORMAT = 1
"""Of an index; raised where older programs would misread one."""

DType = Literal["float32", "float16"]
"""What vectors are stored as."""

DTYPES: tuple[DType, ...] = get_args(DType)

CHECK = "sha256"
"""Of the manifest's other fields, among them."""


@dataclass(frozen=True)
class Part:
    """Some of the documents."""

    name: str
    count: int
    vectors: str
    """SHA-256 of its vectors' file."""
    texts: str
    """SHA-256 of its texts' file."""
    removed: tuple[int, ...] = ()
    """Rows of it that are no longer searched, ascending."""


@dataclass(frozen=True)
class Approximate:
    """An approximate index over the first parts."""

    name: str
    sha256: str
    kind: str
    """As faiss's factory calls it."""
    parts: tuple[str, ...]
    """Names of the parts that it holds, in its order."""
    recall: float
    """Share of the exact ten nearest that it found."""
    queries: int
    """By which that was measured."""


@dataclass(frozen=True)
class Manifest(JsonFile):
    """`manifest.json`."""

    REMEDY = "build the index again with `counterpoint index`"

    format: int
    program: str
    """Version of the program that wrote it."""
    retriever: str
    """Name of the system."""
    fingerprint: str
    """Of the model; see `Retriever.fingerprint`."""
    dtype: DType
    width: int
    """d of e."""
    model: Mapping[str, str]
    """File of the model folder to its SHA-256."""
    columns: tuple[str, ...] = ()
    """Names of the metadata."""
    parts: tuple[Part, ...] = ()
    approximate: Approximate | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    """How it was asked for, for people: the collection and the system."""

    @classmethod
    def from_json(cls, values: Any) -> Any:
        """The fields, where they are as they were written."""
        fields = {key: value for key, value in values.items() if key != CHECK}
        if values[CHECK] != _digest(fields):
            raise ValueError("damaged, its checksum differs")
        return fields

    def to_json(self) -> dict[str, Any]:
        """The fields with their checksum."""
        # As JSON has them, which knows no tuples.
        fields = json.loads(json.dumps(super().to_json()))
        return {**fields, CHECK: _digest(fields)}


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Version(JsonFile):
    """What every version's manifest has."""

    REMEDY = Manifest.REMEDY

    format: int
    program: str
