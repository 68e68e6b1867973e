"""The options of one cell: read, validated, frozen.

A cell's options are the sections of `CellOptions`; a run adds to them (`run_options`). The JSON
schema in `workflow/schemas/` is generated from these classes (`counterpoint schema`), and the
docstring under each field is its description there.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from counterpoint.config.presets import PRESETS
from counterpoint.config.section import NonNegative, Positive, Probability, Section, whole

TopK = Annotated[int, Field(ge=1, strict=True)]
FirstStageKind = Literal["dense", "rrf", "zscores"]
TaskName = Literal["sdoc", "sdc", "sdoa", "sda", "stc", "sta", "epc", "epa"]


class PromptOptions(Section):
    """What is put before each text of a role, as the model was trained; its tokens count."""

    query: str | None = None
    """Before a query, such as `"query: "`; `null` for what the model's own
    `config_sentence_transformers.json` names, `""` for nothing."""
    candidate: str | None = None
    """Before a candidate, such as `"passage: "`; likewise."""


class EncoderOptions(Section):
    """The text encoder (docs/method.md, "The model")."""

    main: ClassVar[str | None] = "name"
    younger: ClassVar[tuple[str, ...]] = ("revision", "prompts")

    name: Annotated[str, Field(min_length=1)] = "all-MiniLM-L6-v2"
    """A folder, `all-MiniLM-L6-v2` (installed with the package), or a name on the hub."""
    revision: Annotated[str, Field(pattern=r"^\w[\w-]*([./][\w-]+)*$")] | None = None
    """The branch, tag or commit of a model on the hub; `null` for its branch `main`."""
    pooling: Literal["pooler", "cls", "mean"] = "mean"
    """What stands for the text: BERT's pooler output, the first token, or the masked mean."""
    max_tokens: Annotated[int, Field(ge=8, le=8192)] = 256
    """Longer texts are cut to this many tokens, special tokens included."""
    trainable: Literal["all", "none"] | Annotated[int, Field(ge=1)] = "none"
    """`none` (frozen; outputs computed once for the whole matrix), `all`, or the last n layers."""
    towers: Literal["shared", "separate"] = "shared"
    """One encoder, or one for queries and one for candidates; alike as long as both are frozen."""
    batch_tokens: Annotated[int, Field(ge=64)] | None = None
    """Padded tokens in one batch of an embedding pass; `null` for 4096 on a CPU, 65536 on a GPU."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Rate of every dropout in the encoder while it trains; `null` for the checkpoint's own."""
    precision: Literal["float32", "bfloat16"] | None = None
    """Of the encoder's arithmetic where its weights learn or it is embedded live; scores and losses
    are always float32. `null` for bfloat16 on a GPU that has it, else float32."""
    compile: bool = False
    """Compile a live encoder with `torch.compile` (docs/method.md, "Speed", has what it gains)."""
    prompts: PromptOptions = PromptOptions()
    """What is put before each text of a role."""


class ProjectionOptions(Section):
    """The retrieval layer: e = W x + b."""

    main: ClassVar[str | None] = "towers"

    towers: Literal["shared", "separate"] = "shared"
    """One projection, or one for queries and one for candidates."""
    width: Annotated[int, Field(ge=1)] | Literal["none"] = 128
    """Width d of the embedding vector; `none` for e = x."""
    init: Literal["random", "identity"] = "random"
    """Initial W: torch's default for a linear layer, or the identity (cut to d rows)."""

    @model_validator(mode="after")
    def _separate_needs_weights(self) -> Self:
        if self.towers == "separate" and self.width == "none":
            raise ValueError(
                "projection.towers separate needs a width: with none there is no layer"
            )
        return self


class HeadOptions(Section):
    """The classifier over the fused features of a pair."""

    main: ClassVar[str | None] = "kind"

    kind: Literal["linear", "layernorm", "relu", "layernorm_relu"] = "layernorm_relu"
    """What stands between the two linear layers."""
    hidden: Annotated[int, Field(ge=0)] = 256
    """Width of the hidden layer; 0 for the original study's single linear layer."""

    @model_validator(mode="after")
    def _relu_needs_hidden(self) -> Self:
        if self.hidden == 0 and "relu" in self.kind:
            raise ValueError(
                f"head.hidden 0 leaves no layer for the ReLU of {self.kind!r}; "
                "use linear or layernorm, or a positive width"
            )
        return self


