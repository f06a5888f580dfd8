"""What stands in Codex's rollouts: calls and how they went.

Knows nothing of stories or sandboxes.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ale.told import Json, count, items, objects, parsed, sub, word

__all__ = ["called", "exited", "nested", "texts", "went"]


def _tool_name(namespace: str, name: str) -> str:
    """`functions` is where the newer models have Codex's own tools."""
    return name if namespace in ("", "functions") else f"{namespace}__{name}"


def called(item: Json) -> tuple[str, Json]:
    """Name and arguments of a call, of whatever kind."""
    kind = word(item, "type")
    name = _tool_name(word(item, "namespace"), word(item, "name") or kind.removesuffix("_call"))
    if kind == "custom_tool_call":
        return name, {"input": word(item, "input")}
    if kind == "function_call":
        raw = word(item, "arguments")
        return name, parsed(raw) or ({"arguments": raw} if raw.strip() not in ("", "{}") else {})
    return name, sub(item, "action") or sub(item, "arguments")


def nested(item: Json) -> tuple[str, Json]:
    """A call that a script has made, as the model would have called the tool itself."""
    if item.get("type") == "McpToolCall":
        name = _tool_name(f"mcp__{word(item, 'server')}", word(item, "tool"))
        return name, sub(item, "arguments")
    if item.get("type") == "FileChange":
        return "apply_patch", {"input": "\n".join(_patch(sub(item, "changes")))}
    command = [str(each) for each in items(item, "command")]
    known: dict[str, object] = {"cmd": command[-1] if command else ""}
    known["workdir"] = word(item, "cwd").removeprefix("file://")
    return "exec_command", known


def _patch(changes: Json) -> Iterator[str]:
    """What was done to files, in the language in which Codex is told to do it."""
    yield "*** Begin Patch"
    for path, change in changes.items():
        if not isinstance(change, dict):
            continue
        kind = change.get("type")
        if kind == "add":
            yield f"*** Add File: {path}"
            yield from (f"+{line}" for line in word(change, "content").splitlines())
        elif kind == "delete":
            yield f"*** Delete File: {path}"
        else:
            yield f"*** Update File: {path}"
            if move := word(change, "move_path"):
                yield f"*** Move to: {move}"
            lines = word(change, "unified_diff").splitlines()
            yield from (line for line in lines if not line.startswith("\\"))  # of a missing newline
    yield "*** End Patch"


def went(item: Json) -> dict[str, object]:
    """Exit status, seconds, and whether it failed."""
    took = sub(item, "duration")
    known: dict[str, object] = {}
    if took:
        known["seconds"] = round(count(took, "secs") + count(took, "nanos") / 1e9, 3)
    code = item.get("exit_code")
    if isinstance(code, int):
        known |= exited(code)
    elif item.get("status") == "failed":
        known["is_error"] = True
    return known


def exited(code: int) -> dict[str, object]:
    return {"exit_code": code, **({"is_error": True} if code else {})}


def texts(parts: object) -> list[str]:
    """Texts of a content; what is encrypted is shown only where it is none (another's message)."""
    found = (word(part, "text") or word(part, "encrypted_content") for part in objects(parts))
    return [text for text in found if text]
