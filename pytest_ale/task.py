"""Task and instance: a folder with its card, one variant of it, and the prompt they make.

Imports no task code and knows nothing of pytest.
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale.index import CardEntry
from pytest_ale.sandbox import GraderFault, SandboxSpec
from pytest_ale.trees import digest

if TYPE_CHECKING:
    from pytest_ale.card import Card, Variant

__all__ = ["Instance", "PromptError", "Task", "fingerprint", "render"]


class PromptError(GraderFault):
    """A prompt asks for a placeholder that does not exist."""


@dataclass(frozen=True)
class Task:
    """A folder `tasks/<cluster>/<name>/`."""

    folder: Path
    entry: CardEntry

    @property
    def id(self) -> str:
        return f"{self.entry.cluster}/{self.folder.name}"

    @cached_property
    def card(self) -> Card:
        return self.entry.card()

    @cached_property
    def digest(self) -> str:
        return digest(self.folder)

    @property
    def prompt(self) -> str:
        """The prompt with its placeholders."""
        path = self.folder / "prompt.md"
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise GraderFault(f"{path}: the prompt cannot be read: {error}") from None


@dataclass(frozen=True)
class Instance:
    """Task x variant, with the seed its inputs are built from."""

    task: Task
    variant_id: str
    seed: int = 0

    @property
    def variant(self) -> Variant:
        return self.task.card.variant(self.variant_id)

    @property
    def id(self) -> str:
        return f"{self.task.id}/{self.variant_id}"

    @property
    def rng_seed(self) -> str:
        return f"{self.id}/{self.seed}"

    def spec(self, hidden: tuple[Path, ...], labels: Mapping[str, str]) -> SandboxSpec:
        """The sandbox this instance asks for."""
        env = self.task.card.environment
        return SandboxSpec(
            os=env.os,
            packages=tuple(env.packages),
            python=tuple(env.python),
            desktop=env.desktop,
            screen=env.size,
            cpus=env.cpus,
            memory_gb=env.memory_gb,
            disk_gb=env.disk_gb,
            gpu=env.gpu,
            licence=env.licence,
            network=env.network if isinstance(env.network, str) else tuple(env.network),
            hidden=hidden,
            labels=labels,
        )


def render(template: str, values: Mapping[str, object], where: Path) -> str:
    """Fill `{inputs}`, `{output}` and `{params.NAME}`; a literal brace is doubled.

    A parameter that is no text is written as JSON.
    """
    parts = []
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise PromptError(f"{where}: {error}; a literal brace is doubled: {{{{ }}}}") from None
    for literal, name, spec, conversion in parsed:
        parts.append(literal)
        if name is not None:
            name += f"!{conversion}" * bool(conversion) + f":{spec}" * bool(spec)
            if name not in values:
                known = ", ".join(f"{{{key}}}" for key in values)
                raise PromptError(
                    f"{where}: placeholder {{{name}}} does not exist; known: {known};"
                    " a literal brace is doubled"
                )
            value = values[name]
            parts.append(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return "".join(parts)


def fingerprint(*parts: object) -> str:
    """Identity of what would be run: equal parts, equal fingerprint."""
    return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]
