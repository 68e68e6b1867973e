"""Whether texts are written as their language is."""

import pytest

from counterpoint.corpus.script import script_doubts


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["Prisons should be closed.", "123"], "en"),
        (["Schulen m\u00fcssen \u00f6ffnen"], "de"),
        (["\u5b66\u6821", "EU"], "zh"),
        (["\u3042\u30a2\u6f22"], "ja"),
        (["", "123 !"], "zh"),
        ([], "en"),
    ],
)
def test_texts_in_the_script_of_their_language_are_not_doubted(
    texts: list[str], language: str
) -> None:
    assert script_doubts(texts, language) == []


def test_texts_in_another_script_are_told_with_their_share() -> None:
    [line] = script_doubts(["\u042d\u0442\u043e", "a"], "en")
    assert line.startswith("75% of the letters are in another script than 'en' is written in (CYR")
    [line] = script_doubts(["English", "\u5b66\u6821"], "zh")
    assert "LATIN letters" in line


def test_all_of_many_texts_are_sampled() -> None:
    assert script_doubts(["a"] * 1500 + ["\u5b66"] * 3500, "en")
