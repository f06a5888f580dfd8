"""The few commands that a simulated sandbox knows: sleep, cp, echo, cat, true, false.

Knows nothing of clocks: how long a sleep takes is its caller's. What it does not know it refuses:
a rehearsal that seems to work and does nothing would be worse than none.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pytest_ale.sandbox import SandboxError
from pytest_ale.testing.sim_files import Files, normal
from pytest_ale.text import one_line

__all__ = ["Shell"]

PIECE = r"""(?:[^\s;&|<>'"$`\\()*?~#\[\]]+|'[^']*'|"[^"$`\\]*")+"""
TOKEN = re.compile(rf"""[ \t]*(?:(?P<end>&&|[;\n])|(?P<to>(?<!\d)>(?!>))|(?P<word>{PIECE})|$)""")
QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


@dataclass
class Step:
    """One command of a chain; `if_well` is of one that follows `&&`."""

    words: list[str]
    target: str | None = None  # of its output
    if_well: bool = False


@dataclass
class Shell:
    """Runs one command or a chain of them."""

    files: Files
    folder: str
    sleep: Callable[[float], None]
    say: Callable[[str, bytes], None]
    stdin: bytes = b""

    def run(self, command: str | Sequence[str]) -> int:
        """Run what was given; a SandboxError for what no simulated sandbox knows."""
        status = 0
        for step in _steps(command):
            if not (step.if_well and status):
                status = self._run(step)
        return status

    def _run(self, step: Step) -> int:
        name, *arguments = step.words
        known = COMMANDS.get(name)
        if known is None:
            raise SandboxError(f"sim: there is no {one_line(repr(name))}; {KNOWN}")
        try:
            self._out(step.target, known(self, arguments))
        except _Failed as failed:
            self.say("stderr", f"{name}: {failed}\n".encode(errors="backslashreplace"))
            return 1
        return 1 if name == "false" else 0

    def _out(self, target: str | None, data: bytes) -> None:
        if target is not None:
            self._write(self.path(target), data)
        elif data:
            self.say("stdout", data)

    def path(self, name: str) -> str:
        return normal(self.folder, name)

    def _write(self, path: str, data: bytes) -> None:
        if not self.files.is_folder(path.rpartition("/")[0] or "/"):
            raise _Failed(f"cannot create {path!r}: No such file or directory")
        if self.files.is_folder(path):
            raise _Failed(f"cannot create {path!r}: Is a directory")
        self.files.write(path, data)

    def _read(self, name: str) -> bytes:
        try:
            return self.files.read(self.path(name))
        except SandboxError as error:
            raise _Failed(str(error)) from None

    # The commands; each returns what it writes.

    def _true(self, arguments: list[str]) -> bytes:
        return b""

    def _sleep(self, arguments: list[str]) -> bytes:
        (text,) = _plain("sleep", arguments, 1)
        if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", text, re.ASCII):
            raise SandboxError(f"sim: sleep {one_line(repr(text))}: give seconds, such as 1.5")
        self.sleep(float(text))
        return b""

    def _echo(self, arguments: list[str]) -> bytes:
        return f"{' '.join(_plain('echo', arguments))}\n".encode(errors="backslashreplace")

    def _cat(self, arguments: list[str]) -> bytes:
        names = _plain("cat", arguments)
        return b"".join(map(self._read, names)) if names else self.stdin

    def _cp(self, arguments: list[str]) -> bytes:
        source, target = _plain("cp", arguments, 2)
        data, path = self._read(source), self.path(target)
        if self.files.is_folder(path):
            path = posixpath.join(path, posixpath.basename(self.path(source)))
        self._write(path, data)
        return b""


COMMANDS: dict[str, Callable[[Shell, list[str]], bytes]] = {
    "true": Shell._true,
    "false": Shell._true,
    "sleep": Shell._sleep,
    "echo": Shell._echo,
    "cat": Shell._cat,
    "cp": Shell._cp,
}
KNOWN = f"it knows {', '.join(sorted(COMMANDS))}, joined by ; and &&, and > FILE"


class _Failed(Exception):
    """What a command says when it ends with status 1."""


def _plain(name: str, arguments: list[str], number: int | None = None) -> list[str]:
    """Arguments without options, as many as there must be."""
    options = [each for each in arguments if each.startswith("-")]
    if options or number not in (None, len(arguments)):
        said = one_line(repr(" ".join([name, *arguments])))
        raise SandboxError(f"sim: {said}: no options, and {number or 'any number of'} arguments")
    return arguments


def _steps(command: str | Sequence[str]) -> Iterator[Step]:
    """The commands of a chain, the whole of it read before the first is run."""
    if not isinstance(command, str):
        return iter([Step(list(command))] if command else [])
    steps, step = [], Step([])
    for kind, text in _tokens(command):
        if kind == "end":
            _check(step, command, joined=text == "&&")
            steps.append(step)
            step = Step([], if_well=text == "&&")
        elif step.target == "":
            step.target = text if kind == "word" else ""
        elif kind == "to" and step.target is None:
            step.target = ""
        elif kind == "word" and step.target is None:
            step.words.append(text)
        else:
            raise _unknown(command)
    _check(step, command)
    return iter([each for each in (*steps, step) if each.words])


def _check(step: Step, command: str, *, joined: bool = False) -> None:
    """Refuse what a shell would not take: nothing beside `&&`, or on either side of `>`."""
    nothing = not step.words and (joined or step.if_well or step.target)
    if nothing or step.target == "":
        raise _unknown(command)


def _tokens(command: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(command):
        match = TOKEN.match(command, place)
        if match is None:
            raise _unknown(command)
        place = match.end()
        if match.lastgroup:
            text = match[match.lastgroup]
            yield match.lastgroup, QUOTED.sub(lambda q: q[1] or q[2] or "", text)


def _unknown(command: str) -> SandboxError:
    said = one_line(repr(command))
    return SandboxError(f"sim: {said} is more than a simulated sandbox can read; {KNOWN}")
