"""The model gateway: a streaming reverse proxy on this machine, one per run, for all workers.

Knows nothing of tasks, harnesses or sandboxes.

The controller starts it (`Gateway`, a process of its own: streams must not wait for whatever else
a process does) with the real keys, which nobody else has. A worker registers each attempt through
`Control`, and gets a socket and a token; the agent sends the token as its API key:

    with Gateway(Config(upstreams=upstreams(os.environ)), folder) as gateway:
        control = Control(gateway.control)                       # in any worker
        door = control.register(Terms(folder=evidence, limits=Limits(usd=2)))
        SandboxSpec(sockets={8080: door.socket})                 # http://127.0.0.1:8080 inside
        control.tally(door.token)                                # tokens, dollars, what stopped it
        control.close(door.token)                                # ends its streams: the last tally

Each attempt has a unix socket of its own and its token is good there alone: nothing that one agent
does to its socket can reach another's, and a token that is found in a record opens nothing.

    apis      the three APIs: their paths, keys, errors, and where they name tools
    usage     tokens in one meaning, read beside the stream
    limits    what an attempt may use, and the prices
    attempt   what is known of one attempt: what it used, where it waited, what it was offered
    waiting   the clock of how long rate limits made it wait
    scrub     secrets: masked on their way in, removed from what is kept
    evidence  every request and answer, kept within a bound
    hosted    what a request would have the model's server do elsewhere
    forward   one request, carried
    server    the sockets
    control   how workers talk to it
    process   how the controller starts and ends it
"""

from __future__ import annotations

from pytest_ale.gateway.apis import Upstream, upstreams
from pytest_ale.gateway.attempt import Tally, Terms
from pytest_ale.gateway.control import Control, Door, GatewayFault, ModelLost
from pytest_ale.gateway.limits import Limits
from pytest_ale.gateway.process import Config, Gateway
from pytest_ale.gateway.usage import Usage

IMPORTS = ("aiohttp", "genai_prices")  # in its own process; the extra `gateway` has them

__all__ = [
    "IMPORTS",
    "Config",
    "Control",
    "Door",
    "Gateway",
    "GatewayFault",
    "Limits",
    "ModelLost",
    "Tally",
    "Terms",
    "Upstream",
    "Usage",
    "upstreams",
]
