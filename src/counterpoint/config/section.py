"""A frozen part of the configuration, and the kinds of numbers that fields take."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from counterpoint.config.scalars import read_scalar, takes_text

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A frozen part of the configuration that refuses unknown keys.

    A section with a `main` key may be written as that key's value alone: `head: relu` is
    `head: {kind: relu}`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
    )
    main: ClassVar[str | None] = None
    younger: ClassVar[tuple[str, ...]] = ()
    """Options that results are older than: written only where they depart from their default, so
    that the keys, names and identities of those results stay."""

    @model_validator(mode="before")
    @classmethod
    def _scalar(cls, value: Any) -> Any:
        if cls.main is not None and isinstance(value, str | int | float):
            return {cls.main: value}
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _read_text(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        # Text given for a whole section stands for its main key, which decides itself.
        is_section = isinstance(annotation, type) and issubclass(annotation, Section)
        return value if is_section or takes_text(annotation) else read_scalar(value)

    @model_serializer(mode="wrap")
    def _as_before(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = written(self)
        for name in self.younger:
            if getattr(self, name) == type(self).model_fields[name].default:
                del values[name]
        return values


def leaves(values: Mapping[str, Any] | Section, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted path, also those that are not written; sequences as lists."""
    # A section's items are all its options, whatever is written of it.
    for key, value in values.items() if isinstance(values, Mapping) else values:
        if isinstance(value, Section | Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value


def whole(section: Section) -> dict[str, Any]:
    """All of a section's options as JSON has them, also those that are not written."""
    return {
        key: whole(value)
        if isinstance(value, Section)
        else list(value)
        if isinstance(value, tuple)
        else value
        for key, value in section
    }
