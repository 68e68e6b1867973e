"""Questions of concurrent requests share a forward pass: one thread asks, the others wait."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from counterpoint.retrieval.asking import Answer, Question


class Asks(Protocol):
    """What answers questions, as `retrieval.asking.Asker` does; by one thread at a time."""

    def ask(self, questions: Sequence[Question], k: int) -> list[list[Answer]]:
        """The k best answers to each question, best first."""


class QueueFull(Exception):
    """As many questions wait as may wait; the same one can be asked again a little later."""


@dataclass(frozen=True)
class _Waiting:
    question: Question
    k: int
    answers: "Future[list[Answer]]" = field(default_factory=Future)


class Batcher:
    """Asks whatever waits in one call, as soon as the call before has ended.

    Nobody waits for others to come: a question that comes alone is asked at once, and those that
    come while it is answered go together.

    Args:
        asker: is called by one thread alone.
        size: questions that may wait.
        most: questions of one call.
        observe: is told the number of questions of each call.
    """

    def __init__(
        self, asker: Asks, *, size: int, most: int, observe: Callable[[int], None]
    ) -> None:
        self._asker = asker
        self._most = most
        self._observe = observe
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(size)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="asker", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what waits, then end. Called where nobody submits any more."""
        self._stopped = True
        self._queue.put(None)
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether anyone answers."""
        return self._thread.is_alive()

    def __len__(self) -> int:
        """Number of questions that wait."""
        return self._queue.qsize()

    def submit(self, question: Question, k: int) -> "Future[list[Answer]]":
        """Put a question behind those that wait; cancelling the future takes it out again.

        Raises:
            QueueFull: too many wait, or nobody answers any more.
        """
        waiting = _Waiting(question, k)
        if self._stopped:
            raise QueueFull
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            raise QueueFull from None
        return waiting.answers

    def _run(self) -> None:
        last = False
        while not last:
            batch, last = self._take()
            # Whoever has gone away is not asked for.
            running = [each for each in batch if each.answers.set_running_or_notify_cancel()]
            if running:
                self._answer(running)

    def _take(self) -> tuple[list[_Waiting], bool]:
        """What waits, at least one question; and whether it is the last."""
        batch: list[_Waiting] = []
        while len(batch) < self._most:
            try:
                found = self._queue.get(block=not batch)
            except queue.Empty:
                break
            if found is None:
                return batch, True
            batch.append(found)
        return batch, False

    def _answer(self, running: Sequence[_Waiting]) -> None:
        self._observe(len(running))
        try:
            found = self._asker.ask(
                [each.question for each in running], max(each.k for each in running)
            )
        except Exception as error:  # noqa: BLE001  raised again by whoever waits for it
            if len(running) == 1:
                running[0].answers.set_exception(error)
                return
            # One question's error is not the others'.
            for each in running:
                self._answer([each])
            return
        for each, answers in zip(running, found, strict=True):
            each.answers.set_result(answers[: each.k])
