"""What a person says of an imported log: the values that it has on axes of the matrix."""

from collections.abc import Iterable

from counterpoint.config.axes import option_path
from counterpoint.config.loading import InvalidOptions
from counterpoint.config.matrix import NAMED_BY_COLUMN, make_cell, option_values
from counterpoint.config.options import CellOptions
from counterpoint.config.scalars import Scalar, read_scalar
from counterpoint.errors import InputError

SOURCE = "--axis"


def read_axes(given: Iterable[str]) -> dict[str, Scalar]:
    """Axes as they are given, `fusion=concat`, by the names that they have in tables.

    Raises:
        InputError: one that is no option of a cell, is given twice, or has a value that is not
            valid, alone or beside the others.
    """
    setting: dict[str, Scalar] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"{SOURCE} {text}: expected AXIS=VALUE, such as fusion=concat")
        path = option_path(name, f"{SOURCE} {text}")
        if path in setting:
            raise InputError(f"{SOURCE} {text}: {path} is given twice; give it once")
        setting[path] = read_scalar(value)
    try:
        options = option_values(make_cell(CellOptions(), setting).options)
    except InvalidOptions as error:
        reasons = "; ".join(str(problem) for problem in error.problems)
        raise InputError(f"{SOURCE}: not values of a cell: {reasons}") from error
    return {NAMED_BY_COLUMN.get(path, path): options[path] for path in setting}
