"""Whether texts are written as their language is."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from counterpoint.config.languages import scripts_of

MOST_TEXTS = 1000
"""Texts that are looked at, spread over all."""

MOST_CHARACTERS = 500
"""Characters of each."""

OFTEN = 0.5
"""Share of the letters in other scripts from which on the language is doubted."""


def script_doubts(texts: Sequence[str], language: str) -> list[str]:
    """A line that tells that most letters of some texts are not of the language's script, or none.

    Args:
        texts: of a corpus.
        language: that the corpus is said to be in.
    """
    import regex

    letter = regex.compile(r"\p{L}")
    own = regex.compile("[" + "".join(rf"\p{{Script={s}}}" for s in scripts_of(language)) + "]")
    step = max(1, len(texts) // MOST_TEXTS)
    letters = Counter(
        found for text in texts[::step] for found in letter.findall(text[:MOST_CHARACTERS])
    )
    others = Counter({found: count for found, count in letters.items() if not own.match(found)})
    share = others.total() / max(1, letters.total())
    if share <= OFTEN:
        return []
    families: Counter[str] = Counter()
    for found, count in others.items():
        # `CYRILLIC SMALL LETTER A`: a letter's name begins with its script.
        families[unicodedata.name(found, "UNNAMED").partition(" ")[0]] += count
    [(family, _)] = families.most_common(1)
    return [
        f"{share:.0%} of the letters are in another script than {language!r} is written in "
        f"({family} letters most often); is corpus.language, or --language, right?"
    ]
