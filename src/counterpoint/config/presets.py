"""The rates of random negatives that the original study advises, by the difficulty of the task."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

Ends = tuple[float, float, float]
"""The low end of a range, its middle and its high end."""


@dataclass(frozen=True)
class Preset:
    """The ranges of both rates of `mining`."""

    initial_random_rate: Ends
    decrease_rate: Ends

    @property
    def middle(self) -> dict[str, float]:
        """Rate to the middle of its range: the preset as a base option."""
        return {
            "initial_random_rate": self.initial_random_rate[1],
            "decrease_rate": self.decrease_rate[1],
        }

    @property
    def grid(self) -> list[tuple[float, float]]:
        """Both rates at the ends and the middle, nine pairs: the preset as an axis."""
        return list(itertools.product(self.initial_random_rate, self.decrease_rate))


PRESETS: Mapping[str, Preset] = {
    "easy": Preset((0.6, 0.65, 0.7), (0.03, 0.04, 0.05)),
    "medium": Preset((0.7, 0.75, 0.8), (0.01, 0.015, 0.02)),
    "hard": Preset((0.8, 0.85, 0.9), (0.005, 0.0075, 0.01)),
}
