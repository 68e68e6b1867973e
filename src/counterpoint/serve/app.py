"""The interface: what each address answers, who may ask, and what is refused."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from counterpoint.errors import InputError
from counterpoint.retrieval.asking import Answer
from counterpoint.serve.batching import Asks, Batcher, QueueFull
from counterpoint.serve.limits import BODY, CHARACTERS, MOST, SearchRequest, SearchResponse, told
from counterpoint.serve.metrics import Metrics
from counterpoint.serve.middleware import LimitedBody, Outermost
from counterpoint.serve.pages import interface_page, search_page
from counterpoint.versions import program_version

LISTED = 500
"""Values of a column that `GET /index` lists."""

RETRY_AFTER = "1"
"""Seconds."""

GONE = 499
"""Status by which the counters show who did not wait, as nginx does."""


@dataclass(frozen=True)
class Settings:
    """How a server behaves."""

    token: str | None = None
    """What who asks must know; None where everybody may ask."""
    hosts: tuple[str, ...] = ("*",)
    """Names that the server is asked by; a page of another name may not ask it."""
    queue: int = 128
    """Questions that may wait."""
    max_batch: int = 32
    """Questions of one forward pass."""


@dataclass(frozen=True)
class Described:
    """The index, for who asks."""

    system: str
    size: int
    """Number of its texts."""
    columns: Mapping[str, Mapping[str, int]]
    """Its metadata to their values with counts, most frequent first."""

    def listed(self) -> dict[str, object]:
        """As `GET /index` gives it."""
        columns = [
            {
                "name": name,
                "distinct": len(values),
                "values": [
                    {"value": value, "texts": texts}
                    for value, texts in list(values.items())[:LISTED]
                ],
            }
            for name, values in self.columns.items()
        ]
        limits = {"k": MOST, "characters": CHARACTERS}
        return {"system": self.system, "size": self.size, "columns": columns, "limits": limits}


class Service:
    """What the addresses do."""

    def __init__(self, asker: Asks, described: Described, settings: Settings) -> None:
        self.described = described
        self.settings = settings
        self.metrics = Metrics()
        self.batcher = Batcher(
            asker,
            size=settings.queue,
            most=settings.max_batch,
            observe=self.metrics.batch.observe,
        )
        self.metrics.watch(self.batcher.__len__, described.size)

    @asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """Answers from start to end of the server; what waits at the end is still answered."""
        self.batcher.start()
        yield
        await asyncio.to_thread(self.batcher.stop)

    def check_token(
        self,
        given: Annotated[
            HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))
        ],
    ) -> None:
        """Refuse who does not know the token."""
        wanted = (self.settings.token or "").encode()
        if given is None or not hmac.compare_digest(given.credentials.encode(), wanted):
            raise HTTPException(
                401,
                "a token is needed, the one of the server's --token-file: send the header "
                "Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )

    async def search(self, asked: SearchRequest, request: Request) -> SearchResponse:
        """Find the best counters to an argument; never the argument's own text."""
        begun = time.perf_counter()
        question = asked.question(self.described.columns)
        waiting = asyncio.wrap_future(self.batcher.submit(question, asked.k))
        answers = await unless_gone(request, waiting)
        seconds = time.perf_counter() - begun
        self.metrics.seconds.observe(seconds)
        return SearchResponse(answers=answers, system=self.described.system, seconds=seconds)

    async def index(self) -> dict[str, object]:
        """The system, the number of texts, and the metadata that answers can be filtered by."""
        return self.described.listed()

    async def health(self) -> Response:
        """Whether the server can answer; needs no token."""
        alive = self.batcher.is_alive
        return JSONResponse({"status": "ok" if alive else "stopped"}, 200 if alive else 503)

    async def measured(self) -> Response:
        """Counters for Prometheus."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def page(self) -> HTMLResponse:
        """The page for people."""
        return search_page()


async def unless_gone(request: Request, waiting: "asyncio.Future[list[Answer]]") -> list[Answer]:
    """What is waited for, as long as whoever asked is there; else it is cancelled.

    Raises:
        HTTPException: who asked has gone; nobody sees it.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.ensure_future(gone())
    try:
        both: list[asyncio.Future[Any]] = [waiting, leaving]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise HTTPException(GONE, "nobody waits for the answer")
        return waiting.result()
    finally:
        leaving.cancel()
        waiting.cancel()


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A refusal."""
    # A text with half a character, which JSON can write and UTF-8 cannot, is still told.
    text = message.encode("utf-8", "backslashreplace").decode("utf-8")
    return JSONResponse({"error": text}, status, headers)


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, found: RequestValidationError) -> Response:
        errors = found.errors()
        if isinstance(found.body, bytes) and found.body:
            # FastAPI takes nothing else for JSON, so that no page of another origin may ask.
            return error(415, "body: expected JSON and the header Content-Type: application/json")
        broken = any(each["type"] == "json_invalid" for each in errors)
        return error(400 if broken else 422, told(errors))

    @app.exception_handler(InputError)
    async def refused(_: Request, found: InputError) -> Response:
        return error(422, str(found))

    @app.exception_handler(QueueFull)
    async def full(_: Request, __: QueueFull) -> Response:
        message = f"too many questions wait; ask again in {RETRY_AFTER} s"
        return error(503, message, {"Retry-After": RETRY_AFTER})

    @app.exception_handler(AnyHTTPException)
    async def other(_: Request, found: AnyHTTPException) -> Response:
        if found.status_code == 413:
            limits = f"{BODY:,} bytes; a text may have {CHARACTERS:,} characters"
            return error(413, f"body: larger than {limits}")
        if found.status_code == 400:
            return error(400, "body: no JSON in UTF-8")
        return error(found.status_code, str(found.detail), found.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        return error(500, "the server failed; its output says why")


Responses = dict[int | str, dict[str, Any]]
"""As FastAPI takes them: status to what the schema says of it."""


class Refusal(BaseModel):
    """What every refusal looks like."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    error: str
    """What is wrong, with the value and the limit, and what to do."""


