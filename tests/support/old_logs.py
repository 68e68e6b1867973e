"""Text logs as the original study's scripts print them."""

from collections.abc import Iterator, Sequence

from counterpoint.study.old_log_text import ROLES


def lines_of(
    epochs: Sequence[tuple[float | str, ...]],
    *,
    losses: tuple[object, ...] = (3.0, 1.0),
    opening: bool = True,
    first: int = 0,
) -> Iterator[str]:
    """A log as the original study's scripts print it, train, dev and test of each epoch given."""
    for number, accuracies in enumerate(epochs, first):
        if opening:
            yield f"开始第{number}个epoch的训练"
        for batch, loss in enumerate(losses):
            yield f"当前第{10 * batch}个mini batch，当前loss为{loss}"
        for word, accuracy in zip(ROLES, accuracies, strict=False):
            yield f"{word}top1 accuracy为{accuracy}"


THREE: list[tuple[float | str, ...]] = [(0.25, 0.125, 0.0), (0.5, 0.75, 0.5), (0.5, 0.25, 0.25)]


def text_of(lines: Iterator[str] | list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
