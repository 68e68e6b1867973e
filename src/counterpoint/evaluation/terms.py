"""What of a text TF-IDF and BM25 count: words less stop words, or pairs of characters.

English goes by the rules of the two libraries themselves. Other languages go by those of this
module, the same for both baselines.
"""

import unicodedata
from collections.abc import Callable
from functools import cache

from counterpoint.config.languages import is_spaceless, spaceless_class

Analyser = Callable[[str], list[str]]
"""A text to the terms that count, in order, with repetitions."""


def stop_words(language: str) -> frozenset[str]:
    """The stop words of a language by the collection stopwords-iso; none where it has none."""
    import langcodes
    import stopwordsiso

    # Bokmål is `nb` to one and `no` to the other.
    code = langcodes.closest_supported_match(language, sorted(stopwordsiso.langs()), max_distance=1)
    return frozenset() if code is None else frozenset(map(_folded, stopwordsiso.stopwords(code)))


@cache
def analyser(language: str) -> Analyser:
    """Texts of a language, English apart, to terms.

    Words are two or more letters, digits or marks that belong to letters, in lower case, less the
    stop words. Of a language without spaces between words each two neighbouring characters are a
    term, as in Lucene's CJK analysis, and so is a character that stands alone; nothing of that is
    a stop word. What such a text holds in other scripts is words.
    """
    import regex  # whose \w has the vowel signs of Indian scripts, which part words for `re`

    word = regex.compile(r"\w\w+")
    stops = stop_words(language)

    def words(text: str) -> list[str]:
        return [found for found in word.findall(_folded(text)) if found not in stops]

    if not is_spaceless(language):
        return words
    inner = spaceless_class()
    part = regex.compile(rf"[{inner}\p{{M}}]*[{inner}][{inner}\p{{M}}]*|[^\W{inner}]+")
    has_inner = regex.compile(f"[{inner}]")

    def pairs(text: str) -> list[str]:
        terms = []
        for run in part.findall(_folded(text)):
            if has_inner.search(run):
                terms += [run[at : at + 2] for at in range(max(1, len(run) - 1))]
            elif len(run) > 1 and run not in stops:
                terms.append(run)
        return terms

    return pairs


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()