REFUSALS: Responses = {
    status: {"model": Refusal, "description": description}
    for status, description in {
        400: "The body is no JSON.",
        401: "The token is missing or wrong.",
        413: f"The body is larger than {BODY:,} bytes.",
        415: "The body is not said to be JSON.",
        422: "A value cannot be used.",
        503: "Too many questions wait; the header Retry-After says for how long.",
    }.items()
}


def make_app(asker: Asks, described: Described, settings: Settings) -> FastAPI:
    """The application.

    Args:
        asker: answers; called by one thread.
        described: what it answers from.
        settings: how the server behaves.
    """
    service = Service(asker, described, settings)
    app = FastAPI(
        title="Counterpoint",
        summary="Counterarguments from an index.",
        version=program_version(),
        docs_url=None,  # loads Swagger from elsewhere
        redoc_url=None,
        lifespan=service.running,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        middleware=[
            Middleware(Outermost, metrics=service.metrics),
            Middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts, www_redirect=False),
            Middleware(LimitedBody),
        ],
    )
    _add_refusals(app)
    guard = [Depends(service.check_token)] if settings.token is not None else []
    refusals: Responses = {key: one for key, one in REFUSALS.items() if guard or key != 401}
    unknown: Responses = {key: one for key, one in refusals.items() if key == 401}
    app.post("/search", dependencies=guard, responses=refusals)(service.search)
    app.get("/index", dependencies=guard, responses=unknown)(service.index)
    app.get("/metrics", dependencies=guard, responses=unknown, response_class=PlainTextResponse)(
        service.measured
    )
    app.get("/healthz")(service.health)
    app.get("/", include_in_schema=False)(service.page)
    app.get("/docs", include_in_schema=False)(lambda: interface_page(app.openapi()))
    return app
