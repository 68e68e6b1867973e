"""What the page is made from."""

from dataclasses import dataclass
from functools import cached_property

from counterpoint.reporting.overview import Overview
from counterpoint.reporting.page.names import Axis, axes_of, labels_of
from counterpoint.runs.folder import Run


@dataclass(frozen=True)
class Contents:
    """A run's overview, what its cells are called, and how numbers are shown."""

    overview: Overview
    decimals: int

    @property
    def run(self) -> Run:
        """Whose page it is."""
        return self.overview.run

    @cached_property
    def axes(self) -> list[Axis]:
        """The axes of the matrix with their values."""
        return axes_of(self.run)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Cell to what it is called."""
        return labels_of(self.run)

    @property
    def asked(self) -> str:
        """The split of the answer: test, or dev where it is the same folder or has no score."""
        return self.overview.asked
