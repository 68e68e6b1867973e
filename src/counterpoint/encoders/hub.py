"""The hub: which commit of a model its name stands for, and what is said where there is none."""

import re
from pathlib import Path

from counterpoint.errors import InputError

HUB_SECONDS = 5.0
"""How long the hub has to answer."""

CONFIG = "config.json"
"""The file that every model has."""

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""The files one of which a model has whose weights are not pickle."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


class MissingEncoder(InputError):
    """An encoder that cannot be loaded from where its name says."""


def connection_error() -> type[Exception]:
    """What the hub's client raises where a connection fails; its HTTP library has several names."""
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # as transformers does

    error: type[Exception] = httpx.TransportError
    return error


def is_offline() -> bool:
    """Whether the user forbids to ask the hub (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return constants.is_offline_mode()


def is_downloaded(name: str, revision: str | None) -> bool:
    """Whether something of that revision of a model was downloaded before."""
    return _cached(name, CONFIG, revision) is not None


def cache_folder() -> Path:
    """Where downloads are kept."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def commit_of(name: str, revision: str | None) -> str:
    """The commit that a revision of a model is now: 40 hexadecimal digits.

    Where the hub does not answer, or may not be asked, what the revision was when it was downloaded
    last. Downloads the model's `config.json`, and no more.

    Args:
        name: of the model.
        revision: a branch, tag or commit; None for the branch `main`.

    Raises:
        MissingEncoder: there is no such model or revision, it is not for everyone, or it was never
            downloaded and the hub does not answer.
    """
    from huggingface_hub import hf_hub_download

    there = _cached(name, CONFIG, revision)
    if there is not None and revision is not None and _COMMIT.fullmatch(revision):
        return revision
    if there is None:
        _await_answer(name)
    try:
        path = hf_hub_download(name, CONFIG, revision=revision, etag_timeout=HUB_SECONDS)
    except (OSError, ValueError, connection_error()) as error:
        raise MissingEncoder(_reason(name, revision, error)) from error
    return Path(path).parent.name


def file_of(name: str, file: str, commit: str) -> tuple[Path | None, bool]:
    """A file of a model, downloaded where it is not yet; see `names.file_beside`.

    Raises:
        MissingEncoder: the hub does not give it.
    """
    from huggingface_hub import _CACHED_NO_EXIST, errors, hf_hub_download

    # The client itself would ask each time.
    if _lookup(name, file, commit) is _CACHED_NO_EXIST:
        return None, True
    try:
        return Path(hf_hub_download(name, file, revision=commit, etag_timeout=HUB_SECONDS)), True
    except errors.LocalEntryNotFoundError:
        return None, False
    except errors.RemoteEntryNotFoundError:
        return None, True
    except (OSError, ValueError, connection_error()) as error:
        raise MissingEncoder(_reason(name, commit, error)) from error


def has_pickle_alone(name: str, commit: str) -> bool:
    """Whether the hub has said that this commit of a model has no safetensors."""
    from huggingface_hub import _CACHED_NO_EXIST  # documented: what the look-up below answers

    return all(_lookup(name, file, commit) is _CACHED_NO_EXIST for file in WEIGHTS)


def _lookup(name: str, file: str, revision: str | None) -> object:
    from huggingface_hub import try_to_load_from_cache

    return try_to_load_from_cache(name, file, revision=revision)


def _cached(name: str, file: str, revision: str | None) -> str | None:
    path = _lookup(name, file, revision)
    return path if isinstance(path, str) else None


def _await_answer(name: str) -> None:
    """Give the hub a few seconds for any answer at all; its client takes minutes to give up.

    Raises:
        MissingEncoder: it does not answer.
    """
    if is_offline():
        return
    import requests
    from huggingface_hub import hf_hub_url

    try:
        # What it says of the name, also to whom, the client understands.
        requests.head(hf_hub_url(name, CONFIG), timeout=HUB_SECONDS)
    except requests.RequestException as error:
        raise MissingEncoder(
            f"encoder.name: {name!r}: no such folder, not in {cache_folder()}, and {_hub()} cannot "
            f"be reached ({type(error).__name__})"
        ) from error


def _reason(name: str, revision: str | None, error: Exception) -> str:
    """What to say, and to advise, where a model cannot be had."""
    from huggingface_hub import errors

    at = f"encoder.name: {name!r}:"
    match error:
        case errors.RevisionNotFoundError():
            at = f"encoder.revision: {revision!r}:"
            reason = (
                f"{_hub()} has no such branch, tag or commit of {name}; give one of those that its "
                "page lists, or null for its main branch"
            )
        case errors.GatedRepoError():
            reason = (
                f"{_hub()} gives this model only to those who have accepted its conditions; "
                f"accept them on its page, and {_token_advice()}"
            )
        case errors.RepositoryNotFoundError():
            reason = (
                f"no such folder, and {_hub()} has no such model, or not for everyone; check the "
                f"name (PUBLISHER/NAME); if the model is private, {_token_advice()}"
            )
        case errors.RemoteEntryNotFoundError():
            reason = f"{_hub()} has it, but without {CONFIG}, so it is no transformer"
        case errors.LocalEntryNotFoundError() if is_offline():
            reason = (
                f"no such folder, and {revision or 'its main branch'} was never downloaded to "
                f"{cache_folder()}; the hub is not asked, because HF_HUB_OFFLINE is set"
            )
        case errors.HfHubHTTPError() if error.response.status_code in (401, 403):
            status = error.response.status_code
            reason = f"{_hub()} refuses it (status {status}); {_token_advice()}"
        case _:
            reason = f"it cannot be had from {_hub()}: {' '.join(str(error).split())}"
    return f"{at} {reason}"


def _token_advice() -> str:
    """What to do about a token, by whether there is one."""
    from huggingface_hub import get_token

    if get_token() is None:
        return "give a token that may read it: set HF_TOKEN, or run `hf auth login`"
    return (
        "give another token, for the one in HF_TOKEN, or of `hf auth login`, may not read it or is "
        "no longer valid"
    )


def _hub() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)
