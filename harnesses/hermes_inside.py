"""Runs in a sandbox, in the Python of Hermes Agent's kit: starts it, and tells of what it does.

hermes_inside PROMPT_FILE MOST_TURNS
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any  # its objects, which this file is made for

from .litellm_inside import cut, ended, module, tell

# It starts servers and its models' scripts with its own, which runs only as it was started itself.
PYTHON = "/usr/bin/python3"
MCP_SECONDS = 60.0  # that its servers have to offer their tools; its own are 1.5
MEDIA = "MEDIA:"  # what it has its model know of a server's picture: a path
REFUSED = "content_policy_blocked"

_pictures: dict[str, str] = {}  # as addresses with all in them, by what its model is told of them
_end: dict[str, Any] = {}


# What it tells its plugins.


def _answered(assistant_message: Any, **said: Any) -> None:
    used = said["usage"] or {}
    calls = [
        {"id": call.id, "name": call.name, "arguments": call.arguments}
        for call in assistant_message.tool_calls or ()
    ]
    tell(
        "turn",
        id=said["api_request_id"],
        ended=said["ended_at"],
        model=said["response_model"] or said["model"],
        text=assistant_message.content,
        reasoning=assistant_message.reasoning or assistant_message.reasoning_content,
        calls=calls,
        usage={
            "prompt": used.get("prompt_tokens"),
            "output": used.get("output_tokens"),
            "cached": used.get("cache_read_tokens"),
            "reasoning": used.get("reasoning_tokens"),
        },
    )


def _not_answered(error: Mapping[str, Any], **said: Any) -> None:
    """A refusal by the model is told as an error, too."""
    if said["reason"] == REFUSED:
        id, ended_at = said["api_request_id"], said["ended_at"]
        tell(
            "turn", id=id, ended=ended_at, model=said["model"], text=error["message"], refused=True
        )
    else:
        tell("failed", said=f"{error['type']}: {error['message']}"[:4000])


def _heard() -> None:
    hooks = module("hermes_cli.plugins").get_plugin_manager()._hooks
    hooks.setdefault("post_api_request", []).append(_answered)
    hooks.setdefault("api_request_error", []).append(_not_answered)


# What came of a call: each result becomes a message for its model here, and nowhere else.


def _told_of(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def made(name: str, content: Any, id: str, **more: Any) -> Any:
        message = make(name, content, id, **more)
        _result(id, message["content"], content)
        return message

    return made


def _result(id: str, shown: Any, content: Any) -> None:
    """`shown` is what its model gets: of what came from outside it is told where that begins."""
    parts: list[Any] = shown if isinstance(shown, list) else [{"type": "text", "text": str(shown)}]
    urls = [part["image_url"]["url"] for part in parts if part.get("type") == "image_url"]
    split = [url.partition(";base64,") for url in urls]
    pictures = [
        {"data": data, "type": head.removeprefix("data:")} for head, _, data in split if data
    ]
    text = "\n".join(part.get("text") or "" for part in parts)
    tell("result", id=id, text=cut(text), pictures=pictures, extra=_noted(content))


def _noted(content: Any) -> dict[str, object]:
    """Results are JSON, mostly."""
    try:
        said = json.loads(content)
        code, error = said.get("exit_code"), said.get("error")
    except (ValueError, TypeError, AttributeError):
        return {}
    extra: dict[str, object] = {"exit_code": code} if type(code) is int else {}
    return extra | ({"is_error": True} if error else {})


# Pictures of servers' tools: it shows them to people alone, and its model a path.


def _kept(keep: Callable[[Any], str]) -> Callable[[Any], str]:
    @functools.wraps(keep)
    def kept(block: Any) -> str:
        if getattr(block, "type", "") != "image":
            return keep(block)
        said = keep(block) or f"{MEDIA}picture-{len(_pictures) + 1}"
        _pictures[said] = f"data:{block.mimeType};base64,{block.data}"
        return said

    return kept


def _shown(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(dispatch)
    def dispatched(self: Any, name: str, *words: Any, **more: Any) -> Any:
        result = dispatch(self, name, *words, **more)
        return _with_pictures(result) if name.startswith("mcp__") else result

    return dispatched


def _with_pictures(result: Any) -> Any:
    """In the form that it has for tools of its own which look at a screen."""
    found = [said for said in _pictures if isinstance(result, str) and said in result]
    if not found:
        return result
    content: list[dict[str, object]] = [{"type": "text", "text": result}]
    for said in found:
        content.append({"type": "image_url", "image_url": {"url": _pictures.pop(said)}})
    return {"_multimodal": True, "content": content, "text_summary": result}


# Starting it.


def _watched() -> None:
    helpers = module("agent.tool_dispatch_helpers")
    helpers.make_tool_result_message = _told_of(helpers.make_tool_result_message)
    mcp, registry = module("tools.mcp_tool"), module("tools.registry").ToolRegistry
    mcp._cache_mcp_image_block = _kept(mcp._cache_mcp_image_block)
    registry.dispatch = _shown(registry.dispatch)


def _alone() -> None:
    """Keep it from asking its server of what kind it is, and others what its model costs."""
    known = module("agent.model_metadata")
    known.detect_local_server_type = lambda *words, **more: None
    known.fetch_endpoint_model_metadata = lambda *words, **more: {}
    known.fetch_model_metadata = lambda *words, **more: {}
    module("agent.models_dev").fetch_models_dev = lambda *words, **more: {}


def _unlimited(most_turns: int) -> None:
    """Its limit of 90 answers is no matter of its configuration, as it is started here."""
    agent = module("run_agent").AIAgent
    begin = agent.__init__

    @functools.wraps(begin)
    def begun(self: Any, *words: Any, **more: Any) -> None:
        begin(self, *words, **{"max_iterations": most_turns, **more})

    agent.__init__ = begun


def _waiting(oneshot: Any) -> None:
    """Have it wait for its servers' tools, and keep how it ended."""
    run, startup = oneshot._run_agent, module("hermes_cli.mcp_startup")

    def ran(*words: Any, **more: Any) -> Any:
        startup.wait_for_mcp_discovery(MCP_SECONDS)
        _heard()
        answer = run(*words, **more)
        _end.update(answer[1])
        return answer

    oneshot._run_agent = ran


def _left(code: object) -> None:
    """Instead of leaving at once: how it ended is to be told."""
    if _end.get("completed") and not _end.get("failed"):
        sys.exit(0)
    why = _end.get("error") or _end.get("turn_exit_reason") or f"it ended with {code}"
    sys.exit(str(why)[:4000])


def main() -> None:
    prompt, most_turns = sys.argv[1:]
    sys.executable = PYTHON
    sys.argv = ["hermes", "--yolo", "--oneshot=" + Path(prompt).read_text(encoding="utf-8")]
    program = module("hermes_cli.main")  # first: it reads the configuration's place
    _alone()
    _watched()
    _unlimited(int(most_turns))
    _waiting(module("hermes_cli.oneshot"))
    program._exit_after_oneshot = _left
    ended(program.main)


if __name__ == "__main__":
    main()
