"""Languages by their ISO 639-1 codes: which codes there are, and how each is written."""

ENGLISH = "en"

_WRITTEN_TOGETHER = {"Hans": "Hani", "Hant": "Hani", "Jpan": "Hani Hira Kana", "Kore": "Hang Hani"}
"""Codes of ISO 15924 that are no single script of Unicode, with those that they stand for."""

_SPACELESS = frozenset({"Hani", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
"""Scripts whose words are not parted by spaces."""


def fault(code: str) -> str | None:
    """What is wrong with a code of a language; None for an ISO 639-1 code."""
    if code == ENGLISH:
        return None
    import langcodes  # takes longer to import than most commands that need English alone

    if len(code) == 2 and code.isascii() and code.islower() and langcodes.tag_is_valid(code):
        return None
    hint = ""
    if len(code) == 2 and code.isalpha() and code.isascii():
        # The codes of countries are taken for those of their languages: cn for zh.
        spoken = langcodes.Language.make(territory=code.upper()).maximize().language
        hint = f"; did you mean {spoken!r}?" if spoken not in (None, ENGLISH) else ""
    return (
        f"{code!r} is no language; expected a code of ISO 639-1 in two small letters, such as "
        f"'en', 'de' or 'zh'{hint}"
    )


def scripts_of(language: str) -> tuple[str, ...]:
    """The scripts in which a language is most often written, by Unicode's short names."""
    if language == ENGLISH:
        return ("Latn",)
    import langcodes

    script = str(langcodes.Language.get(language).maximize().script)
    return tuple(_WRITTEN_TOGETHER.get(script, script).split())


def is_spaceless(language: str) -> bool:
    """Whether a language is written without spaces between its words, as Chinese and Thai are."""
    # Korean, which parts its words, has a script of its own beside the Chinese one.
    return set(scripts_of(language)) <= _SPACELESS


def spaceless_class() -> str:
    """The characters of those scripts, as a class of a pattern of the package `regex`."""
    # The mark of a long vowel belongs to no script of its own.
    return "".join(rf"\p{{Script={script}}}" for script in sorted(_SPACELESS)) + "\u30fc"
