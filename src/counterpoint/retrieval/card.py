"""The card of an exported model: what it is, how it was trained, how good it is, what leaks."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from huggingface_hub import EvalResult, ModelCardData

from counterpoint.config.options import CellOptions
from counterpoint.encoders.names import BUNDLED, PUBLISHER
from counterpoint.evaluation.scoring import select
from counterpoint.io.text import json_text, markdown_table, percent_interval
from counterpoint.reporting.scores import current_scores
from counterpoint.results.files import Provenance
from counterpoint.retrieval.systems import UNTRAINED
from counterpoint.runs.folder import CellFolder, Run
from counterpoint.tasks.protocols import CLEAN

PROTOCOLS_SHOWN = {CLEAN.name: "unseen queries", "official": "all queries"}
"""What the card tells, and which queries each asks."""

TASKS_SHOWN = {"epa": "all arguments", "epc": "all counters", "sdoc": "opposing ones of the debate"}
"""By task, among what a counter is sought."""


@dataclass(frozen=True)
class Stated:
    """What the user states, which nobody else can know."""

    licence: str | None = None
    """Of the model, as the hub spells it (`mit`, `cc-by-4.0`, …)."""
    corpus: str | None = None
    """What the corpus is called; the name of its file or folder where it is not said."""
    corpus_licence: str | None = None


@dataclass(frozen=True)
class Trained:
    """Where a model was trained; None for what is not known of a cell without its run."""

    run: Run | None
    name: str
    folder: CellFolder | None
    """None for the untrained encoder."""
    options: CellOptions


def card(trained: Trained, stated: Stated, repository: str) -> str:
    """The model card, Markdown with the hub's metadata.

    Args:
        trained: the system.
        stated: what only the user knows.
        repository: what the folder is called where it is used.
    """
    scores = _scores(trained)
    return "\n\n".join(
        [
            f"---\n{_metadata(trained, stated, scores)}\n---",
            f"# {repository}",
            _what(trained),
            _use(trained, repository),
            _training(trained, stated),
            _results(trained, scores),
            _limits(trained),
        ]
    ) + "\n"  # fmt: skip


def _scores(trained: Trained) -> pd.DataFrame:
    """accuracy@1 of the system and of the baselines on what the card shows; may be empty."""
    if trained.run is None:
        return pd.DataFrame()
    scores = select(current_scores(trained.run), metric="accuracy@1")
    last = "reranked" if trained.options.rerank > 1 and trained.folder is not None else "retrieval"
    own = (scores["cell"] == trained.name) & (scores["stage"] == last)
    baseline = scores["cell"].str.startswith("baseline/")
    shown = scores["protocol"].isin(list(PROTOCOLS_SHOWN)) & scores["task"].isin(list(TASKS_SHOWN))
    held_out = scores["split"].isin(list(trained.run.held_out))
    return scores[(own | baseline) & shown & held_out]


def _metadata(trained: Trained, stated: Stated, scores: pd.DataFrame) -> str:
    name = trained.options.encoder.name
    data = ModelCardData(
        model_name=trained.name,
        base_model=_hub_name(name),
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        language=trained.run.config.corpus.language if trained.run else None,
        license=stated.licence,
        tags=["sentence-transformers", "counterargument-retrieval", "counterpoint"],
        eval_results=[_result(trained, stated, row) for row in _own(trained, scores)] or None,
    )
    return str(data.to_yaml()).strip()


def _own(trained: Trained, scores: pd.DataFrame) -> list[Any]:
    if scores.empty:
        return []
    return list(scores[scores["cell"] == trained.name].itertuples())


def _result(trained: Trained, stated: Stated, row: Any) -> EvalResult:
    return EvalResult(
        task_type="text-retrieval",
        task_name=f"counterargument among {TASKS_SHOWN[row.task]} ({row.task})",
        dataset_type=_corpus_name(trained, stated),
        dataset_name=_corpus_name(trained, stated),
        # The hub tells results apart by this and the split.
        dataset_config=f"{row.protocol}-{row.task}",
        dataset_split=row.split,
        metric_type="accuracy@1",
        metric_name=f"accuracy@1, {PROTOCOLS_SHOWN[row.protocol]}",
        metric_value=round(float(row.value), 4),
    )


def _hub_name(encoder: str) -> str | None:
    """What the hub calls an encoder; None for a folder."""
    if encoder.removeprefix(PUBLISHER) in BUNDLED:
        return f"{PUBLISHER}{encoder.removeprefix(PUBLISHER)}"
    return encoder if encoder.count("/") == 1 and not encoder.startswith(("/", ".", "~")) else None


def _corpus_name(trained: Trained, stated: Stated) -> str:
    if stated.corpus is not None or trained.run is None:
        return stated.corpus or "unknown"
    # Without the folders that lead there, which are the user's own business.
    corpus = trained.run.config.corpus
    return str(corpus.url or corpus.path).rstrip("/").rsplit("/", 1)[-1]


def _what(trained: Trained) -> str:
    options = trained.options
    if trained.folder is None:
        made = f"It is {options.encoder.name} as it comes: nothing was trained."
    elif options.encoder.trainable == "none":
        made = f"The encoder, {options.encoder.name}, stayed frozen; what is above it was trained."
    else:
        layers = "all" if options.encoder.trainable == "all" else f"{options.encoder.trainable} top"
        made = f"It was fine-tuned from {options.encoder.name} ({layers} layers)."
    second = ""
    if options.asks_pairs:
        second = (
            " A cross-encoder (`cross-encoder/`), fine-tuned from "
            f"{options.reranker.encoder.name}, reads the argument together with each of the "
            f"{options.rerank} nearest texts and re-orders these."
        )
    elif options.rerank > 1:
        second = f" A classifier (`classifier/`) re-orders the {options.rerank} nearest texts."
    return (
        "This model finds the counterargument to an argument: both are encoded, and the nearest "
        f"text answers. {made}{second} It was made with Counterpoint, which finds out which way of "
        "training such a retriever works."
    )


def _use(trained: Trained, repository: str) -> str:
    encoder = trained.options.encoder
    apart = "separate" in (trained.options.projection.towers, encoder.towers)
    own = "layers" if apart else "prompts"
    why = (
        f"Points and counters have {own} of their own, so use the two methods and never `encode`."
        if apart or encoder.prompts.query != encoder.prompts.candidate
        else "Points and counters are encoded alike."
    )
    return f"""## Use

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{repository}")
points = model.encode_query(["Cars pollute."])
counters = model.encode_document(["Cars bring freedom.", "Zoos are cruel."])
print(model.similarity(points, counters))  # the highest answers
```

{why} With Counterpoint, which also re-ranks{_how_it_re_ranks(trained.options)}:

```python
import counterpoint

