"""Encoders by name from a hub, through the hub's own client, from a server on loopback.

The client reads its environment when it is imported, so what is loaded is loaded in other
processes; a process checks several things, because importing torch and transformers takes long.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.arguments import Corpus
from counterpoint.encoders import live
from counterpoint.encoders.arrays import commit_in
from counterpoint.encoders.pretrained import load_model
from counterpoint.encoders.tokens import read_tokens, tokenise, write_tokens
from counterpoint.errors import InputError
from tests.support.hub import SECRET, Hub, Model, commit_named, files_of, serving

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOAD = """
import json, sys
from pathlib import Path
import numpy as np
import torch
from counterpoint.config.loading import parse
from counterpoint.config.options import EncoderOptions
from counterpoint.corpus.texts import number_texts
from counterpoint.encoders.live import frozen_features
from counterpoint.encoders.tokens import tokenise
from counterpoint.errors import InputError
from huggingface_hub import constants
constants.DOWNLOAD_CHUNK_SIZE = 2**16
texts = number_texts(["A house needs a door.", "Doors let the cold in, and so do windows."])
answers = []
for values in json.loads(sys.argv[1]):
    options = parse(EncoderOptions, {"max_tokens": 32, **values}, "test")
    try:
        tokens = tokenise(texts, options)
        x = frozen_features(texts, tokens, options, torch.device("cpu"))
        prompts = [tokens.prompts.query, tokens.prompts.candidate]
        answers.append({"commit": tokens.commit, "x": x.candidate.tolist(), "prompts": prompts})
    except InputError as error:
        answers.append({"refused": str(error)})
print(json.dumps(answers))
"""
"""Vectors by the encoders that some options name, or what is said instead.

The client keeps whole chunks of what it downloads, of 10 MB, which is more than a tiny model has.
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub()) as served:
        yield served


