"""Asked: what a client asks of a proxy, read so strictly that nobody reads it in another way.

Knows nothing of sockets, or of who is allowed what.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pytest_ale.hosts import canonical, port_of

__all__ = ["Asked", "Refusal", "understood"]

AUTHORITY = r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
LINE = re.compile(r"(?P<method>[A-Z]{1,20}) (?P<target>[!-~]+) HTTP/1\.[01]")
TUNNEL = re.compile(AUTHORITY)
URL = re.compile(rf"http://{AUTHORITY}(?P<path>(?:[/?][!\"$-~]*)?)", re.IGNORECASE)
HEADER = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>[\t -~\x80-\xff]*)")
HOP_BY_HOP = {"connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


class Refusal(Exception):
    """What a client is told instead of what it asked for."""

    def __init__(self, status: str, body: str) -> None:
        super().__init__(body)
        self.status = status


@dataclass(frozen=True)
class Asked:
    """A request as it is understood here, and so as it is passed on: nobody else reads the URL."""

    host: str
    port: int
    tunnel: bool
    head: bytes = b""  # to be sent on; the Host in it is the URL's
    body: int = 0  # bytes that follow the head

    @property
    def target(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def understood(head: bytes) -> Asked:
    """Read a request's head strictly; what two readers could read in two ways is refused."""
    first, *lines = head.decode("latin-1").split("\r\n")
    line = LINE.fullmatch(first)
    if not line:
        raise Refusal("400 Bad Request", f"not a request to a proxy: {first[:200]!r}")
    headers = [HEADER.fullmatch(each) for each in lines]
    fields = [(each["name"], each["value"].rstrip(" \t")) for each in headers if each]
    if len(fields) < len(lines):
        raise Refusal("400 Bad Request", "a header line is not `name: value`")
    if line["method"] == "CONNECT":
        host, port = _authority(TUNNEL.fullmatch(line["target"]), line["target"], 443)
        return Asked(host, port, tunnel=True)
    url = URL.fullmatch(line["target"])
    host, port = _authority(url, line["target"], 80)
    asked = Asked(host, port, tunnel=False, body=_length(fields))
    path = url["path"] if url else ""
    sent = [f"{line['method']} {'' if path.startswith('/') else '/'}{path} HTTP/1.1"]
    sent += [f"Host: {asked.target.removesuffix(':80')}", *_passed_on(fields)]
    text = "\r\n".join([*sent, "Connection: close", "", ""])
    return replace(asked, head=text.encode("latin-1"))


def _authority(found: re.Match[str] | None, target: str, port: int) -> tuple[str, int]:
    if not found:
        hint = "ask for http://host[:port]/path, or CONNECT host:port"
        raise Refusal("400 Bad Request", f"cannot read the target {target[:200]!r}: {hint}")
    try:
        port = port_of(found["port"]) if found["port"] else port
        return canonical(found["host"].strip("[]")), port
    except ValueError as error:
        raise Refusal("400 Bad Request", str(error)) from None


def _passed_on(fields: list[tuple[str, str]]) -> list[str]:
    named = ",".join(value for name, value in fields if name.lower() == "connection")
    dropped = HOP_BY_HOP | {word.strip().lower() for word in named.split(",")} - {"content-length"}
    return [
        f"{name}: {value}"
        for name, value in fields
        if name.lower() not in dropped and not name.lower().startswith("proxy-")
    ]


def _length(fields: list[tuple[str, str]]) -> int:
    """How long the body is: said once and in digits, or there is room for a second request."""
    if any(name.lower() == "transfer-encoding" for name, _ in fields):
        raise Refusal("411 Length Required", "send a Content-Length: chunked bodies are not taken")
    lengths = [value for name, value in fields if name.lower() == "content-length"]
    if len(lengths) > 1 or not all(re.fullmatch("[0-9]{1,18}", value) for value in lengths):
        raise Refusal("400 Bad Request", f"Content-Length: {lengths!r}")
    return int(lengths[0]) if lengths else 0
