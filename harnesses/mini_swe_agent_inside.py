"""Runs in a sandbox, in the Python of mini-swe-agent's kit: starts it, and tells of what it does.

mini_swe_agent_inside MINI'S OWN ARGUMENTS
"""

from __future__ import annotations

import functools
import sys
import time
from typing import Any  # mini's objects, which this file is made for

from .litellm_inside import cut, ended, module, tell, watched


def _told(environment: Any) -> None:
    """Its commands are calls of its model's: what came of each is told by the call's id."""
    execute = environment.execute

    @functools.wraps(execute)
    def told(self: Any, action: dict[str, str], *words: Any, **more: Any) -> object:
        began = time.time()
        try:
            done = execute(self, action, *words, **more)
        except Exception as error:
            _result(action, began, str(error.args[0] if error.args else error), {"ended": True})
            raise
        failed = done.get("exception_info")
        said = {"exit_code": done.get("returncode"), **({"is_error": True} if failed else {})}
        _result(action, began, f"{done.get('output', '')}{failed or ''}", said)
        return done

    environment.execute = told


def _result(action: dict[str, str], began: float, text: str, said: dict[str, object]) -> None:
    extra = {"seconds": round(time.time() - began, 3), **said}
    tell("result", id=action.get("tool_call_id"), text=cut(text), extra=extra)


def _done(agent: Any) -> None:
    """It ends as if all were well, also where it gave up."""
    how = agent.messages[-1]["extra"].get("exit_status")
    if how != "Submitted":
        sys.exit(f"it gave up: {how}")


def main() -> None:
    watched()
    local = module("minisweagent.environments.local")
    _told(local.LocalEnvironment)
    start = module("minisweagent.run.mini")
    ended(lambda: _done(start.app(standalone_mode=False)))


if __name__ == "__main__":
    main()
