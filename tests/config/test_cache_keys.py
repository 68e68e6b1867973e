"""Which cells share tokens and frozen features."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.config.cache_keys import features_key, shared_options, tokens_key
from counterpoint.config.options import EncoderOptions, PromptOptions

some_options = st.builds(
    EncoderOptions,
    name=st.one_of(
        st.sampled_from(["all-MiniLM-L6-v2", "a/b", "a-b", "a b", "a_b", "..", "../..", "-", "é"]),
        st.text(min_size=1, max_size=60),
    ),
    pooling=st.sampled_from(["pooler", "cls", "mean"]),
    max_tokens=st.sampled_from([8, 64, 256]),
    trainable=st.sampled_from(["none", "all", 1, 2]),
    towers=st.sampled_from(["shared", "separate"]),
    batch_tokens=st.sampled_from([64, 4096]),
)


def matters(options: EncoderOptions) -> tuple[str, str, int]:
    return options.name, options.pooling, options.max_tokens


@settings(max_examples=50, deadline=None)
@given(left=some_options, right=some_options)
def test_keys_agree_when_name_pooling_and_tokens_do(
    left: EncoderOptions, right: EncoderOptions
) -> None:
    assert (features_key(left) == features_key(right)) == (matters(left) == matters(right))


@settings(max_examples=50, deadline=None)
@given(options=some_options)
def test_what_frozen_outputs_do_not_depend_on_changes_no_key(options: EncoderOptions) -> None:
    plain = EncoderOptions(
        name=options.name, pooling=options.pooling, max_tokens=options.max_tokens
    )
    assert features_key(options) == features_key(plain)
    # The budget of a batch changes outputs by rounding alone, and is what a small memory needs.
    assert shared_options(options) == plain.model_copy(
        update={"batch_tokens": options.batch_tokens, "precision": "float32"}
    )


@settings(max_examples=50, deadline=None)
@given(left=some_options, right=some_options)
def test_tokens_are_shared_whatever_the_pooling(
    left: EncoderOptions, right: EncoderOptions
) -> None:
    same = (left.name, left.max_tokens) == (right.name, right.max_tokens)
    assert (tokens_key(left) == tokens_key(right)) == same


@settings(max_examples=50, deadline=None)
@given(options=some_options)
def test_a_key_is_a_safe_folder_name(options: EncoderOptions) -> None:
    key = features_key(options)
    assert re.fullmatch(r"[A-Za-z0-9.-]+", key)
    assert key not in (".", "..")
    assert len(key) <= 100


@pytest.mark.parametrize(
    "change",
    [
        {"name": "bert-base-uncased"},
        {"name": "sentence-transformers/all-MiniLM-L6-v2"},
        {"revision": "main"},
        {"pooling": "cls"},
        {"max_tokens": 255},
    ],
)
def test_each_thing_that_matters_changes_the_key(change: dict[str, str | int]) -> None:
    base = EncoderOptions()
    assert features_key(base.model_copy(update=change)) != features_key(base)


def test_names_that_look_alike_in_a_folder_name_have_their_own_keys() -> None:
    names = ["a/b", "a-b", "a b", "a_b", "/a/b", "x" * 41, "y" + "x" * 40]
    assert len({features_key(EncoderOptions(name=name)) for name in names}) == len(names)


def test_folders_of_before_there_were_revisions_and_prompts_keep_their_names() -> None:
    bundled = EncoderOptions()
    assert tokens_key(bundled) == "all-MiniLM-L6-v2-256-975730c3"
    assert features_key(bundled) == "all-MiniLM-L6-v2-256-975730c3-mean"
    of_hub = EncoderOptions(name="org/bert", pooling="cls", max_tokens=64)
    assert features_key(of_hub) == "org-bert-64-41292bd9-cls"
    pinned = of_hub.model_copy(update={"revision": "v1"})
    assert tokens_key(pinned) != tokens_key(of_hub)
    assert shared_options(pinned).revision == "v1"


def test_options_that_are_younger_than_results_are_written_where_they_say_something() -> None:
    assert not {"revision", "prompts"} & EncoderOptions().model_dump().keys()
    options = EncoderOptions(revision="v1", prompts=PromptOptions(query=""))
    written = options.model_dump()
    assert written["revision"] == "v1"
    assert written["prompts"] == {"query": "", "candidate": None}
    assert EncoderOptions.model_validate(written) == options


def test_prompts_have_keys_of_their_own() -> None:
    given = [
        PromptOptions(query=query, candidate=candidate)
        for query in (None, "", "query: ")
        for candidate in (None, "", "passage: ")
    ]
    options = [EncoderOptions(prompts=prompts) for prompts in given]
    assert len({tokens_key(encoder) for encoder in options}) == len(given)
    assert len({features_key(encoder) for encoder in options}) == len(given)
    assert [shared_options(encoder).prompts for encoder in options] == given


def test_a_key_tells_what_it_stands_for() -> None:
    key = features_key(EncoderOptions(name="org/bert", pooling="cls", max_tokens=64))
    assert key.startswith("org-bert-64-")
    assert key.endswith("-cls")
