"""A transformer whose lower layers do not learn: what they make of a text needs no second pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from counterpoint.errors import InputError


def position_count(model: nn.Module) -> int | None:
    """How many tokens a model takes, or None where it has no table of positions."""
    table = _position_table(model)
    return None if table is None else table.num_embeddings - first_position(model)


def first_position(model: nn.Module) -> int:
    """Number of the first position: RoBERTa and its kin count from behind the padding's."""
    table = _position_table(model)
    return 0 if table is None or table.padding_idx is None else table.padding_idx + 1


def _position_table(model: nn.Module) -> nn.Embedding | None:
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return module
    return None


def layers_of(model: nn.Module, name: str) -> nn.ModuleList:
    """The layers of a model, from the lowest on.

    Each family calls the list something else; it is the one of the length that the configuration
    gives.

    Raises:
        InputError: there is no such list.
    """
    count = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise InputError(f"encoder.trainable: cannot tell the layers of {name}; use all or none")


class _Reached(Exception):
    """The states that enter the first layer that learns: what `lower` asks for."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


class SplitTransformer:
    """A transformer in two parts: the layers below the first one that learns, and the rest.

    It works on any model that calls the layers of one list in turn, with the states first. What a
    family does before and after its layers (embeddings, masks, norms, pooler) differs and has no
    common interface, so the model's own forward pass runs both times: for the lower part it is left
    by an exception when the first learning layer is reached, for the upper part its list holds the
    learning layers alone while it runs.

    Args:
        model: a transformer.
        layers: its layers, from the lowest on.
        learning: how many of them, the last ones, learn.
    """

    def __init__(self, model: nn.Module, layers: nn.ModuleList, learning: int) -> None:
        self._model = model
        self._layers = layers
        self._learning = list(layers)[-learning:]

    def lower(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(n, t, H): what reaches the first layer that learns, of (n, t) token ids and mask."""

        def leave(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            raise _Reached(args[0] if args else named["hidden_states"])

        with self._before_learning(leave):
            try:
                self._model(input_ids=ids, attention_mask=mask)
            except _Reached as reached:
                return reached.states
        raise AssertionError("the model did not call its layers")

    def upper(self, inputs_embeds: Tensor, **named: Any) -> Any:
        """The model's output, of what `lower` gave, (n, t, H), in the place of its embeddings."""

        def enter(
            _: nn.Module, args: tuple[Any, ...], named: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if args:
                return (inputs_embeds, *args[1:]), named
            return args, {**named, "hidden_states": inputs_embeds}

        whole = self._layers._modules
        # The model runs through the list as it finds it.
        self._layers._modules = {str(i): layer for i, layer in enumerate(self._learning)}
        try:
            with self._before_learning(enter):
                # What its embeddings make of the states is thrown away: little work, right shapes.
                return self._model(inputs_embeds=inputs_embeds, **named)
        finally:
            self._layers._modules = whole

    @contextmanager
    def _before_learning(self, hook: Callable[..., Any]) -> Iterator[None]:
        """Have the first layer that learns call `hook` before it runs."""
        handle = self._learning[0].register_forward_pre_hook(hook, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