@pytest.fixture(scope="session")
def sharded(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_bert` with its weights in several files."""
    from transformers import AutoModel, AutoTokenizer

    folder = tmp_path_factory.mktemp("sharded")
    AutoModel.from_pretrained(tiny_bert).save_pretrained(folder, max_shard_size="1MB")
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the client keeps what it downloads, and looks for a token."""
    return tmp_path / "huggingface"


def environment(hub: Hub, home: Path, **more: str) -> dict[str, str]:
    ours = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    others = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return {**others, **ours, **more}


def load(
    hub: Hub, home: Path, *encoders: Mapping[str, object], **more: str
) -> list[dict[str, object]]:
    """What `LOAD` says of some encoders, in one process."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(encoders)],
        env=environment(hub, home, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, object]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def command(hub: Hub, home: Path, folder: Path, name: str, **more: str) -> tuple[int, str]:
    """Exit status and messages of `counterpoint tokens` of an encoder."""
    from counterpoint.corpus.arguana import read_corpus
    from counterpoint.corpus.arguments import write_arguments
    from counterpoint.corpus.sources import open_source
    from tests.support.debates import ROLES

    arguments = folder / "arguments.parquet"
    if not arguments.exists():
        write_arguments(read_corpus(open_source("sample"), ROLES)[0], arguments)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "counterpoint", "tokens", "--arguments", str(arguments)),
            *("--options", json.dumps({"name": name}), "--out", str(folder / "out.safetensors")),
        ],
        env=environment(hub, home, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert not (folder / "out.safetensors").exists() or done.returncode == 0
    return done.returncode, done.stderr


def test_sharded_weights_are_those_of_the_folder(hub: Hub, home: Path, sharded: Path) -> None:
    """And offline afterwards, from what was downloaded; a file that breaks off is whole again."""
    hub.models["lab/tiny"] = model = Model.of(files_of(sharded))
    shards = sorted(path.name for path in sharded.glob("model-*.safetensors"))
    hub.breaks = {shards[0]: ["close"], "tokenizer.json": ["close"]}
    there, folder = load(hub, home, {"name": "lab/tiny"}, {"name": str(sharded)})
    assert there["commit"] == model.refs["main"]
    assert folder["commit"] is None
    np.testing.assert_array_equal(there["x"], folder["x"])
    assert [hub.downloads(shards[0]), hub.downloads("tokenizer.json")] == [2, 2]
    assert len(hub.ranges) == 2
    begun = len(hub.asked)
    # A branch that has moved, a commit that nobody has downloaded, and another model.
    again, other, missing = load(
        hub, home, {"name": "lab/tiny"}, {"name": "lab/tiny", "revision": "v2"},
        {"name": "lab/other"}, HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert again == there
    assert hub.asked[begun:] == []
    for refused, what in ((other, "v2"), (missing, "its main branch")):
        assert f"and {what} is not in {home}" in str(refused["refused"])
        assert "HF_HUB_OFFLINE is set" in str(refused["refused"])


def test_a_download_that_cannot_be_resumed_is_repeated(
    hub: Hub, home: Path, tiny_bert: Path
) -> None:
    """One that the network cuts is told, leaves nothing half, and succeeds the next time."""
    hub.models["lab/tiny"] = Model.of(files_of(tiny_bert))
    hub.takes_ranges = False
    hub.breaks = {"tokenizer.json": ["reset"], "model.safetensors": ["reset", "close"]}
    encoder = {"name": "lab/tiny"}
    *tries, folder = load(hub, home, encoder, encoder, encoder, {"name": str(tiny_bert)})
    assert hub.breaks == {"tokenizer.json": [], "model.safetensors": []}
    told = [str(answer["refused"]) for answer in tries if "refused" in answer]
    assert told
    assert all("encoder.name 'lab/tiny': its download broke off" in text for text in told), told
    assert all("Run it again" in text for text in told)
    np.testing.assert_array_equal(tries[-1]["x"], folder["x"])
    assert not list(home.rglob("*.incomplete"))


def test_what_the_hub_refuses_is_said_at_once(
    hub: Hub, home: Path, tmp_path: Path, tiny_bert: Path
) -> None:
    files = files_of(tiny_bert)
    hub.models = {
        "lab/private": Model.of(files, "private"),
        "lab/gated": Model.of(files, "gated"),
        "lab/tiny": Model.of(files),
    }
    names = [{"name": name} for name in ("lab/missing", "lab/private", "lab/gated")]
    sought = [*names, {"name": "lab/tiny", "revision": "v9"}]
    missing, private, gated, revision = (
        str(answer["refused"]) for answer in load(hub, home, *sought)
    )
    token = "give a token that may read it: set HF_TOKEN, or run `hf auth login`"
    for name, text in (("lab/missing", missing), ("lab/private", private)):
        assert text.startswith(f"encoder.name: '{name}': no such folder, and {hub.endpoint} has no")
        assert "check the name (PUBLISHER/NAME)" in text
        assert text.endswith(token)
    assert "accepted its conditions" in gated
    assert gated.endswith(token)
    assert revision.startswith("encoder.revision: 'v9': ")
    assert "no such branch, tag or commit of lab/tiny" in revision
    assert not [line for line in hub.asked if "/lab/" in line and "config.json" not in line]

    missing_too, private_too, gated_too = load(hub, home, *names, HF_TOKEN=SECRET)
    assert "give another token" in str(missing_too["refused"])
    assert private_too["x"] == gated_too["x"]

    status, messages = command(hub, home, tmp_path, "lab/missing")
    assert status == 2
    assert messages.startswith("counterpoint: encoder.name: 'lab/missing': no such folder, and ")
    assert "Traceback" not in messages


def test_nothing_that_comes_with_a_model_is_run(
    hub: Hub, home: Path, tmp_path: Path, tiny_bert: Path
) -> None:
    """Neither pickle nor code; and a service that would convert pickle is never asked."""
    import torch

    mark = tmp_path / "ran"
    code = (
        f"open({str(mark)!r}, 'w').close()\nfrom transformers import BertModel as Model\n".encode()
    )
    files = files_of(tiny_bert)
    torch.save({}, tmp_path / "weights")
    weights = {"pytorch_model.bin": (tmp_path / "weights").read_bytes()}
    pickled = {name: data for name, data in files.items() if name != "model.safetensors"} | weights
    settings = json.loads(files["config.json"])
    coded = {"AutoConfig": "code.Model", "AutoModel": "code.Model"}
    own = json.dumps(settings | {"auto_map": coded}).encode()
    unknown = json.dumps(settings | {"auto_map": coded, "model_type": "theirs"}).encode()
    hub.models = {
        "lab/pickle": Model.of(pickled),
        "lab/known": Model.of(files | {"config.json": own, "code.py": code}),
        "lab/unknown": Model.of(files | {"config.json": unknown, "code.py": code}),
    }
    names = ("lab/pickle", "lab/known", "lab/unknown", str(tiny_bert))
    answers = load(hub, home, *({"name": name} for name in names))
    pickle, known, theirs, folder = answers
    assert "its weights are not safetensors; pickle, such as" in str(pickle["refused"])
    assert hub.downloads("pytorch_model.bin") == 0
    assert not [line for line in hub.asked if "discussions" in line or "commits" in line]
    assert known["x"] == folder["x"]
    assert "encoder.name 'lab/unknown'" in str(theirs["refused"])
    assert "it needs code that comes with it, which is never run" in str(theirs["refused"])
    assert "trust_remote_code" not in str(theirs["refused"])
    assert hub.downloads("code.py") == 0
    assert not mark.exists()


def test_a_revision_is_what_was_asked_for_whatever_main_is(
    hub: Hub, home: Path, sharded: Path, tiny_bert: Path
) -> None:
    from safetensors.torch import load_file, save

    weights = load_file(tiny_bert / "model.safetensors")
    doubled = {name: 2 * tensor for name, tensor in weights.items()}
    new = files_of(tiny_bert) | {"model.safetensors": save(doubled, {"format": "pt"})}
    first, second = commit_named("first"), commit_named("second")
    commits: dict[str, Mapping[str, bytes]] = {first: files_of(tiny_bert), second: new}
    hub.models["lab/tiny"] = Model(commits, {"main": second, "v1": first})
    revisions = (None, "v1", first, second)
    encoders = [{"name": "lab/tiny", "revision": revision} for revision in revisions]
    main, tag, by_name, latest, folder = load(hub, home, *encoders, {"name": str(tiny_bert)})
    assert [main["commit"], latest["commit"]] == [second, second]
    assert [tag["commit"], by_name["commit"]] == [first, first]
    assert tag["x"] == by_name["x"] == folder["x"]
    assert main["x"] == latest["x"] != folder["x"]


def test_prompts_are_of_the_commit_too(hub: Hub, home: Path, tiny_bert: Path) -> None:
    """And offline afterwards; what the hub does not have is not asked for again."""
    files = files_of(tiny_bert)
    settings = {"prompts": {"query": "query: ", "passage": "passage: "}}
    named = files | {"config_sentence_transformers.json": json.dumps(settings).encode()}
    first, second = commit_named("first"), commit_named("second")
    commits: dict[str, Mapping[str, bytes]] = {first: files, second: named}
    hub.models["lab/tiny"] = Model(commits, {"main": second, "v1": first})
    encoders = [{"name": "lab/tiny"}, {"name": "lab/tiny", "revision": "v1"}]
    main, tag, folder = load(hub, home, *encoders, {"name": str(tiny_bert)})
    assert main["prompts"] == ["query: ", "passage: "]
    assert tag["prompts"] == folder["prompts"] == ["", ""]
    assert tag["x"] == folder["x"] != main["x"]
    begun = len(hub.asked)
    assert load(hub, home, *encoders, HF_HUB_OFFLINE="1") == [main, tag]
    assert hub.asked[begun:] == []
    load(hub, home, *encoders)
    assert not [line for line in hub.asked[begun:] if first in line and "sentence" in line]


def test_weights_are_of_the_commit_of_the_tokens(
    small: Corpus, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the branch may have moved between the two jobs."""
    options = EncoderOptions(name=str(tiny_bert), max_tokens=32, towers="separate")
    plain, path = tmp_path / "plain", tmp_path / "tokens.safetensors"
    local = tokenise(small, options)
    write_tokens(local, small, plain, options)
    write_tokens(replace(local, commit="c" * 40), small, path, options)
    assert [commit_in(plain), commit_in(path)] == [None, "c" * 40]

    loaded: list[str | None] = []

    def noting(options: EncoderOptions, commit: str | None) -> "PreTrainedModel":
        loaded.append(commit)
        return load_model(options)

    monkeypatch.setattr(live, "load_model", noting)
    live.LiveEncoder(options, read_tokens(path, small, options))
    assert loaded == ["c" * 40, "c" * 40]
    with pytest.raises(InputError, match=r"made with encoder\.revision: null, and not v1"):
        read_tokens(path, small, options.model_copy(update={"revision": "v1"}))
