"""`trio-chat admin …`: an operator's words to a running server, over its admin API.

Exit codes: 0 success; 1 the server refuses or is away; 2 asked for the wrong. What is wrong is one line on stderr.
"""

from __future__ import annotations

import http.client
import json as jsonlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode, urlsplit

import attrs
from cyclopts import App, Parameter

from trio_chat.cli_log import printable
from trio_chat.settings import ADMIN_URL, variable

SECONDS = 35.0  # that an answer may take: a little more than the server itself waits
TOKEN, TOKEN_FILE, PORT = variable("admin_token"), variable("admin_token_file"), variable("admin_port")


class AdminError(Exception):
    """What is wrong, in one line. `usage`: with how it was asked for."""

    def __init__(self, line: str, *, usage: bool = False) -> None:
        super().__init__(line)
        self.usage = usage


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Server:
    """Where the server is, how to prove oneself, and what its answers are shown as."""

    url: Annotated[str, Parameter(help=f"of the admin API; else {ADMIN_URL}, or {PORT} on this machine")] = ""
    token: Annotated[str, Parameter(help=f"else {TOKEN}, or a file; others on this machine can see flags")] = ""
    token_file: Annotated[str, Parameter(help=f"file with the token; else {TOKEN_FILE}", metavar="PATH")] = ""
    json: Annotated[bool, Parameter(help="for programs: the answer as it is", negative="")] = False

    def ask(self, method: str, path: str, given: Mapping[str, Any] | None = None) -> Any:
        """The answer to one request.

        Raises:
            AdminError: there is none, or a refusal.
        """
        host, headers = self._place(), {"Authorization": f"Bearer {self._secret()}"}
        fields = {name: value for name, value in (given or {}).items() if value is not None}
        body = jsonlib.dumps(fields) if method != "GET" else None
        query = f"?{urlencode(fields)}" if method == "GET" and fields else ""
        connection = http.client.HTTPConnection(host, timeout=SECONDS)
        try:
            connection.request(method, path + query, body, headers)
            response = connection.getresponse()
            answer = jsonlib.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it does not answer as an admin API"
            raise AdminError(f"http://{host}: no server answers there ({reason})") from None
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            wrong = response.status == http.HTTPStatus.BAD_REQUEST
            raise AdminError(str(answer.get("message", response.reason)), usage=wrong)
        return answer

    def _place(self) -> str:
        """Host and port."""
        port = os.environ.get(PORT, "")
        url = self.url or os.environ.get(ADMIN_URL, "") or (f"http://127.0.0.1:{port}" if port else "")
        if not url:
            raise AdminError(f"--url: the URL of the admin API must be given, or {ADMIN_URL}", usage=True)
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.netloc or parts.path not in ("", "/"):
            raise AdminError(f"--url: {url!r} must be one such as http://127.0.0.1:10001", usage=True)
        return parts.netloc

    def _secret(self) -> str:
        token, path = self.token or os.environ.get(TOKEN, ""), self.token_file or os.environ.get(TOKEN_FILE, "")
        if path and not self.token:
            try:
                token = Path(path).read_text(encoding="ascii").strip()
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is not ASCII"
                raise AdminError(f"--token-file: {path!r} cannot be read: {reason}", usage=True) from None
        if not token:
            raise AdminError(f"--token-file: a token must be given, or {TOKEN}, or {TOKEN_FILE}", usage=True)
        if not all("!" <= one <= "~" for one in token):
            raise AdminError("--token: it must be printable characters of ASCII, without spaces", usage=True)
        return token


HERE = Server()
Name = Annotated[str, Parameter(metavar="NAME")]
Reason = Annotated[str, Parameter(help="for the audit; of a ban, told to who is banned")]
Limit = Annotated[int, Parameter(help="how many, at most 1000")]
After = Annotated[int | None, Parameter(help="the `next` of the page before")]


def build_admin() -> App:
    """The commands below `admin`."""
    app = App(name="admin", help="Ask a running server, or tell it.", help_format="plaintext", version_flags=())
    for command in (
        *(info, users, user, rooms, room, connections),
        *(kick, ban, unban, bans, forget, announce, publish, drain, audit),
    ):
        app.command(command)
    return app


def info(*, server: Server = HERE) -> int:
    """Show the server's version and how much there is of what."""
    return _show(server, "GET", "/v1/info")


def users(*, limit: Limit = 100, after: After = None, server: Server = HERE) -> int:
    """List users, the oldest first."""
    return _show(server, "GET", "/v1/users", limit=limit, after=after)


def user(name: Name, /, *, server: Server = HERE) -> int:
    """Show a user's connections, rooms and bans."""
    return _show(server, "GET", f"/v1/users/{quote(name, safe='')}")


def rooms(*, limit: Limit = 100, after: After = None, server: Server = HERE) -> int:
    """List rooms, the oldest first."""
    return _show(server, "GET", "/v1/rooms", limit=limit, after=after)


def room(name: Name, /, *, server: Server = HERE) -> int:
    """Show a room's settings, members and rights."""
    return _show(server, "GET", f"/v1/rooms/{quote(name, safe='')}")


