"""The command that answers over the network."""

import argparse
from pathlib import Path

from counterpoint.cli.shared import Commands, add_all_threads, not_negative, positive, use_threads
from counterpoint.errors import InputError

EXTRA = ("fastapi", "uvicorn", "prometheus_client")
"""Packages that the extra `serve` installs."""


def add_serve(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command `serve`."""
    parser = commands.add_parser(
        "serve",
        help="answer questions from an index over HTTP, with a page to ask them",
        description="Serve an index: a page, a JSON interface (its description is at /docs), "
        "/healthz, and /metrics for Prometheus. Needs the extra: pip install '.[serve]'. SIGTERM "
        "and Ctrl-C finish what runs.",
    )
    parser.add_argument(
        "index", type=Path, metavar="INDEX", help="folder that `counterpoint index` has made"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; beyond this machine it needs --token-file "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=not_negative,
        default=8000,
        help="port to listen at; 0 takes a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with the token that every question must bring",
    )
    parser.add_argument(
        "--queue",
        type=positive,
        default=128,
        metavar="N",
        help="questions that may wait; more are refused with 503 (default: %(default)s)",
    )
    parser.add_argument(
        "--max-batch",
        type=positive,
        default=32,
        metavar="N",
        help="questions of one forward pass (default: %(default)s)",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="compare all texts, whatever approximate index is there",
    )
    add_all_threads(parser)
    parser.set_defaults(command=_serve)


def _serve(arguments: argparse.Namespace) -> None:
    from importlib.util import find_spec

    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise InputError(
            f"serve needs {', '.join(missing)}, which is not installed; run pip install '.[serve]'"
        )
    from counterpoint.retrieval.approximate import open_approximate
    from counterpoint.retrieval.asking import Asker, Question
    from counterpoint.retrieval.index import Index
    from counterpoint.serve import server
    from counterpoint.serve.app import Described, Settings, make_app

    token, hosts = _trusted(arguments)
    bound = server.bind(arguments.host, arguments.port)
    use_threads(arguments.threads)
    index = Index.open(arguments.index)
    retriever = index.retriever()
    asker = Asker(index, retriever, None if arguments.exact else open_approximate(index))
    # The first question reads what all later ones need, and finds out what is damaged.
    asker.ask([Question("Is it ready?")], 1)
    described = Described(
        system=retriever.name,
        size=len(index),
        columns={name: index.values(name) for name in index.columns},
    )
    settings = Settings(token, hosts, arguments.queue, arguments.max_batch)
    server.run(make_app(asker, described, settings), bound)


def _trusted(arguments: argparse.Namespace) -> tuple[str | None, tuple[str, ...]]:
    """The token, and the names that the server may be asked by.

    Raises:
        InputError: anybody could ask.
    """
    from counterpoint.serve import server

    if arguments.port > 65535:
        raise InputError(f"--port {arguments.port}: expected at most 65535")
    token = None if arguments.token_file is None else server.read_token(arguments.token_file)
    if server.is_loopback(arguments.host):
        return token, server.hosts_of(arguments.host)
    if token is None:
        raise InputError(
            f"--host {arguments.host}: others could ask from other machines; give --token-file "
            "FILE with a token that they must know, or listen at 127.0.0.1"
        )
    return token, ("*",)
