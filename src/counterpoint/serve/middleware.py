"""What every request passes: it is counted, its body is limited, its response has its headers."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from counterpoint.serve.limits import BODY
from counterpoint.serve.metrics import Metrics

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Outermost:
    """Counts every response, and gives it the headers that all have."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # where nothing answers

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            # The route's own path: one that somebody made up is not kept.
            self._metrics.count(getattr(scope.get("route"), "path", "other"), status)


class LimitedBody:
    """Refuses a body that is too large before it is read, or as soon as it shows.

    FastAPI's own limit answers in plain text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises:
            HTTPException: 413, where the body is read.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        size = int(said) if said.isdecimal() else 0
        read = 0

        async def limited() -> Message:
            nonlocal read
            if size > BODY:
                raise HTTPException(413)
            message = await receive()
            read += len(message.get("body", b""))
            if read > BODY:
                raise HTTPException(413)
            return message

        await self._app(scope, limited, send)
