"""A transformer at work: texts to vectors, with gradients where layers learn.

See docs/method.md, "Speed".
"""

from collections.abc import Generator, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from counterpoint.arrays import Floats, Ints
from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Texts
from counterpoint.encoders.encoder import Encoder, gathered, on_device
from counterpoint.encoders.features import Outputs
from counterpoint.encoders.packing import TokenInputs, token_rows
from counterpoint.encoders.precision import check_precision
from counterpoint.encoders.pretrained import load_model
from counterpoint.encoders.roles import ByRole, both
from counterpoint.encoders.surgery import split
from counterpoint.encoders.tokens import RoleTokens, Tokens
from counterpoint.encoders.tower import Tower, embedding_batches, fingerprint


class LiveEncoder(Encoder):
    """x of texts by a transformer, with gradients where `trainable` allows them.

    Raises:
        InputError: the model cannot be loaded, has no pooler output where that is asked for, has
            fewer layers than `trainable`, or takes fewer tokens than `max_tokens`; or this CPU has
            no instructions for bfloat16 (or the GPU has none), or no compiler.
    """

    is_slow = True
    draws = True
    """Whatever its rates of dropout: a family may draw in other ways."""

    def __init__(self, options: EncoderOptions, tokens: RoleTokens) -> None:
        super().__init__()
        self.options = options
        self.tokens = tokens
        self.prompts = tokens.prompts
        # `shared` is one module under both names, so its weights are counted and saved once.
        # Of the commit that the tokens are of, whatever the hub has by now.
        first = load_model(options, tokens.commit)
        second = load_model(options, tokens.commit) if options.towers == "separate" else first
        self.models = nn.ModuleDict({"query": first, "candidate": second})
        self.hidden_size = int(first.config.hidden_size)
        parts = split(self.models, options)
        query = Tower(first, parts.get("query"), options)
        same = second is first
        candidate = query if same else Tower(second, parts.get("candidate"), options)
        self._towers = {"query": query, "candidate": candidate}
        self.computes_lower_layers_once = bool(parts)
        """Whether layers below those that learn see each text once, which is exact here."""
        self._lower_states: ByRole[Tensor | None] = both(None)
        check_precision(options)

    @property
    def towers_differ(self) -> bool:
        """Whether each role has a transformer of its own."""
        return self.models["query"] is not self.models["candidate"]

    @property
    def roles_differ(self) -> bool:
        """Whether each role has a transformer or a prompt of its own."""
        return self.tokens.differ or self.towers_differ

    @property
    def packs(self) -> bool:
        """Whether the texts of a training batch stand one after the other, without padding."""
        return self._towers["query"].packs

    def lengths(self, texts: Ints) -> Ints:
        """Tokens of each of some texts as candidates, of their shape."""
        return self.tokens.candidate.lengths(texts)

    def fingerprint(self) -> str:
        """SHA-256 of the weights and the model's configuration, as they are now."""
        return fingerprint(self.models.values(), self.state_dict())

    def forward(self, texts: Tensor, role: str) -> Tensor:
        """(n,) int64 text numbers to (n, H) float32; each unique text is encoded once.

        In several pieces it needs less memory; see `Tower.encode`.
        """
        unique, position = torch.unique(texts.cpu(), return_inverse=True)
        tower = self._towers[role]
        x = tower.encode(self._inputs(role, unique.numpy()), self.pieces)
        return x[on_device(position, tower.device)]

    def embed(self, texts: Tensor, role: str) -> Iterator[tuple[Ints, Tensor]]:
        """x of unique texts in batches of like lengths; see `Encoder`.

        On a CPU they are padded, which among so many sorted texts costs nothing.
        """
        tower, tokens = self._towers[role], self.tokens[role]
        for _ in self._compute_lower_states():
            nothing = torch.empty((0, self.hidden_size), device=tower.device)
            yield np.empty(0, dtype=np.int64), nothing
        numbers = texts.cpu().numpy()
        packed = tower.packs and tower.device.type != "cpu"
        encode_texts = tower.encode_packed if packed else tower.encode_padded
        for part in self._embedding_batches(tokens.lengths(numbers)):
            if packed or self.computes_lower_layers_once:
                inputs = self._inputs(role, numbers[part])
                yield part, encode_texts(inputs, np.arange(len(part)))
            else:
                yield part, tower.encode_ids(*tokens.padded(numbers[part]))

    def _embedding_batches(self, lengths: Ints) -> Iterator[Ints]:
        return embedding_batches(lengths, self.options, self.pieces, self._towers["query"].device)

    def _inputs(self, role: str, texts: Ints) -> TokenInputs:
        """What enters the transformer for every token of some texts.

        The states below the layers that learn, or words, looked up once for all calls, because the
        gradient of their table is as large as the vocabulary.
        """
        for _ in self._compute_lower_states():
            pass
        tokens, states = self.tokens[role], self._lower_states[role]
        starts, lengths = tokens.starts, tokens.lengths(texts)
        if states is not None:
            return TokenInputs(states, starts[texts + 1], lengths)
        ids = np.concatenate([tokens.ids[starts[text] : starts[text + 1]] for text in texts])
        words = self._towers[role].words(np.append(ids, tokens.pad).astype(np.int64))
        return TokenInputs(words, np.cumsum(lengths), lengths)

    def _compute_lower_states(self) -> Iterator[None]:
        """Compute what reaches the first layer that learns, where it is needed and not yet there.

        It is kept for every token of the corpus, (tokens, H), in the CPU's memory. Both roles share
        it where their tokens are the same: they have the same lower layers.
        """
        if not self.computes_lower_layers_once or self._lower_states.candidate is not None:
            return
        candidate = yield from self._lower_states_of(self.tokens.candidate)
        query = candidate
        if self.tokens.differ:
            query = yield from self._lower_states_of(self.tokens.query)
        self._lower_states = ByRole(query, candidate)

    def _lower_states_of(self, tokens: Tokens) -> Generator[None, None, Tensor | None]:
        """Those of every token, (tokens, H). It takes long, so it pauses before each batch."""
        lengths = np.diff(tokens.starts)
        states: Tensor | None = None
        for part in self._embedding_batches(lengths):
            yield
            some, mask = self._towers["query"].lower(*tokens.padded(part))
            if states is None:
                states = some.new_empty((len(tokens.ids), some.shape[-1]), device="cpu")
            rows = torch.from_numpy(token_rows(tokens.starts[part + 1], lengths[part]))
            states[rows] = some[mask.bool()].cpu()
        return states


def frozen_features(
    corpus: Texts, tokens: RoleTokens, options: EncoderOptions, device: torch.device
) -> Outputs:
    """The outputs of the untrained encoder for every unique text; once where no prompts differ."""
    encoder = LiveEncoder(options, tokens).to(device).eval()
    n = len(corpus.texts)

    def outputs(role: str) -> Floats:
        with torch.inference_mode():
            x: Floats = gathered(encoder.embed(torch.arange(n), role), n).cpu().numpy()
        return x

    x = tokens.roles.map(outputs)
    return Outputs(x.query, x.candidate, tokens.prompts, tokens.commit)
