"""The process: where it listens, whom it trusts, how it ends."""

import ipaddress
import signal
import socket
from pathlib import Path
from typing import NamedTuple

import uvicorn
from fastapi import FastAPI

from counterpoint.errors import InputError

GRACE = 30
"""Seconds that running requests are given after SIGTERM."""

SHORTEST = 16
"""Characters of a token."""


class _Address(NamedTuple):
    family: socket.AddressFamily
    number: str
    whole: tuple[object, ...]
    """As sockets take it."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone.

    Raises:
        InputError: there is no such host.
    """
    return all(
        ipaddress.ip_address(address.number.partition("%")[0]).is_loopback
        for address in _resolved(host, 0)
    )


def hosts_of(host: str) -> tuple[str, ...]:
    """Names that a server at a loopback address is asked by.

    A page from elsewhere whose name is made to lead to this machine (DNS rebinding) has another.
    """
    return ("127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host)


def read_token(path: Path) -> str:
    """The token in a file.

    Raises:
        InputError: it is too short, or cannot be sent in a header.
        OSError: the file cannot be read.
    """
    token = path.read_bytes().strip()
    if len(token) < SHORTEST or not token.isascii() or not token.decode("ascii").isprintable():
        raise InputError(
            f"{path}: expected a token of at least {SHORTEST} letters, digits and signs in one "
            "line; make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token.decode("ascii")


def bind(host: str, port: int) -> socket.socket:
    """A socket that has its address and does not listen yet; port 0 takes a free one.

    Raises:
        InputError: there is no such host, or the port is taken.
    """
    address = _resolved(host, port)[0]
    bound = socket.socket(address.family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address.whole)
    except OSError as error:
        bound.close()
        raise InputError(
            f"{host}:{port}: {error.strerror}; give another --port, or 0 for any that is free"
        ) from error
    return bound


def url_of(bound: socket.socket) -> str:
    """Where a socket is reached."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server_of(app: FastAPI) -> uvicorn.Server:
    """What runs an application. Requests are not logged, for they hold people's texts."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    return uvicorn.Server(config)


def run(app: FastAPI, bound: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs."""
    server = server_of(app)
    # uvicorn raises the signal that ended it once more when it has ended: the process shall end
    # with status 0. A signal that comes before uvicorn handles them is not lost either.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    bound.listen(1024)
    print(f"counterpoint: {url_of(bound)} answers; Ctrl-C ends it", flush=True)
    server.run(sockets=[bound])


def _resolved(host: str, port: int) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(f"--host {host}: there is no such host") from error
    return [_Address(family, str(address[0]), address) for family, *_, address in found]
