"""Settings: every `--ale-*` option, read once, with where each value came from.

Knows nothing of items or sandboxes. Precedence: option, then env, then ini, then default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from pytest_ale.options import OPTIONS, Option, Value
from pytest_ale.text import one_line

__all__ = ["OPTIONS", "BadSetting", "Option", "Settings", "new_run_id", "read_settings"]


class BadSetting(ValueError):
    """A setting's value cannot be used; the message names option, value and what is allowed."""


@dataclass(frozen=True)
class Settings:
    """The values of one run; `sources` says where each that is not a default came from."""

    agent: tuple[str, ...]
    knob: tuple[str, ...]
    provider: str
    image: str | None
    keep: str
    trials: int
    variants: str
    seed: int
    tasks: str | None
    pass_at: float | None
    timeout: float | None
    grade_timeout: float
    phase_timeout: float
    prompt_suffix: str
    concurrency: int
    queue_timeout: float
    retries: int
    base_url: str | None
    max_usd: float | None
    max_tokens: int | None
    max_turns: int | None
    run_max_usd: float | None
    prices: str | None
    dry_run: bool
    max_faults: int
    dir: str
    resume: str | None
    controls: bool
    live: str
    min_score: float | None
    unsafe_local: bool
    rootdir: Path
    cwd: Path
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def runs_dir(self) -> Path:
        return self._base("dir") / self.dir

    @property
    def tasks_file(self) -> Path | None:
        return self._base("tasks") / self.tasks if self.tasks else None

    @property
    def prices_file(self) -> Path | None:
        return self._base("prices") / self.prices if self.prices else None

    def _base(self, name: str) -> Path:
        """Paths start at the root directory, or where the user stands if the user gave them."""
        told = self.sources.get(name, "").startswith(("option", "env"))
        return self.cwd if told else self.rootdir

    def described(self) -> list[str]:
        """One phrase per setting that is not a default: `name=value (from source)`."""
        by_key = {option.attribute: option for option in OPTIONS}
        return [
            f"{by_key[name].name}={self.shown(name)} (from {source})"
            for name, source in self.sources.items()
        ]

    def shown(self, name: str) -> str:
        value = getattr(self, name)
        return one_line(",".join(value) if isinstance(value, tuple) else value)

    def plain(self) -> dict[str, object]:
        """What run.json keeps: values and sources, JSON types only."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        places = {"rootdir": str(self.rootdir), "cwd": str(self.cwd)}
        return values | places | {"sources": dict(self.sources)}


def new_run_id() -> str:
    """Runs sort by time, also those of one second; two random digits keep twins apart."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond * 0x10000 // 10**6:04x}{os.urandom(1).hex()}"


def read_settings(
    option: Callable[[str], object],
    env: Mapping[str, str],
    ini: Callable[[str], object],
    rootdir: Path,
    cwd: Path,
) -> Settings:
    """Read every option from its first source that has it; `option` and `ini` look a key up."""
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for each in OPTIONS:
        values[each.attribute], source = _read(each, option(each.key), env, ini(each.key))
        if source:
            sources[each.attribute] = source
    return Settings(**values, rootdir=rootdir, cwd=cwd, sources=sources)  # type: ignore[arg-type]


def _read(each: Option, given: object, env: Mapping[str, str], ini: object) -> tuple[Value, str]:
    if given is not None and given != [] and given is not False:
        return _parse(each, given, f"option --{each.key.replace('_', '-')}"), "option"
    if env.get(each.key.upper()):
        return _parse(each, env[each.key.upper()], f"env {each.key.upper()}"), (
            f"env {each.key.upper()}"
        )
    if ini not in (None, "", []):
        return _parse(each, ini, f"ini {each.key}"), f"ini {each.key}"
    return each.default, ""


def _parse(each: Option, raw: object, where: str) -> Value:
    """Env and ini give text: words are split for repeatable options, as a shell would."""
    try:
        _refuse_bytes(raw)
        if each.repeatable:
            return tuple(_words(raw))
        return raw if each.flag and isinstance(raw, bool) else each.parse(str(raw))
    except UnicodeEncodeError:
        raise BadSetting(f"{where}: {raw!a} is not UTF-8 text") from None
    except ValueError:
        raise BadSetting(f"{where}: {each.told(raw)} is not {each.takes}") from None


def _refuse_bytes(raw: object) -> None:
    """What is no UTF-8 can be neither shown, recorded nor sent to a worker."""
    for text in raw if isinstance(raw, list) else [raw]:
        str(text).encode()


def _words(raw: object) -> list[str]:
    """A value that was given is at least one word: no agent at all is no exam."""
    if not isinstance(raw, str):
        assert isinstance(raw, list)
        return raw
    import shlex

    if not (words := shlex.split(raw)):
        raise ValueError(raw)
    return words