class RetrievalLossOptions(Section):
    """The loss that shapes the embedding vectors."""

    main: ClassVar[str | None] = "kind"

    kind: Literal["triplet", "infonce"] = "triplet"
    """Triplet margin loss, or softmax over the batch with e normalised to length 1."""
    margin: Positive = 1.0
    """m of the triplet loss, a distance."""
    temperature: Positive = 0.05
    """τ of infonce."""
    weight: NonNegative = 1.0
    """w_t; 0 trains the classifier alone."""


class ClassifierLossOptions(Section):
    """The cross-entropy of the classifier on the counter and on the negative."""

    main: ClassVar[str | None] = "weight"

    weight: NonNegative = 1.0
    """w_c; 0 trains retrieval alone."""


class MiningOptions(Section):
    """How each point gets its negatives (docs/method.md, "Negatives")."""

    younger: ClassVar[tuple[str, ...]] = ("negatives", "absolute_margin", "relative_margin")

    initial_random_rate: Probability = 1.0
    """r0, the probability of a random negative in epoch 0."""
    decrease_rate: Probability = 0.01
    """δ, by which that probability falls each epoch, down to 0."""
    preset: Literal["easy", "medium", "hard"] | None = None
    """Sets both rates to the middle of the range that the original study advises for a task of this
    difficulty (`presets`); overrides them. As an axis of the matrix it is the whole range: nine
    cells, the ends and the middle of either rate."""
    top_m: Annotated[int, Field(ge=1)] = 1
    """A hard negative is drawn uniformly among this many nearest."""
    negatives: Annotated[int, Field(ge=1)] = 1
    """Different negatives that a point gets an epoch, one after the other: each is random or hard
    for itself, and what the point has got is left out for the next. So `top_m` may be smaller: 1
    gives the nearest ones in order. The losses are means over them; `infonce` has those of the
    whole batch as columns. Refused where a point has fewer different texts to choose from."""
    absolute_margin: float | None = None
    """A hard candidate stays only where its score is at least this much below the gold's, as
    `absolute_margin` of sentence-transformers' `mine_hard_negatives`; what is nearer may be an
    answer too. Under `infonce` the score is the cosine, so the distances obey d² ≥ d_gold² + 2m;
    under `triplet` it is minus the distance: d ≥ d_gold + m. 0 lets no hard negative be nearer than
    the gold; below 0 those stay that are nearer by no more than that. `null` filters nothing."""
    relative_margin: Annotated[float, Field(ge=-1)] | None = None
    """The same as a share of the gold's score, its sign aside, as `relative_margin` there:
    d² ≥ d_gold² + 2r · |cosine of the gold| under `infonce`, d ≥ (1 + r) · d_gold under `triplet`.
    With both margins a candidate must keep both."""
    backend: Literal["exact", "balltree"] = "exact"
    """Blocked matrix products, or scikit-learn's BallTree; both choose the same negatives."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        preset = value.get("preset") if isinstance(value, Mapping) else None
        if isinstance(preset, str) and preset in PRESETS:
            return {**value, **PRESETS[preset].middle}
        return value

    @property
    def texts_a_point(self) -> int:
        """How many texts a step encodes for each point: itself, its counter and its negatives."""
        return 2 + self.negatives

    @property
    def filters(self) -> bool:
        """Whether hard candidates that may be answers are left out."""
        return self.absolute_margin is not None or self.relative_margin is not None


class TrainingOptions(Section):
    """The optimisation."""

    epochs: Annotated[int, Field(ge=1)] = 60
    """At most this many passes over the triples."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Triples a step; a last short batch is dropped."""
    learning_rate: Positive = 1e-4
    """Of Adam, for the projections and the head."""
    encoder_learning_rate: Positive | None = None
    """The same for the encoder's weights; `null` for `learning_rate`."""
    scale_rate: bool = False
    """Whether both rates grow and shrink with the batch: they are multiplied by `batch_size` / 8,
    8 being the original study's batch. A batch that is cut into pieces for lack of memory stays the
    same batch, and its rates stay."""
    weight_decay: NonNegative = 0.0
    """Decoupled from the gradient (AdamW)."""
    schedule: Literal["constant", "linear"] = "constant"
    """Whether both rates stay as they are, or fall in a line to 0 at the end of the last epoch."""
    warmup_ratio: Probability = 0.0
    """Share of all steps over which both rates rise in a line from 0."""
    batch_sampler: Literal["bucketed", "plain", "debates"] = "bucketed"
    """How triples meet in batches: of about the same length, so that a live encoder pads less (a
    frozen one takes them plain); anyhow; or those of a debate together, which are then each other's
    negatives under `infonce`. An epoch has the same triples, shuffled, but for those dropped."""


