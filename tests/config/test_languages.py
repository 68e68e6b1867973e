"""Codes of languages, and how each is written."""

import pytest
import regex

from counterpoint.config.languages import fault, is_spaceless, scripts_of, spaceless_class


@pytest.mark.parametrize(
    ("language", "scripts"),
    [
        ("en", ("Latn",)),
        ("de", ("Latn",)),
        ("ru", ("Cyrl",)),
        ("zh", ("Hani",)),
        ("ja", ("Hani", "Hira", "Kana")),
        ("ko", ("Hang", "Hani")),
        ("th", ("Thai",)),
    ],
)
def test_scripts_by_unicodes_names(language: str, scripts: tuple[str, ...]) -> None:
    assert fault(language) is None
    assert scripts_of(language) == scripts
    assert all(regex.compile(rf"\p{{Script={script}}}") for script in scripts)
    assert is_spaceless(language) == (language in ("zh", "ja", "th"))


@pytest.mark.parametrize("code", ["", "e", "eng", "EN", "xx", "en-US", "1a", "\u00e9n", "cz"])
def test_what_is_no_code_has_a_fault(code: str) -> None:
    assert repr(code) in str(fault(code))


def test_every_character_of_the_class_is_of_such_a_script() -> None:
    inner = regex.compile(f"[{spaceless_class()}]")
    assert all(inner.match(letter) for letter in "\u6b7b\u3042\u30a2\u30fc\u0e01\u0f40")
    assert not any(inner.match(letter) for letter in "a\uac00\u0430 1\u3002")
