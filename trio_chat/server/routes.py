"""The admin API: its one table, which requests are taken by and which its OpenAPI document is made of."""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import attrs
import msgspec

from trio_chat import __version__
from trio_chat.core import orders
from trio_chat.core.orders import Act, Failure, Look, Shown

STATUS = {
    "bad_message": 400,
    "too_large": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "no_such_user": 404,
    "no_such_room": 404,
    "no_such_ban": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "too_many_bans": 409,
    "too_many_attempts": 429,
    "unavailable": 503,
}


@attrs.frozen
class Route:
    """`method` and `path` are `order`, answered with `shown`. `{…}` in the path is a field of the order."""

    method: str
    path: str
    order: type[Act] | type[Look]
    shown: type[Shown]

    @property
    def fields(self) -> list[str]:
        """Of the path."""
        return re.findall(r"{(\w+)}", self.path)

    def match(self, path: str) -> dict[str, str] | None:
        """The fields of a path, if it is this route's."""
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


ROUTES = (
    Route("GET", "/v1/info", orders.ShowInfo, orders.Info),
    Route("GET", "/v1/users", orders.ListUsers, orders.Users),
    Route("GET", "/v1/users/{user}", orders.ShowUser, orders.UserDetail),
    Route("POST", "/v1/users/{user}/kick", orders.KickUser, orders.Done),
    Route("GET", "/v1/rooms", orders.ListRooms, orders.RoomPage),
    Route("GET", "/v1/rooms/{room}", orders.ShowRoom, orders.RoomDetail),
    Route("POST", "/v1/rooms/{room}/messages", orders.Publish, orders.Done),
    Route("GET", "/v1/connections", orders.ListConnections, orders.Connections),
    Route("GET", "/v1/bans", orders.ListBans, orders.Bans),
    Route("POST", "/v1/bans", orders.BanUser, orders.Done),
    Route("DELETE", "/v1/bans/{subject}", orders.Unban, orders.Done),
    Route("POST", "/v1/forget", orders.ForgetUser, orders.Done),
    Route("POST", "/v1/announcements", orders.Announce, orders.Done),
    Route("POST", "/v1/drain", orders.StartDrain, orders.Done),
    Route("GET", "/v1/audit", orders.ShowAudit, orders.AuditPage),
)
DESCRIPTION = "/v1/openapi.json"


class RouteError(Exception):
    """A request that is none of the table's, or not as it must be."""

    def __init__(self, failure: Failure, allow: str = "") -> None:
        super().__init__(failure.message)
        self.failure, self.allow = failure, allow


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request, and the fields in its path.

    Raises:
        RouteError: there is none.
    """
    found = [(route, fields) for route in ROUTES if (fields := route.match(path)) is not None]
    for route, fields in found:
        if route.method == method:
            return route, fields
    if found:
        allow = ", ".join(route.method for route, _ in found)
        raise RouteError(Failure(code="method_not_allowed", message=f"Possible here: {allow}"), allow)
    raise RouteError(Failure(code="not_found", message="There is nothing here"))


def read(route: Route, fields: dict[str, str], query: str, body: bytes) -> Act | Look:
    """The order that a request is.

    Raises:
        RouteError: a field is missing, unknown, or not what it must be.
    """
    try:
        given: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        if issubclass(route.order, Act):
            given |= msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
        both = [name for name in fields if name in given]
        if both:
            raise RouteError(_bad(f"{both[0]} stands in the path"))
        return msgspec.convert({**given, **fields}, route.order, strict=issubclass(route.order, Act))
    except msgspec.ValidationError as error:
        raise RouteError(_bad(_named(str(error)))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RouteError(_bad("The body is not valid JSON")) from None
    except ValueError:
        raise RouteError(_bad("The query is none")) from None


def _named(message: str) -> str:
    """What msgspec has to say, with the field first, as whoever asked calls it."""
    wrong, _, place = message.replace("Object", "The body or query").replace("`", "").partition(" - at $.")
    return f"{place}: {wrong}" if place else wrong


def _bad(message: str) -> Failure:
    return Failure(code="bad_message", message=message)


@lru_cache(maxsize=1)
def openapi() -> bytes:
    """The OpenAPI document."""
    types = [kind for route in ROUTES for kind in (route.order, route.shown)]
    schemas, components = msgspec.json.schema_components(
        [*dict.fromkeys(types), Failure], ref_template="#/components/schemas/{name}"
    )
    named = dict(zip([*dict.fromkeys(types), Failure], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, named, components)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "trio_chat admin API", "version": __version__},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    return msgspec.json.encode(document)


def _operation(route: Route, named: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    properties = components[route.order.__name__].get("properties", {})
    is_act = issubclass(route.order, Act)
    parameters = [
        {"name": name, "in": "path" if name in route.fields else "query", "schema": schema}
        | ({"required": True} if name in route.fields else {})
        for name, schema in properties.items()
        if name in route.fields or not is_act
    ]
    made: dict[str, Any] = {
        "operationId": route.order.__name__,
        "summary": (route.order.__doc__ or "").partition("\n")[0],
        "parameters": parameters,
        "responses": {
            "200": _response("It is so.", named[route.shown]),
            "default": _response("It was refused, and nothing was done.", named[Failure]),
        },
    }
    if is_act:
        made["requestBody"] = {"content": {"application/json": {"schema": _body(route, components)}}}
    return made


def _body(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    """What of an act is not in the path."""
    whole = components[route.order.__name__]
    left = {name: schema for name, schema in whole.get("properties", {}).items() if name not in route.fields}
    needed = [name for name in whole.get("required", []) if name not in route.fields]
    return {"type": "object", "properties": left, "required": needed, "additionalProperties": False}


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def status_of(failure: Failure) -> HTTPStatus:
    """The status that says it."""
    return HTTPStatus(STATUS[failure.code])