class StoppingOptions(Section):
    """What ends a cell early or slows it down; `null` switches a control off."""

    halve_after: Annotated[int, Field(ge=1)] | None = 3
    """Halve the learning rate when dev accuracy has not risen for this many epochs."""
    patience: Annotated[int, Field(ge=1)] | None = 5
    """Stop when dev accuracy has not risen for this many epochs."""
    dev_loss_rises: Annotated[int, Field(ge=1)] | None = 3
    """Stop when dev loss has risen for this many epochs in a row."""
    gap_warning: Annotated[int, Field(ge=1)] | None = 5
    """Warn when the gap between train and dev accuracy has grown for this many epochs in a row."""
    gap_stop: Annotated[int, Field(ge=1)] | None = None
    """Stop when that gap has grown for this many epochs in a row."""


class EvaluationOptions(Section):
    """What is measured, and how often."""

    younger: ClassVar[tuple[str, ...]] = ("first_stage",)

    rerank: Annotated[int, Field(ge=1)] = 10
    """k, how many of the nearest candidates the classifier re-orders."""
    test_every_epoch: bool = True
    """Whether each epoch's record has test scores; nothing ever decides by them."""
    train_sample: Annotated[int, Field(ge=1)] = 1000
    """At most this many training queries, drawn once a seed, for the train scores."""
    top_k: Annotated[tuple[TopK, ...], Field(min_length=1, strict=False)] = (1,)
    """For each k beside the usual accuracy@1, recall@10 and nDCG@10: accuracy@k, recall@k and
    nDCG@k in the tables, and accuracy@k in each epoch's record."""
    epoch_tasks: Annotated[tuple[TaskName, ...], Field(strict=False)] = ()
    """Tasks that each epoch's record has scores of, beside `epa`, by which decisions are taken."""
    first_stage: FirstStageKind = "dense"
    """What ranks the candidates in the final evaluation, before the classifier re-orders the first
    k: the cell's distances (`dense`), or these and BM25 together, by reciprocal ranks (`rrf`) or by
    z-scores with a weight that dev chooses (`zscores`). The first stage's own training and epochs
    are always dense."""


_CROSS_ENCODER: dict[str, dict[str, Any]] = {
    "encoder": {
        "trainable": "all",
        "max_tokens": 96,
        "prompts": {"query": "", "candidate": ""},
    },
    "mining": {"initial_random_rate": 0.0, "decrease_rate": 0.0, "top_m": 20, "negatives": 7},
    "training": {
        "epochs": 3,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "encoder_learning_rate": 1e-4,
        "weight_decay": 0.01,
        "schedule": "linear",
        "warmup_ratio": 0.1,
    },
}
"""Defaults of a cross-encoder, where they are not a first stage's."""


