"""The two pages for people: the search, and the interface's description. Neither loads anything."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from counterpoint.serve.limits import CHARACTERS, MOST

FOLDER = "page"


def policy(nonce: str) -> str:
    """The policy of a page: its own script and style, requests to its own server, nothing else."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("counterpoint.serve", FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _source(name: str) -> Markup:
    environment = _environment()
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])  # our own file


def _page(name: str, **values: object) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    text = _environment().get_template(name).render(nonce=nonce, css=_source("page.css"), **values)
    return HTMLResponse(text, headers={"Content-Security-Policy": policy(nonce)})


def search_page() -> HTMLResponse:
    """The page that asks."""
    return _page("page.html", js=_source("page.js"), characters=CHARACTERS, most=MOST)


@dataclass(frozen=True)
class Operation:
    """One row of the interface's description."""

    method: str
    path: str
    summary: str
    description: str
    needs_token: bool
    takes: str | None
    """Name of the schema of what it takes."""
    statuses: Mapping[str, str]


def operations(schema: Mapping[str, Any]) -> list[Operation]:
    """What an OpenAPI document describes, in its order."""
    return [
        Operation(
            method=method.upper(),
            path=path,
            summary=told.get("summary", ""),
            description=told.get("description", ""),
            needs_token=bool(told.get("security")),
            takes=_takes(told.get("requestBody")),
            statuses={status: one["description"] for status, one in told["responses"].items()},
        )
        for path, methods in schema["paths"].items()
        for method, told in methods.items()
    ]


def _takes(body: Mapping[str, Any] | None) -> str | None:
    if body is None:
        return None
    reference: str = body["content"]["application/json"]["schema"]["$ref"]
    return reference.rpartition("/")[2]


def interface_page(schema: Mapping[str, Any]) -> HTMLResponse:
    """The OpenAPI document as a page. FastAPI's own loads Swagger from elsewhere."""
    parts = json.dumps(schema.get("components", {}).get("schemas", {}), indent=2)
    return _page("docs.html", operations=operations(schema), parts=parts)
