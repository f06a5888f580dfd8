"""How workers talk to the gateway: a few calls over a unix socket that no sandbox sees.

Knows nothing of HTTP libraries or of how the gateway runs. Every call is a connection of its own,
so any thread of any process may make it.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_ale.gateway.attempt import Tally, Terms
from pytest_ale.gateway.limits import Limits
from pytest_ale.gateway.sockets import short
from pytest_ale.gateway.usage import Usage
from pytest_ale.sandbox import Fault

__all__ = ["Control", "Door", "GatewayFault", "ModelLost"]

SECONDS = 30.0


class GatewayFault(Fault):
    """The model gateway could not be started or reached."""


class ModelLost(GatewayFault):
    """The server of a model answered at first, and then failed: it may have come back by now."""


@dataclass(frozen=True)
class Door:
    """Where an attempt's agent finds its model, and the token that is its API key there.

    `url` is "" but for terms that ask for a port; through a socket that a sandbox leads a port to,
    it is http://127.0.0.1:PORT. OpenAI's clients want /v1 after it, the others do not.
    """

    token: str
    socket: Path
    url: str = ""


class Control:
    """A worker's side of the gateway."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def register(self, terms: Terms) -> Door:
        """Open a door for one attempt; it listens when this returns."""
        folder = str(terms.folder.absolute()) if terms.folder else None
        told = self._ask("register", asdict(terms) | {"folder": folder})
        return Door(told["token"], Path(told["socket"]), told["url"])

    def limit(self, token: str, limits: Limits) -> None:
        """Set other limits, whose seconds count from now, such as at the agent's launch."""
        self._ask("limit", {"token": token, "limits": asdict(limits)})

    def tally(self, token: str) -> Tally:
        return _tally(self._ask("tally", {"token": token}))

    def close(self, token: str) -> Tally:
        """Close a door, cut what goes on behind it, and say what there was in all."""
        return _tally(self._ask("close", {"token": token}))

    def _ask(self, verb: str, told: Mapping[str, object]) -> dict[str, Any]:  # Any: its JSON
        connection = _Connection(self.path)
        try:
            connection.request("POST", f"/{verb}", json.dumps(told))
            reply = connection.getresponse()
            answer = reply.read()
        except (OSError, http.client.HTTPException) as error:
            said = f"the model gateway does not answer ({verb}): {error}"
            raise GatewayFault(said) from error
        finally:
            connection.close()
        if reply.status != 200:
            said = answer.decode(errors="replace")[:500]
            raise GatewayFault(f"the model gateway refuses to {verb}: {said}")
        found: dict[str, Any] = json.loads(answer)
        return found


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("gateway", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        with short(self._path) as name:
            self.sock.connect(name)


def _tally(told: dict[str, Any]) -> Tally:
    models = {name: Usage(**usage) for name, usage in told["models"].items()}
    return Tally(**told | {"usage": Usage(**told["usage"]), "models": models})
