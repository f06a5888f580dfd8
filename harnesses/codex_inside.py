"""Runs in a sandbox where a recording of Codex is done again: as Codex does commands and patches.

Imports nothing of ours: it is sent there as text and run by the sandbox's Python (3.10 or later).

    patch                     apply the patch on stdin, in the format of Codex's apply_patch
    start ID SECONDS TTY      run the command on stdin, and leave it running after that time
    type ID SECONDS           give it what is on stdin, and wait for its end or that time
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

PLACE = Path("/tmp/codex-again")
NUMBERED = re.compile(r"-(\d+)(,\d+)? \+\d+(,\d+)? @@")
PUNCTUATION = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014\u2212\xa0", "''\"\"--- ")


class BadPatch(Exception):
    """A patch that does not fit, as Codex would not have applied it either."""


# Patches.


def patch(text: str) -> None:
    lines = text.strip("\n").split("\n")
    if lines and lines[0].startswith("<<"):  # a here-document's own lines
        lines = lines[1:-1]
    if not lines or lines[0].strip() != "*** Begin Patch":
        raise BadPatch("no '*** Begin Patch'")
    sections: list[list[str]] = []
    for line in lines[1:]:
        if line.strip() == "*** End Patch":
            break
        if line.startswith(("*** Add File: ", "*** Delete File: ", "*** Update File: ")):
            sections.append([])
        if sections:
            sections[-1].append(line)
    for head, *body in sections:
        kind, _, name = head.partition(" File: ")
        change(kind.removeprefix("*** "), Path(name.strip()), body)


def change(kind: str, path: Path, body: list[str]) -> None:
    if kind == "Delete":
        path.unlink()
        return
    target = path
    if kind == "Add":
        text = "".join(line[1:] + "\n" for line in body if line.startswith("+"))
    else:
        if body and body[0].startswith("*** Move to: "):
            target = Path(body.pop(0).removeprefix("*** Move to: ").strip())
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            text = updated(file.read(), body)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    if target != path:
        path.unlink()


def updated(text: str, body: list[str]) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    at = moved = 0
    for place, old, new, last in hunks(body):
        if numbered := NUMBERED.match(place):  # of a unified diff: it says exactly where
            at = max(int(numbered[1]) - bool(old), 0) + moved
        elif place:
            at = find(lines, [place], at) + 1
        start = at if numbered and not old else find(lines, old, at, last) if old else len(lines)
        lines[start : start + len(old)] = new
        at, moved = start + len(new), moved + len(new) - len(old)
    return "".join(line + end for line in lines)


def hunks(body: list[str]) -> list[tuple[str, list[str], list[str], bool]]:
    """Where each begins, the lines it replaces and by which, and whether they end the file."""
    found: list[tuple[str, list[str], list[str], bool]] = []
    for line in body:
        if line.startswith("@@") or not found:
            found.append((line[2:].strip() if line.startswith("@@") else "", [], [], False))
            if line.startswith("@@"):
                continue
        place, old, new, _ = found[-1]
        if line == "*** End of File":
            found[-1] = (place, old, new, True)
            continue
        if line[:1] in (" ", "-", ""):
            old.append(line[1:])
        if line[:1] in (" ", "+", ""):
            new.append(line[1:])
    return found


def find(lines: list[str], wanted: list[str], start: int, last: bool = False) -> int:
    """Where these lines stand: just so, or but for white space, or but for kinds of quotes."""
    for same in (str, str.rstrip, str.strip, plain):
        sought = [same(line) for line in wanted]
        places = range(start, len(lines) - len(wanted) + 1)
        for at in reversed(places) if last else places:
            if [same(line) for line in lines[at : at + len(wanted)]] == sought:
                return at
    if wanted[-1:] == [""]:  # the end of a patch's last line
        return find(lines, wanted[:-1], start, last)
    raise BadPatch(f"these lines are not in the file: {wanted[:3]}")


def plain(line: str) -> str:
    return line.strip().translate(PUNCTUATION)


# Commands that go on while the agent does something else.


def start(id: str, seconds: float, tty: bool) -> None:
    place = PLACE / id
    place.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place / "in")
    command = sys.stdin.read()
    sys.stdout.flush()
    if os.fork() == 0:
        os.setsid()
        hold(place, command, tty)
        os._exit(0)
    wait(place, seconds)


def hold(place: Path, command: str, tty: bool) -> None:
    """Be the terminal of a command until it ends."""
    above, below = pty.openpty() if tty else (-1, -1)
    with (place / "out").open("wb") as out:
        done = subprocess.Popen(
            ["bash", "-lc", command],
            stdin=below if tty else subprocess.PIPE,
            stdout=below if tty else out,
            stderr=below if tty else out,
            start_new_session=True,
        )
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        # Both ways: so it stays open when whoever types goes away.
        typed = os.open(place / "in", os.O_RDWR | os.O_NONBLOCK)
        into = above if tty else done.stdin.fileno() if done.stdin else -1
        while done.poll() is None:
            for ready in select.select([typed, *([above] if tty else [])], [], [], 0.1)[0]:
                try:
                    data = os.read(ready, 65536)
                    os.write(into, data) if ready == typed else out.write(data)
                except OSError:
                    continue
    (place / "done").write_text(str(done.returncode))


def wait(place: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not (place / "done").exists():
        time.sleep(0.05)


def type_in(id: str, seconds: float) -> None:
    place = PLACE / id
    data = sys.stdin.buffer.read()
    if (place / "in").exists() and not (place / "done").exists():
        into = os.open(place / "in", os.O_RDWR)
        os.write(into, data)
        wait(place, seconds)
        os.close(into)


def main(verb: str, *words: str) -> str:
    try:
        if verb == "patch":
            patch(sys.stdin.read())
        elif verb == "start":
            start(words[0], float(words[1]), words[2] == "tty")
        else:
            type_in(words[0], float(words[1]))
    except (BadPatch, OSError, UnicodeError) as error:
        return f"{verb}: {error}"
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or None)
