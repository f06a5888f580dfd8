"""Access: one attempt's way to its model, through the gateway.

Knows no harness and no provider: a socket on the host, and the port inside that leads to it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from pytest_ale.gateway import Control, Door, GatewayFault, Tally, Terms

__all__ = ["Access"]

# Below those that Linux gives to clients (32768 on). At random: on a provider whose sandboxes
# share a network, two would meet at one.
PORTS = range(20_000, 30_000)


@dataclass(frozen=True)
class Access:
    """An open door of the gateway."""

    control: Control
    door: Door
    port: int

    @classmethod
    def open(cls, control: Control | None, who: str, terms: Terms) -> Access:
        if control is None:
            raise GatewayFault(
                f"agent {who} needs the model gateway, which starts for agents that are named by"
                " --ale-agent only"
            )
        return cls(control, control.register(terms), random.choice(PORTS))

    @property
    def sockets(self) -> dict[int, Path]:
        return {self.port: self.door.socket}

    @property
    def url(self) -> str:
        """Where its user finds it: on this machine if that was asked for, else in the sandbox."""
        return self.door.url or f"http://127.0.0.1:{self.port}"

    def tally(self) -> Tally:
        return self.control.tally(self.door.token)

    def close(self) -> Tally:
        return self.control.close(self.door.token)
