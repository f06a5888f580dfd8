"""Launch: what is decided once, before the first item: agents, provider, and what a resume skips.

Imported only where there is a task or a setting that is not a default.
"""

from __future__ import annotations

from pathlib import Path

from pytest_ale.harness import Agent, parse_agents
from pytest_ale.registry import PROVIDERS, fill, harness_named
from pytest_ale.settings import Settings

__all__ = ["agents_of", "check_provider", "resumed"]


def agents_of(hook: object, settings: Settings) -> list[Agent]:
    """The agents of a run; LookupError or ValueError says what is wrong with them."""
    fill(hook)
    if settings.controls and "agent" in settings.sources:
        raise ValueError("--ale-controls examines tasks, not agents: leave out --ale-agent")
    return parse_agents(settings.agent, settings.knob, harness_named)


def check_provider(settings: Settings) -> None:
    PROVIDERS.load(settings.provider)


def resumed(settings: Settings) -> tuple[Path, frozenset[str]]:
    """The run to go on with, and the identities that have a score in it."""
    from pytest_ale.record import RunDir, latest_run

    wanted = settings.resume or ""
    if wanted == "last":
        path = latest_run(settings.runs_dir)
        if path is None:
            raise LookupError(f"--ale-resume=last: there is no run in {settings.runs_dir}")
    else:
        path = _named(settings, wanted)
    scored = {
        record.identity
        for record in RunDir(path).latest().values()
        if record.score is not None and (record.agent == "controls") == settings.controls
    }
    return path, frozenset(scored)


def _named(settings: Settings, wanted: str) -> Path:
    for path in (settings.cwd / wanted, settings.runs_dir / wanted):
        if (path / "run.json").is_file():
            return path.absolute()
    known = sorted(path.parent.name for path in settings.runs_dir.glob("*/run.json"))[-3:]
    raise LookupError(
        f"--ale-resume={wanted}: no such run; the latest in {settings.runs_dir}:"
        f" {', '.join(known) or 'none'}"
    )
