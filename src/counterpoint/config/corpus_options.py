"""The options of a corpus."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from counterpoint.config import languages
from counterpoint.config.section import Section


class Splits(Section):
    """The folder that plays each role."""

    train: str = "training"
    """Pairs to train on."""
    dev: str = "validation"
    """Pairs that decisions are made on."""
    test: str = "test"
    """Pairs that are only evaluated on; may be the dev folder again."""


class Columns(Section):
    """The names that a file of pairs has for our columns; `null` where it has ours, or none."""

    point: str | None = None
    """Of the points."""
    counter: str | None = None
    """Of the counters."""
    debate: str | None = None
    """Of the debates."""
    theme: str | None = None
    """Of the themes."""
    side: str | None = None
    """Of the sides."""
    split: str | None = None
    """Of the splits."""

    def named(self) -> dict[str, str]:
        """Those that the file has another name for."""
        return {ours: name for ours, name in self if name is not None}


class CorpusOptions(Section):
    """Where the debates come from."""

    main: ClassVar[str | None] = "path"

    path: str | None = "sample"
    """`sample` (shipped with the package), a folder or zip in the layout of ArguAna Counterargs, or
    a file of pairs (`.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.json`, `.parquet`, or one of them and
    `.gz`); `$NAME` stands for an environment variable."""
    url: str | None = None
    """Where to download the zip from instead; needs `sha256`."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Checksum of the file at `url`, in lower-case hexadecimal."""
    splits: Splits = Splits()
    """The folder of each role."""
    columns: Columns = Columns()
    """Of a file of pairs: what it calls our columns, such as `{point: argument}`."""
    bad_files: Literal["stop", "skip"] = "stop"
    """What to do with files that cannot be used: report all and stop, or report and skip them."""
    decontaminate: Literal["none", "train"] = "none"
    """`train`: leave out training pairs that share a text with dev or test."""
    language: str = "en"
    """Of the texts, as ISO 639-1 has it: whose stop words TF-IDF and BM25 leave out, and whether
    they count words or, where words are not parted by spaces, pairs of characters."""

    @field_validator("language", mode="before")
    @classmethod
    def _norwegian(cls, value: Any) -> Any:
        return "no" if value is False else value  # as YAML reads the code

    @field_validator("language")
    @classmethod
    def _is_language(cls, value: str) -> str:
        if (fault := languages.fault(value)) is not None:
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.url is not None and self.path not in (None, "sample"):
            raise ValueError("give corpus.path or corpus.url, not both")
        if self.url is None and self.path is None:
            raise ValueError("give corpus.path or corpus.url")
        if self.url is not None and self.sha256 is None:
            raise ValueError("corpus.url needs corpus.sha256, the checksum of the file to expect")
        held_out = (self.splits.dev, self.splits.test)
        if self.decontaminate == "train" and self.splits.train in held_out:
            raise ValueError(
                f"corpus.decontaminate train would leave nothing of {self.splits.train!r}, which "
                "is the folder of dev or test too; give training a folder of its own"
            )
        return self
