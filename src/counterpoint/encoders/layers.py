"""A transformer whose lower layers do not learn: what they make of a text needs no second pass."""

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
    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


class Cut:
    """A transformer in two parts: the layers below the first one that learns, and the rest.

    It works on any model that calls the layers of one list in turn, with the states first.

    Args:
        model: a transformer.
        layers: its layers, from the lowest on.
        learning: how many of them, the last ones, learn.
    """

    def __init__(self, model: nn.Module, layers: nn.ModuleList, learning: int) -> None:
        self._model = model
        self._layers = layers
        self._upper = list(layers)[-learning:]
        self._given: Tensor | None = None
        self._upper[0].register_forward_pre_hook(self._enter, with_kwargs=True)

    def _enter(
        self,
        _: nn.Module,
        args: tuple[Any, ...],
        named: dict[str, Any],
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before the first layer that learns: leave with what comes, or put in what was given."""
        if self._given is None:
            raise _Reached(args[0] if args else named["hidden_states"])
        if args:
            return (self._given, *args[1:]), named
        return args, {**named, "hidden_states": self._given}

    def below(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(n, t, H): what reaches the first layer that learns, of (n, t) token ids."""
        try:
            self._model(input_ids=ids, attention_mask=mask)
        except _Reached as reached:
            return reached.states
        raise AssertionError("the model did not call its layers")

    def above(self, inputs_embeds: Tensor, **named: Any) -> Any:
        """The model's output, of what `below` gave in the place of its embeddings."""
        whole = self._layers._modules
        self._given = inputs_embeds
        # The model runs through the list as it finds it.
        self._layers._modules = {str(place): each for place, each in enumerate(self._upper)}
        try:
            # What its embeddings make of the states is thrown away: little work, and right shapes.
            return self._model(inputs_embeds=inputs_embeds, **named)
        finally:
            self._layers._modules = whole
            self._given = None
