"""Settings: every `--ale-*` option, read once, with where each value came from.

Knows nothing of items or sandboxes. Precedence: option, then env, then ini, then default.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from pytest_ale.text import one_line

__all__ = ["OPTIONS", "BadSetting", "Option", "Settings", "new_run_id", "read_settings"]


class BadSetting(ValueError):
    """A setting's value cannot be used; the message names option, value and what is allowed."""


Value = str | bool | int | float | tuple[str, ...] | None


@dataclass(frozen=True)
class Option:
    """One setting: `--ale-NAME` on the command line, ini `ale_NAME`, env `ALE_NAME`."""

    name: str
    help: str
    default: Value
    parse: Callable[[str], Value] = str
    metavar: str | None = None
    repeatable: bool = False
    flag: bool = False
    takes: str = ""  # what is allowed, for the error message

    @property
    def key(self) -> str:
        return "ale_" + self.name.replace("-", "_")

    @property
    def attribute(self) -> str:
        return self.name.replace("-", "_")


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if (number := int(text)) < least:
            raise ValueError(text)
        return number

    return parse


def _seconds(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(text)
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise ValueError(text)
    return number


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(text)
        return text

    return parse


def _truth(text: str) -> bool:
    truths = {"1": True, "true": True, "yes": True, "on": True}
    truths |= {"0": False, "false": False, "no": False, "off": False, "": False}
    if text.lower() not in truths:
        raise ValueError(text)
    return truths[text.lower()]


OPTIONS: tuple[Option, ...] = (
    Option(
        "agent",
        "Agent to examine, repeatable",
        ("oracle",),
        metavar="NAME[@VERSION][:MODEL]",
        repeatable=True,
        takes="one or more words with their quotes closed",
    ),
    Option(
        "knob",
        "Setting of an agent's own, repeatable",
        (),
        metavar="[AGENT:]NAME=VALUE",
        repeatable=True,
        takes="one or more words with their quotes closed",
    ),
    Option(
        "provider",
        "Where sandboxes come from",
        "local",
        _text,
        metavar="NAME",
        takes="a provider's name",
    ),
    Option(
        "keep",
        "Keep sandboxes after grading",
        "never",
        _one_of("never", "failed", "always"),
        metavar="never|failed|always",
        takes="never, failed or always",
    ),
    Option(
        "trials",
        "Independent repetitions of each instance",
        1,
        _whole(1),
        metavar="N",
        takes="a whole number of at least 1",
    ),
    Option(
        "variants",
        "Which variants of each task: first, all, or an id",
        "all",
        _text,
        metavar="first|all|ID",
        takes="first, all or a variant's id",
    ),
    Option(
        "seed",
        "Seed of the built inputs",
        0,
        _whole(0),
        metavar="N",
        takes="a whole number of at least 0",
    ),
    Option(
        "tasks",
        "File that lists the tasks to run, CLUSTER/NAME a line",
        None,
        _text,
        metavar="FILE",
        takes="a file's path",
    ),
    Option(
        "pass-at",
        "Score at which an instance passes, instead of each card's",
        None,
        _share,
        metavar="X",
        takes="a number from 0 to 1",
    ),
    Option(
        "timeout",
        "Seconds an agent may work, instead of each card's",
        None,
        _seconds,
        metavar="S",
        takes="a number of seconds above 0",
    ),
    Option(
        "grade-timeout",
        "Seconds a grader may take",
        600.0,
        _seconds,
        metavar="S",
        takes="a number of seconds above 0",
    ),
    Option(
        "phase-timeout",
        "Seconds each other phase of an attempt may take",
        300.0,
        _seconds,
        metavar="S",
        takes="a number of seconds above 0",
    ),
    Option("prompt-suffix", "Text appended to every prompt", "", metavar="TEXT"),
    Option(
        "retries",
        "New attempts after an infrastructure fault that a new sandbox may cure",
        2,
        _whole(0),
        metavar="N",
        takes="a whole number of at least 0",
    ),
    Option(
        "dir",
        "Folder of the run directories",
        ".ale",
        _text,
        metavar="DIR",
        takes="a folder's path",
    ),
    Option(
        "resume",
        "Run only what has no score yet in a run",
        None,
        _text,
        metavar="RUN|last",
        takes="a run's id, its directory, or last",
    ),
    Option(
        "controls",
        "Check the tasks themselves instead of an agent",
        False,
        _truth,
        flag=True,
        takes="yes or no",
    ),
    Option(
        "min-score",
        "Exit with 0 when the mean score is at least X",
        None,
        _share,
        metavar="X",
        takes="a number from 0 to 1",
    ),
    Option(
        "unsafe-local",
        "Let agents run on the local provider without namespaces",
        False,
        _truth,
        flag=True,
        takes="yes or no",
    ),
)


@dataclass(frozen=True)
class Settings:
    """The values of one run; `sources` says where each that is not a default came from."""

    agent: tuple[str, ...]
    knob: tuple[str, ...]
    provider: str
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
    retries: int
    dir: str
    resume: str | None
    controls: bool
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
        raise BadSetting(f"{where}: {raw!r} is not {each.takes}") from None


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
