"""Options: the table of every `--ale-*` setting, with how its text is read.

Knows neither pytest nor where a value comes from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["OPTIONS", "Option", "Value"]

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
    told: Callable[[object], str] = repr  # how a wrong value is shown

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


def _above_0(text: str) -> float:
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


def _url(text: str) -> str:
    """A server's address: it is shown and recorded, so that it may carry nobody's password."""
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    parts.port  # noqa: B018  # raises where it is no number
    plain = re.fullmatch(r"https?://[^\s@?#]+", text)
    if not (plain and parts.hostname):
        raise ValueError(text)
    return text.rstrip("/")


def _without_secrets(value: object) -> str:
    """A wrong address without what may be a password: all before its last @ and after a ?."""
    hidden = re.sub(r"^(\w+://)?.*@", r"\1***@", str(value), flags=re.DOTALL)
    return repr(re.sub(r"([?#]).*", r"\1***", hidden, flags=re.DOTALL))


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
        "image",
        "Image that container sandboxes are built on, instead of debian:bookworm-slim",
        None,
        _text,
        metavar="REF",
        takes="an image's name",
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
        _above_0,
        metavar="S",
        takes="a number of seconds above 0",
    ),
    Option(
        "grade-timeout",
        "Seconds a grader may take",
        600.0,
        _above_0,
        metavar="S",
        takes="a number of seconds above 0",
    ),
    Option(
        "phase-timeout",
        "Seconds each other phase of an attempt may take",
        300.0,
        _above_0,
        metavar="S",
        takes="a number of seconds above 0",
    ),
    Option("prompt-suffix", "Text appended to every prompt", "", metavar="TEXT"),
    Option(
        "concurrency",
        "Agents at work at once in this one process, without -n",
        1,
        _whole(1),
        metavar="K",
        takes="a whole number of at least 1",
    ),
    Option(
        "queue-timeout",
        "Seconds that an attempt waits for a provider that says: not now (quota, rate)",
        1800.0,
        _above_0,
        metavar="S",
        takes="a number of seconds above 0",
    ),
    Option(
        "retries",
        "New attempts after an infrastructure fault that a new sandbox may cure",
        2,
        _whole(0),
        metavar="N",
        takes="a whole number of at least 0",
    ),
    Option(
        "base-url",
        "Where requests to models go, instead of each maker's own server",
        None,
        _url,
        metavar="URL",
        takes="an http or https URL without a password, query or fragment",
        told=_without_secrets,
    ),
    Option(
        "max-usd",
        "Dollars an attempt may cost",
        None,
        _above_0,
        metavar="X",
        takes="a number of dollars above 0",
    ),
    Option(
        "max-tokens",
        "Tokens an attempt may use, read and written",
        None,
        _whole(1),
        metavar="N",
        takes="a whole number of at least 1",
    ),
    Option(
        "max-turns",
        "Answers of a model that an attempt may have",
        None,
        _whole(1),
        metavar="N",
        takes="a whole number of at least 1",
    ),
    Option(
        "run-max-usd",
        "Dollars the whole run may cost",
        None,
        _above_0,
        metavar="X",
        takes="a number of dollars above 0",
    ),
    Option(
        "prices",
        "File with prices of models, before those that are built in",
        None,
        _text,
        metavar="FILE",
        takes="a file's path",
    ),
    Option(
        "dry-run",
        "Say what the run may cost at most, and end",
        False,
        _truth,
        flag=True,
        takes="yes or no",
    ),
    Option(
        "max-faults",
        "Stop after so many infrastructure faults in a row; 0 for never",
        5,
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
        "live",
        "Show a run while it is at work",
        "auto",
        _one_of("auto", "plain", "off"),
        metavar="auto|plain|off",
        takes="auto, plain or off",
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
