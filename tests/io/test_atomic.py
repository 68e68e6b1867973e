"""Files are written whole or not at all."""

import json
from pathlib import Path

import pytest

from counterpoint.io import atomic


def test_results_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "file.json"
    atomic.write_json(target, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(target, {"a": float("nan")})
    with (  # noqa: PT012  the body must fail half-way
        pytest.raises(RuntimeError, match="half"),
        atomic.replacing(target) as temporary,
    ):
        temporary.write_text("half")
        raise RuntimeError("half")
    assert json.loads(target.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]
