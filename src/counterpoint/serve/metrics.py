"""What Prometheus is told. No text of a request is among it."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
QUESTIONS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "counterpoint_requests",
            "Requests by route and HTTP status.",
            ("route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "counterpoint_search_seconds",
            "Seconds from a question to its answers, waiting included.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.batch = Histogram(
            "counterpoint_batch_questions",
            "Questions that were answered in one forward pass.",
            buckets=QUESTIONS,
            registry=self._registry,
        )
        self._waiting = Gauge(
            "counterpoint_waiting_questions", "Questions in the queue.", registry=self._registry
        )
        self._texts = Gauge(
            "counterpoint_index_texts", "Texts of the index.", registry=self._registry
        )

    def count(self, route: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()

    def watch(self, waiting: Callable[[], int], texts: int) -> None:
        """Say where the number of waiting questions is found, and the size of the index."""
        self._waiting.set_function(waiting)
        self._texts.set(texts)

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)
