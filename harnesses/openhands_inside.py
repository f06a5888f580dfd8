"""Runs in a sandbox, in the Python of OpenHands' kit: starts its CLI, and tells of what it does.

openhands_inside PROMPT_FILE TRIES VISION THE CLI'S OWN ARGUMENTS
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # its objects, which this file is made for

from .litellm_inside import cut, ended, module, tell, watched

_failed: list[str] = []


def _event(event: Any) -> None:
    """What came of a call; the call itself was told with its model's answer."""
    kind = type(event).__name__
    if kind == "ObservationEvent":
        seen = event.observation
        text, pictures = _content(seen.to_llm_content)
        said = {"exit_code": getattr(seen, "exit_code", None), "is_error": seen.is_error or None}
        extra = {name: value for name, value in said.items() if value is not None}
        tell("result", id=event.tool_call_id, text=text, pictures=pictures, extra=extra)
    elif kind in ("AgentErrorEvent", "UserRejectObservation"):
        text = getattr(event, "error", "") or getattr(event, "rejection_reason", "")
        tell("result", id=event.tool_call_id, text=text, extra={"is_error": True})
    elif kind == "ConversationErrorEvent":
        _failed.append(f"{event.code}: {event.detail}")
    elif kind == "Condensation":
        tell("system", text=f"[its context was condensed] {event.summary or ''}")


def _content(parts: Any) -> tuple[str, list[dict[str, str]]]:
    text = "\n".join(part.text for part in parts if getattr(part, "text", None))
    urls = (url for part in parts for url in getattr(part, "image_urls", ()))
    return cut(text), list(_pictures(urls))


def _pictures(urls: Iterator[str]) -> Iterator[dict[str, str]]:
    for url in urls:
        head, _, data = url.partition(";base64,")
        if data:
            yield {"data": data, "type": head.removeprefix("data:")}


def _heard() -> None:
    """Hear all events of each conversation, those of sub-agents among them."""
    conversation = module("openhands.sdk.conversation.impl.local_conversation").LocalConversation
    begin = conversation.__init__

    @functools.wraps(begin)
    def begun(self: Any, *words: Any, callbacks: Any = None, **more: Any) -> None:
        begin(self, *words, callbacks=[*(callbacks or ()), _event], **more)

    conversation.__init__ = begun


def _seeing() -> None:
    """Show pictures to models, too, of which litellm does not know that they see."""
    llm = module("openhands.sdk.llm.llm").LLM
    llm._supports_vision = lambda self: True


def _alone(tries: int) -> None:
    """Keep it from asking anybody but its model, and from asking that for many minutes."""
    store = module("openhands_cli.stores.agent_store")
    # 2, 4, 8 and 16 s apart; its own 5 tries are 8 to 64 s apart.
    waits = {"retry_multiplier": 2.0, "retry_min_wait": 2, "retry_max_wait": 16}
    store.LLM = functools.partial(store.LLM, num_retries=tries, **waits)
    version = module("openhands_cli.version_check")
    current = module("openhands_cli").__version__
    version.check_for_updates = lambda **more: version.VersionInfo(current, None, False, None)
    # Skills that anybody may publish, by git from GitHub.
    context = store.AgentContext
    store.AgentContext = lambda **more: context(**{**more, "load_public_skills": False})


def _work(start: Any) -> None:
    start()
    if _failed:
        sys.exit(_failed[-1])


def main() -> None:
    prompt, tries, vision, *arguments = sys.argv[1:]
    watched()
    _heard()
    if vision == "on":
        _seeing()
    _alone(int(tries))
    start = module("openhands_cli.entrypoint")
    # In the command line of a process there is no room for a long one; here there is.
    sys.argv = ["openhands", *arguments, "--task", Path(prompt).read_text(encoding="utf-8")]
    ended(lambda: _work(start.main))


if __name__ == "__main__":
    main()
