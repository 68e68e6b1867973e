"""Questions that wait are asked in one call; a full queue, an error or a leaver harms no other."""

from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from counterpoint.retrieval.asking import Question
from counterpoint.serve.batching import Batcher, QueueFull
from tests.support.serving import StandIn, answers_to


@pytest.fixture
def asker() -> Iterator[StandIn]:
    made = StandIn()
    yield made
    made.let.set()


@pytest.fixture
def sizes() -> list[int]:
    return []


@pytest.fixture
def batcher(asker: StandIn, sizes: list[int]) -> Iterator[Batcher]:
    made = Batcher(asker, size=4, most=3, observe=sizes.append)
    made.start()
    yield made
    asker.let.set()
    made.stop()
    assert not made.is_alive


def hold(asker: StandIn, batcher: Batcher):
    """Keep the thread busy with a first question."""
    asker.let.clear()
    first = batcher.submit(Question("first"), 1)
    assert asker.asked.wait(60)
    return first


def test_what_comes_while_others_are_asked_goes_together(asker, batcher, sizes) -> None:
    first = hold(asker, batcher)
    rest = [batcher.submit(Question(name), 2) for name in "abcd"]
    assert len(batcher) == 4
    asker.let.set()
    assert len(first.result(60)) == 1
    for each in rest:
        assert each.result(60) == answers_to(Question(""))[:2]
    assert asker.calls == [["first"], ["a", "b", "c"], ["d"]]
    assert sizes == [1, 3, 1]


def test_each_gets_as_many_answers_as_it_wants(asker, batcher) -> None:
    hold(asker, batcher)
    few, many = batcher.submit(Question("few"), 1), batcher.submit(Question("many"), 3)
    asker.let.set()
    assert (len(few.result(60)), len(many.result(60))) == (1, 3)
    assert asker.depths == [1, 3]


def test_a_full_queue_refuses_and_goes_on(asker, batcher) -> None:
    hold(asker, batcher)
    waiting = [batcher.submit(Question(name), 1) for name in "abcd"]
    with pytest.raises(QueueFull):
        batcher.submit(Question("e"), 1)
    asker.let.set()
    assert all(each.result(60) for each in waiting)
    assert batcher.submit(Question("e"), 1).result(60)


@pytest.mark.parametrize("bad", ["fail", "refuse"])
def test_the_error_of_one_is_not_the_others(asker, batcher, bad: str) -> None:
    hold(asker, batcher)
    before, wrong, after = (batcher.submit(Question(name), 1) for name in ("a", bad, "b"))
    asker.let.set()
    assert before.result(60)
    assert after.result(60)
    assert bad[:4] in str(wrong.exception(60))
    assert asker.calls[1:] == [["a", bad, "b"], ["a"], [bad], ["b"]]


def test_who_has_gone_is_not_asked_for(asker, batcher) -> None:
    hold(asker, batcher)
    gone, stays = batcher.submit(Question("gone"), 1), batcher.submit(Question("stays"), 1)
    assert gone.cancel()
    asker.let.set()
    assert stays.result(60)
    with pytest.raises(CancelledError):
        gone.result(60)
    assert asker.calls == [["first"], ["stays"]]


def test_what_waits_at_the_end_is_answered_and_nothing_later_taken(asker) -> None:
    batcher = Batcher(asker, size=4, most=3, observe=lambda _: None)
    waiting = [batcher.submit(Question(name), 1) for name in "abc"]
    batcher.start()
    batcher.stop()
    assert all(each.done() for each in waiting)
    with pytest.raises(QueueFull):
        batcher.submit(Question("late"), 1)
