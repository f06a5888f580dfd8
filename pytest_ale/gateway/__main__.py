"""The gateway's process: `python -m pytest_ale.gateway FOLDER`, its Config on standard input."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path

from pytest_ale.gateway.service import serve

SWITCH_SECONDS = 0.0005  # for which streams wait while evidence is written; 5 ms otherwise


async def main() -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # every stream has two
    told = json.loads(sys.stdin.buffer.readline())
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    os.set_blocking(0, False)

    def heard() -> None:
        if not os.read(0, 1 << 16) and not ended.done():
            ended.set_result(None)

    loop.add_reader(0, heard)

    def ready() -> None:
        os.write(1, b"ready\n")

    await serve(told, Path(sys.argv[1]), ended, ready)


asyncio.run(main())
