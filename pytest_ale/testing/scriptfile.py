"""Scripts written in YAML: a list of steps, each one word and what belongs to it.

Knows nothing of how they are played.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from pytest_ale.testing.script import KINDS, ScriptError, Step, Turn

__all__ = ["read"]

# say, think, call, usage, expect, refuse, cut, slow, wrong_json, hang
WORDS = {
    "wrong_json" if kind.__name__ == "WrongJson" else kind.__name__.lower(): kind for kind in KINDS
}


def read(path: Path) -> Iterator[Step | Turn]:
    """The steps of a file; a fault names the file and the step."""
    try:
        steps = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ScriptError(f"{path} cannot be read as a script: {error}") from error
    if not isinstance(steps, list):
        raise ScriptError(f"{path} is no list of steps, like '- say: Done.'")
    for number, step in enumerate(steps, 1):
        try:
            yield _step(step)
        except ScriptError as error:
            raise ScriptError(f"{path}, step {number}: {error}") from error


def _step(step: object) -> Step | Turn:
    if step == "wrong_json":
        step = {"wrong_json": {}}
    if not isinstance(step, dict) or len(step) != 1:
        raise ScriptError(f"{step!r} is not one word and its value, like 'say: Done.'")
    ((word, value),) = step.items()
    if word == "turn":
        return _turn(value)
    if word not in WORDS:
        raise ScriptError(f"there is no step {word!r}; there are turn, {', '.join(WORDS)}")
    return _made(WORDS[word], value)


def _turn(value: object) -> Turn:
    if not isinstance(value, list):
        raise ScriptError(f"{value!r} is no list of the turn's steps")
    steps = [_step(step) for step in value]
    if any(isinstance(step, Turn) for step in steps):
        raise ScriptError("a turn holds no turn")
    return Turn(*(step for step in steps if not isinstance(step, Turn)))


def _made(kind: type[Step], value: object) -> Step:
    """A step from its fields by name, or from its first one alone."""
    known = [field.name for field in fields(kind)]
    given = value if isinstance(value, dict) else {known[0]: value}
    if unknown := sorted(str(name) for name in given if name not in known):
        raise ScriptError(f"{kind.__name__} has no {', '.join(unknown)}; it has {', '.join(known)}")
    try:
        return TypeAdapter(kind).validate_python(given, strict=False)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ScriptError(f"{kind.__name__}: {said}") from error
