"""`ale watch`: the screen of a running attempt, in a browser."""

from __future__ import annotations

import argparse
from functools import partial

from pytest_ale.sandbox import Fault, Provider, Watchable
from pytest_ale.verbs import Complaint, settings_here

__all__ = ["add"]


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    watch = verbs.add_parser("watch", help="Show the screen of a running attempt in a browser")
    watch.add_argument("lease", nargs="?", default="", help="Default: the only one that runs")
    watch.add_argument("--control", action="store_true", help="Also use its mouse and keyboard")
    watch.add_argument("--port", type=int, default=0, help="Of the loopback; default: any")
    watch.set_defaults(do=_watch)


def _watch(arguments: argparse.Namespace) -> None:
    from pytest_ale.watch import Missing, serve

    provider, lease = _chosen(arguments.lease)
    try:
        screen = provider.screen(lease, control=arguments.control)
        serve(screen, port=arguments.port, tell=partial(print, flush=True))
    except (Fault, Missing) as error:
        raise Complaint(str(error)) from None


def _chosen(wanted: str) -> tuple[Watchable, str]:
    """The provider and lease to watch; without a name, there must be one alone."""
    found = {
        lease: (provider, label)
        for provider in _watchable()
        for lease, label in provider.screens().items()
        if wanted in ("", lease)
    }
    if len(found) == 1:
        ((lease, (provider, _)),) = found.items()
        return provider, lease
    if found:
        lines = "".join(f"\n  ale watch {lease}  {label}" for lease, (_, label) in found.items())
        raise Complaint(f"there are {len(found)} screens; name one:{lines}")
    which = f"sandbox {wanted} with a screen" if wanted else "sandbox with a screen"
    raise Complaint(f"no {which} is running here: a card's `desktop: true` gives it one")


def _watchable() -> list[Watchable]:
    """The providers that can show screens, where they can be used."""
    from pytest_ale.registry import PROVIDERS, load_plugins, provider_named

    load_plugins()
    made: list[Provider] = [provider_named(name, settings_here()) for name in PROVIDERS.names()]
    return [provider for provider in made if isinstance(provider, Watchable)]