retriever = counterpoint.Retriever.load("{repository}")
print(retriever.search(["Cars pollute."], ["Cars bring freedom.", "Zoos are cruel."]))
```

Counterpoint joins runs of white space in a text to one blank before it is encoded; \
sentence-transformers does not, which matters for tokenizers that see white space."""


def _how_it_re_ranks(options: CellOptions) -> str:
    """Where sentence-transformers cannot follow."""
    if not options.asks_pairs:
        return " where there is a classifier"
    return (
        ": the score of a pair is a · logit − b · d² / 2, where the logit is a linear layer's over "
        f"the cross-encoder's output ({options.reranker.encoder.pooling}) for both texts in one "
        "sequence, and d the distance of their vectors; `cross-encoder/head.safetensors` has the "
        "layer as `head`, and a and b, which were chosen on dev, as `mix`. The probability is the "
        "score's sigmoid"
    )


def _training(trained: Trained, stated: Stated) -> str:
    licence = stated.corpus_licence or "not stated"
    lines = [
        f"- Corpus: {_corpus_name(trained, stated)}",
        f"- Licence of the corpus, as stated by who exported the model: {licence}",
    ]
    if trained.folder is not None and trained.folder.provenance.is_file():
        made = Provenance.read(trained.folder.provenance)
        packages = ", ".join(f"{name} {number}" for name, number in made.packages.items() if number)
        lines += [
            f"- Hash of the corpus's ids, texts and roles: {made.corpus}",
            f"- Program: counterpoint {made.counterpoint}, commit {made.commit or 'unknown'}, code "
            f"{made.code}",
            f"- Random seed: {made.seed}",
            f"- Machine: {made.device}, {made.threads} threads, Python {made.python}, {packages}",
        ]
    elif trained.folder is None:
        lines.append("- Nothing was trained, so there is no record of a training.")
    else:
        lines.append("- How it was trained is not recorded: its folder has no provenance.json.")
    return "\n".join(
        [
            *("## Training", "", *lines, "", "All options:", ""),
            f"```json\n{json_text(trained.options.model_dump(mode='json')).strip()}\n```",
        ]
    )


def _results(trained: Trained, scores: pd.DataFrame) -> str:
    if scores.empty:
        return "## Results\n\nNone are known: the cell was exported without its run."
    rows = [
        {
            "split": split,
            "queries": f"{PROTOCOLS_SHOWN[protocol]} (`{protocol}`)",
            "sought among": f"{TASKS_SHOWN[task]} (`{task}`)",
            "n": int(group["n"].max()),
            **_beside(trained, group),
        }
        for split in scores["split"].unique()
        for protocol in PROTOCOLS_SHOWN
        for task in TASKS_SHOWN
        for group in [select(scores, split=split, protocol=protocol, task=task)]
        if len(group)
    ]
    return (
        "## Results\n\naccuracy@1 in %, with 95 % intervals (bootstrap over debates). The unseen "
        "queries are those whose point and counter are not in the training split.\n\n"
        + markdown_table(rows)
    ).rstrip()


def _beside(trained: Trained, group: pd.DataFrame) -> dict[str, str]:
    """The scores of some queries by what a table calls their systems, the model first."""
    rows: dict[str, Any] = {str(row.cell): row for row in group.itertuples()}
    ordered = sorted(rows, key=lambda name: name != trained.name)
    return {
        "this model" if name == trained.name else name.removeprefix("baseline/"): percent_interval(
            rows[name].value, rows[name].low, rows[name].high, 1
        )
        for name in ordered
    }


def _limits(trained: Trained) -> str:
    lines = ["## What leaks, and what to mind", ""]
    if trained.run is not None:
        decontaminated = trained.run.config.corpus.decontaminate == "train"
        lines.append(
            "- Training pairs that share a text with dev or test were left out."
            if decontaminated
            else "- Texts of dev and test that also stand in the training split were trained on. "
            "The protocol `official` asks their queries too, so its scores "
            "are too high for new arguments; `clean` leaves them out."
        )
        if trained.run.config.corpus.splits.dev == trained.run.config.corpus.splits.test:
            lines.append("- dev and test are the same split, and choices were made on it.")
    lines += [
        f"- Texts are cut to {trained.options.encoder.max_tokens} tokens.",
        "- It finds texts that answer an argument in form and topic. It does not judge whether "
        "they are true, fair or harmless.",
    ]  # fmt: skip
    if trained.options.evaluation.first_stage != "dense":
        lines.append(
            "- Its scores are those of a first stage in which BM25 ranks too; its vectors alone "
            "have others."
        )
    if trained.name == UNTRAINED:
        lines.append("- It does not tell support from attack: nothing taught it to.")
    return "\n".join(lines)
