"""Registries: which providers and harnesses there are, ours and third parties' alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol, cast

import pluggy

if TYPE_CHECKING:
    from pytest_ale.harness import Harness
    from pytest_ale.sandbox import Provider
    from pytest_ale.settings import Settings

__all__ = [
    "HARNESSES",
    "PROVIDERS",
    "Unknown",
    "fill",
    "harness_named",
    "load_plugins",
    "provider_named",
]


class Unknown(LookupError):
    """A name that nobody registered, or whose target is not there; the message says which."""


class Registry:
    """Names and what they load: an object, or `module:attribute` imported at first use."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._targets: dict[str, object] = {}

    def register(self, name: str, target: object) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"{self.noun} {name!r}: a name is lower-case letters, digits and _")
        self._targets.setdefault(name, target)

    def clear(self) -> None:
        self._targets.clear()

    def names(self) -> list[str]:
        return sorted(self._targets)

    def load(self, name: str) -> object:
        if name not in self._targets:
            known = ", ".join(self.names())
            raise Unknown(f"unknown {self.noun} {name!r}; known: {known}")
        target = self._targets[name]
        return self._imported(name, target) if isinstance(target, str) else target

    def _imported(self, name: str, target: str) -> object:
        module, _, attribute = target.partition(":")
        try:
            return attrgetter(attribute)(import_module(module))
        except Exception as error:
            raise Unknown(
                f"{self.noun} {name!r}: its target {target!r} cannot be loaded:"
                f" {type(error).__name__}: {error}"
            ) from error


HARNESSES = Registry("agent")
PROVIDERS = Registry("provider")


class _Hooks(Protocol):
    def pytest_ale_harnesses(self, *, register: Callable[[str, object], None]) -> object: ...
    def pytest_ale_providers(self, *, register: Callable[[str, object], None]) -> object: ...


def fill(hook: object) -> None:
    """Ask every plugin what it has; a conftest's is asked first, and the first of a name stays."""
    hooks = cast(_Hooks, hook)
    HARNESSES.clear()
    PROVIDERS.clear()
    hooks.pytest_ale_harnesses(register=HARNESSES.register)
    hooks.pytest_ale_providers(register=PROVIDERS.register)


def harness_named(name: str) -> Harness:
    from pytest_ale.harness import Harness

    target = HARNESSES.load(name)
    if not (isinstance(target, type) and issubclass(target, Harness)):
        raise Unknown(f"agent {name!r}: its target {target!r} is no subclass of Harness")
    return target()


def provider_named(name: str, settings: Settings) -> Provider:
    make = cast("Callable[[Settings], Provider]", PROVIDERS.load(name))
    return make(settings)


class _Manager(pluggy.PluginManager):
    """Finds our hooks in installed plugins as pytest does: by name, marked or not."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        options = super().parse_hookimpl_opts(plugin, name)
        if options is None and name.startswith("pytest_ale_") and callable(getattr(plugin, name)):
            return cast("pluggy.HookimplOpts", {})
        return options


def load_plugins() -> None:
    """Fill the registries without a pytest session: the `ale` command has none."""
    from pytest_ale import hookspecs

    manager = _Manager("pytest")
    manager.add_hookspecs(hookspecs)
    manager.load_setuptools_entrypoints("pytest11")
    fill(manager.hook)
