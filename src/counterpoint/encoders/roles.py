"""What an encoder has for each role: one for both, or one for each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

ROLES = ("query", "candidate")
"""What a text may be encoded as."""


@dataclass(frozen=True)
class ByRole(Generic[T]):
    """Something for queries and for candidates; the same object where it serves both."""

    query: T
    candidate: T

    def __getitem__(self, role: str) -> T:
        return {"query": self.query, "candidate": self.candidate}[role]

    @property
    def differ(self) -> bool:
        """Whether each role has its own."""
        return self.query is not self.candidate

    @property
    def roles(self) -> "ByRole[str]":
        """The roles' names; one name where one object serves both."""
        return ByRole("query", "candidate") if self.differ else both("candidate")

    def map(self, make: Callable[[T], U]) -> "ByRole[U]":
        """What is made of each; once where they are the same."""
        candidate = make(self.candidate)
        return ByRole(make(self.query), candidate) if self.differ else both(candidate)


def both(one: T) -> ByRole[T]:
    """One for both roles."""
    return ByRole(one, one)