class RerankerOptions(Section):
    """The second stage, which re-orders the first stage's nearest (`evaluation.rerank`)."""

    main: ClassVar[str | None] = "kind"

    kind: Literal["classifier", "cross_encoder", "none"] = "classifier"
    """The classifier over both texts' vectors, trained with them; a cross-encoder, which reads both
    texts in one sequence and is trained after the first stage, by a job of its own; or nothing. The
    options below are the cross-encoder's."""
    encoder: EncoderOptions = EncoderOptions(**_CROSS_ENCODER["encoder"])
    """A pretrained transformer of its own; `max_tokens` is of each of the two texts."""
    mining: MiningOptions = MiningOptions(**_CROSS_ENCODER["mining"])
    """What a point's counter is to be told from: `negatives` of them, mined anew each epoch by the
    vectors of the first stage."""
    training: TrainingOptions = TrainingOptions(**_CROSS_ENCODER["training"])
    """The optimisation; `batch_size` is in points, each with its counter and its negatives."""

    @model_serializer(mode="wrap")
    def _as_before(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # All of it: the defaults of its sections are not those of the same sections elsewhere.
        del written
        return whole(self)

    @model_validator(mode="before")
    @classmethod
    def _own_defaults(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        filled = {
            name: {**defaults, **value[name]}
            for name, defaults in _CROSS_ENCODER.items()
            if isinstance(value.get(name), Mapping)
        }
        return {**value, **filled}

    @model_validator(mode="after")
    def _reads_pairs(self) -> Self:
        if self.encoder.trainable != "all":
            raise ValueError("reranker.encoder.trainable must be all: a pair's layers all learn")
        if self.encoder.towers != "shared":
            raise ValueError("reranker.encoder.towers must be shared: one encoder reads both texts")
        if self.training.batch_sampler == "debates":
            raise ValueError(
                "reranker.training.batch_sampler must be bucketed or plain: points of a batch are "
                "not each other's negatives"
            )
        return self


class CellOptions(Section):
    """Everything that one cell's result depends on, beside the corpus; any of it may be an axis."""

    younger: ClassVar[tuple[str, ...]] = ("reranker",)

    encoder: EncoderOptions = EncoderOptions()
    """The text encoder."""
    projection: ProjectionOptions = ProjectionOptions()
    """The retrieval layer."""
    fusion: Literal["embedding", "cls", "concat"] = "concat"
    """Which vectors of a pair the classifier sees."""
    head: HeadOptions = HeadOptions()
    """The classifier."""
    retrieval_loss: RetrievalLossOptions = RetrievalLossOptions()
    """The loss on embedding vectors."""
    classifier_loss: ClassifierLossOptions = ClassifierLossOptions()
    """The loss on the classifier's logits."""
    mining: MiningOptions = MiningOptions()
    """Negatives."""
    training: TrainingOptions = TrainingOptions()
    """The optimisation."""
    stopping: StoppingOptions = StoppingOptions()
    """Controls that act between epochs."""
    evaluation: EvaluationOptions = EvaluationOptions()
    """What is measured."""
    reranker: RerankerOptions = RerankerOptions()
    """The second stage."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Of every random number."""

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        if self.retrieval_loss.weight == 0 and self.classifier_loss.weight == 0:
            raise ValueError("retrieval_loss.weight and classifier_loss.weight are both 0")
        return self

    @property
    def rerank(self) -> int:
        """How many are re-ranked: one, which moves nobody, where there is no second stage."""
        if self.reranker.kind == "classifier":
            return self.evaluation.rerank if self.classifier_loss.weight > 0 else 1
        return self.evaluation.rerank if self.reads_pairs else 1

    @property
    def reads_pairs(self) -> bool:
        """Whether the second stage is a cross-encoder, so that another cell is the first stage."""
        return self.reranker.kind == "cross_encoder"

    @property
    def stage(self) -> "Self | RerankerOptions":
        """The options of the stage that this cell trains: its encoder, mining and training."""
        return self.reranker if self.reads_pairs else self

    @property
    def asks_pairs(self) -> bool:
        """Whether that cross-encoder is asked: of one text it could re-order nothing."""
        return self.reads_pairs and self.rerank > 1

    def settled(self) -> Self:
        """The same without options that nothing reads, so that they make no other cell."""
        if self.reads_pairs:
            return self
        return self.model_copy(update={"reranker": RerankerOptions(kind=self.reranker.kind)})

    def first_stage(self) -> Self:
        """The options of the cell that trains the first stage of this one."""
        return self.model_copy(update={"reranker": RerankerOptions()})
