"""Two texts as one sequence: what the tokenizer itself makes of them, and the same vectors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.texts import NumberedTexts
from counterpoint.encoders.encoder import gathered
from counterpoint.encoders.pairs import PairEncoder, PairTemplate, PairTokens
from counterpoint.encoders.tokens import tokenise
from counterpoint.errors import InputError

TEXTS = ["Cars are loud.", "Trains are loud too, and they run at night.", "Nobody walks.", "Ah"]
FIRST, SECOND = np.array([0, 1, 3, 2, 0]), np.array([1, 0, 2, 3, 3])


def texts(several: list[str]) -> NumberedTexts:
    numbers = {text: number for number, text in enumerate(several)}
    return NumberedTexts(several, numbers, np.arange(len(several)))


def options(folder: Path, **values: object) -> EncoderOptions:
    given = {"name": str(folder), "max_tokens": 24, "trainable": "all", "dropout": 0.0}
    return EncoderOptions.model_validate({**given, **values})


def pair_tokens(folder: Path, **values: object) -> PairTokens:
    tokens = tokenise(texts(TEXTS), options(folder, **values)).candidate
    return PairTokens(tokens, PairTemplate.of(AutoTokenizer.from_pretrained(folder)))


def roberta_like(folder: Path) -> Path:
    """The tiny BERT's words with the special tokens of RoBERTa: <s> A </s></s> B </s>."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = AutoTokenizer.from_pretrained(folder)
    backend = tokenizer.backend_tokenizer
    special = [("[CLS]", tokenizer.cls_token_id), ("[SEP]", tokenizer.sep_token_id)]
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] [SEP] $B [SEP]", special_tokens=special
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]"
    )
    made.save_pretrained(folder.with_name("roberta-like"))
    return folder.with_name("roberta-like")


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_pair_is_what_the_tokenizer_makes_of_it(family: str, tiny_bert: Path) -> None:
    folder = tiny_bert if family == "bert" else roberta_like(tiny_bert)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = pair_tokens(tiny_bert)
    pairs = PairTokens(pairs.tokens, PairTemplate.of(tokenizer))
    ids, types = pairs.sequences(FIRST, SECOND)
    made = [tokenizer(TEXTS[p], TEXTS[c], return_token_type_ids=True) for p, c in
            zip(FIRST, SECOND, strict=True)]  # fmt: skip
    assert ids.tolist() == [token for each in made for token in each["input_ids"]]
    assert types.tolist() == [of for each in made for of in each["token_type_ids"]]
    assert pairs.lengths(FIRST, SECOND).tolist() == [len(each["input_ids"]) for each in made]


def test_each_text_is_cut_to_its_own_budget(tiny_bert: Path) -> None:
    pairs = pair_tokens(tiny_bert, max_tokens=8)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    ids, _ = pairs.sequences(np.array([1]), np.array([0]))
    own = tokenizer(TEXTS[1], add_special_tokens=False)["input_ids"]
    other = tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert len(own) > 6
    assert ids.tolist() == [cls, *own[:6], sep, *other[:6], sep]


def test_vectors_are_those_of_the_model_itself_in_one_piece_and_in_several(tiny_bert: Path) -> None:
    encoder = PairEncoder(options(tiny_bert), pair_tokens(tiny_bert)).eval()
    model = AutoModel.from_pretrained(tiny_bert).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    batch = tokenizer([TEXTS[p] for p in FIRST], [TEXTS[c] for c in SECOND], padding=True,
                      return_tensors="pt")  # fmt: skip
    assert batch["token_type_ids"].any()
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    expected = (states * mask).sum(dim=1) / mask.sum(dim=1)
    found = encoder(torch.from_numpy(FIRST), torch.from_numpy(SECOND))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    padded = gathered(encoder.embed(FIRST, SECOND), len(FIRST))
    torch.testing.assert_close(padded, expected, rtol=1e-4, atol=1e-5)

    def gradient() -> torch.Tensor:
        encoder.zero_grad()
        encoder(torch.from_numpy(FIRST), torch.from_numpy(SECOND)).square().sum().backward()
        (parameter, *_) = encoder.parameters()
        assert parameter.grad is not None
        return parameter.grad.clone()

    whole = gradient()
    assert encoder.back_off()
    torch.testing.assert_close(gradient(), whole, rtol=1e-4, atol=1e-5)


def test_two_texts_must_fit_into_the_model(tiny_bert: Path) -> None:
    with pytest.raises(InputError, match="66 is more than the 64 positions"):
        PairEncoder(options(tiny_bert, max_tokens=33), pair_tokens(tiny_bert))