def connections(*, limit: Limit = 100, after: After = None, server: Server = HERE) -> int:
    """List connections, the oldest first."""
    return _show(server, "GET", "/v1/connections", limit=limit, after=after)


def kick(name: Name, /, *, reason: Reason = "", server: Server = HERE) -> int:
    """Close a user's connections, and end the sessions."""
    return _show(server, "POST", f"/v1/users/{quote(name, safe='')}/kick", reason=reason)


def ban(
    who: Annotated[str, Parameter(help="a name, an address or a network such as 192.0.2.0/24", metavar="WHO")],
    /,
    *,
    net: Annotated[bool, Parameter(help="WHO is an address or a network", negative="")] = False,
    id: Annotated[bool, Parameter(name="--id", help="WHO is a user id", negative="")] = False,
    duration: Annotated[float | None, Parameter(help="seconds; without it, for good")] = None,
    reason: Reason = "",
    server: Server = HERE,
) -> int:
    """Ban a user (the default), or with --net whoever comes from there."""
    field = "net" if net else "id" if id else "user"
    return _show(server, "POST", "/v1/bans", **{field: who}, duration=duration, reason=reason)


def unban(
    subject: Annotated[str, Parameter(help="as `bans` shows it: name:alice, net:192.0.2.0/24", metavar="SUBJECT")],
    /,
    *,
    reason: Reason = "",
    server: Server = HERE,
) -> int:
    """Lift a ban."""
    return _show(server, "DELETE", f"/v1/bans/{quote(subject, safe='')}", reason=reason)


def bans(*, limit: Limit = 100, after: After = None, server: Server = HERE) -> int:
    """List bans, the oldest first."""
    return _show(server, "GET", "/v1/bans", limit=limit, after=after)


def forget(
    who: Annotated[str, Parameter(help="a name: of guests, whoever had it", metavar="WHO")],
    /,
    *,
    id: Annotated[bool, Parameter(name="--id", help="WHO is a user id", negative="")] = False,
    yes: Annotated[bool, Parameter(help="it cannot be undone, and I know", negative="")] = False,
    reason: Annotated[str, Parameter(help="for the audit, which does not say who it was")] = "",
    server: Server = HERE,
) -> int:
    """Forget a user: what was said, the name, and all that is kept."""
    if not yes:
        return _fail(AdminError(f"forgetting {who!r} cannot be undone: say so with --yes", usage=True))
    return _show(server, "POST", "/v1/forget", **{"id" if id else "user": who}, reason=reason)


def announce(content: Annotated[str, Parameter(metavar="TEXT")], /, *, server: Server = HERE) -> int:
    """Tell everybody who is connected."""
    return _show(server, "POST", "/v1/announcements", content=content)


def publish(
    room: Annotated[str, Parameter(metavar="ROOM")],
    content: Annotated[str, Parameter(metavar="TEXT")],
    /,
    *,
    server: Server = HERE,
) -> int:
    """Post a message to a room, as the server."""
    return _show(server, "POST", f"/v1/rooms/{quote(room, safe='')}/messages", content=content)


def drain(*, reason: Reason = "", server: Server = HERE) -> int:
    """Let the server go away, as SIGTERM does."""
    return _show(server, "POST", "/v1/drain", reason=reason)


def audit(
    *,
    limit: Annotated[int, Parameter(help="how many, at most 200")] = 100,
    before: Annotated[int | None, Parameter(help="the `next` of the page before")] = None,
    server: Server = HERE,
) -> int:
    """List what operators did, the newest first."""
    return _show(server, "GET", "/v1/audit", limit=limit, before=before)


# --- Shown ------------------------------------------------------------------------------------------------------------


def _show(server: Server, method: str, path: str, **fields: Any) -> int:
    """Ask, print the answer, and return the exit code."""
    try:
        answer = server.ask(method, path, fields)
    except AdminError as error:
        return _fail(error)
    if server.json:
        print(jsonlib.dumps(answer, indent=2))
    else:
        _tell(answer)
    return 0


def _fail(error: AdminError) -> int:
    """Say what is wrong, and return the exit code."""
    if sys.stderr is not None:
        print(printable(str(error)), file=sys.stderr)
    return 2 if error.usage else 1


def _tell(answer: dict[str, Any]) -> None:
    """Lists as tables, what is single as lines."""
    flat: dict[str, Any] = {}
    for name, value in answer.items():
        flat |= value if isinstance(value, dict) else {name: value}
    lists = {name: rows for name, rows in flat.items() if isinstance(rows, list) and rows}
    tables = {name: rows for name, rows in lists.items() if isinstance(rows[0], dict)}
    lines = {name: value for name, value in flat.items() if name not in tables and value not in (None, "", [])}
    for name, value in lines.items():
        print(f"{name}: {_text(value)}")
    for rows in tables.values():
        _table(rows)


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row.values()))
    console = Console(markup=False, highlight=False, emoji=False)
    console.width = console.width if console.is_terminal else 10_000
    console.print(table)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else printable(str(value))
