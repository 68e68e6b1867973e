"""The JSON schema of a whole configuration, generated from the options."""

import json
from typing import Any

from counterpoint.config.run_options import RunConfig
from counterpoint.config.section import Section


def json_schema() -> str:
    """The JSON schema of a whole configuration, as `workflow/schemas/` holds it."""
    schema = _allow_scalars(RunConfig.model_json_schema())
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _allow_scalars(schema: dict[str, Any]) -> dict[str, Any]:
    # A section with a main key may be written as that key's value alone.
    kinds = {kind.__name__: kind for kind in Section.__subclasses__()}
    definitions = schema["$defs"]
    mains = {
        name: _not_null(definitions[name]["properties"][kind.main])
        for name, kind in kinds.items()
        if name in definitions and kind.main is not None
    }

    def rewrite(node: Any) -> Any:
        if isinstance(node, list):
            return [rewrite(item) for item in node]
        if not isinstance(node, dict):
            return node
        name = str(node.get("$ref", "")).rsplit("/", 1)[-1]
        if name in mains:
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return {**rest, "anyOf": [{"$ref": node["$ref"]}, mains[name]]}
        return {key: rewrite(value) for key, value in node.items()}

    result: dict[str, Any] = rewrite(schema)
    return result


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an option's values but null, which stands for no section."""
    if "anyOf" not in schema:
        return schema
    values = [value for value in schema["anyOf"] if value != {"type": "null"}]
    return {**schema, "anyOf": values}
