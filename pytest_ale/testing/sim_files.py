"""Files that are nothing but memory; paths are absolute and normal.

Knows nothing of commands. What leaves is bounded as it is for every sandbox.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from pytest_ale.channels.tree import LIMITS, OURS, Full, Intake
from pytest_ale.sandbox import SandboxError

__all__ = ["Files", "normal"]


def normal(folder: str, name: str) -> str:
    """The path of a name as it is seen from a folder; two slashes at its front are one."""
    return "/" + posixpath.normpath(posixpath.join(folder, name)).lstrip("/")


class Files:
    """A tree of files; contents are never changed, so that a copy costs nothing."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._folders = {"/"}

    def is_file(self, path: str) -> bool:
        return path in self._files

    def is_folder(self, path: str) -> bool:
        return path in self._folders

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        made = path
        while made not in self._folders:
            if made in self._files:
                raise SandboxError(f"{path!r}: {made!r} in it is a file")
            self._folders.add(made)
            made = made.rpartition("/")[0] or "/"

    def write(self, path: str, data: bytes) -> None:
        if "\0" in path:
            raise SandboxError(f"{path!r}: a path has no null byte")
        if path in self._folders:
            raise SandboxError(f"{path!r}: Is a directory")
        self.make_folder(path.rpartition("/")[0] or "/")
        self._files[path] = data

    def read(self, path: str) -> bytes:
        if path in self._files:
            return self._files[path]
        why = "Is a directory" if path in self._folders else "No such file or directory"
        raise SandboxError(f"{path!r}: {why}")

    def put(self, local: Path, path: str) -> None:
        """Take in a host file or folder; links are followed to files."""
        if local.is_file():
            self.write(path, local.read_bytes())
        elif local.is_dir():
            self.make_folder(path)
            for each in sorted(local.iterdir()):
                if each.is_symlink() and not each.is_file():
                    raise SandboxError(f"{each} was not put: memory has no links")
                self.put(each, f"{path}/{each.name}")
        else:
            why = "it is neither a file nor a folder" if local.exists() else "there is none"
            raise SandboxError(f"{local} was not put at {path}: {why}")

    def get(self, path: str, local: Path) -> list[str]:
        """Copy out to the host; say what was refused."""
        intake = Intake(path, LIMITS)
        if not (self.is_file(path) or self.is_folder(path)):
            return [f"{path!r}: No such file or directory."]
        try:
            local.parent.mkdir(parents=True, exist_ok=True)
            for below in self._below(path):
                self._one_out(path, below, local, intake)
        except Full as full:
            intake.refused.append(str(full))
        return intake.refused

    def _below(self, path: str) -> list[tuple[str, ...]]:
        """What is at a path and under it, by components, folders before what they hold."""
        start = path.rstrip("/") + "/"
        found = [each for each in (*self._folders, *self._files) if each.startswith(start)]
        inside = sorted(tuple(each[len(start) :].split("/")) for each in found if each != start)
        return [(), *inside]

    def _one_out(self, path: str, below: tuple[str, ...], local: Path, intake: Intake) -> None:
        intake.enter()
        why = intake.unfit(below)
        try:
            why = why or self._copied("/".join((path.rstrip("/"), *below)), local, below, intake)
        except OSError as error:
            if error.errno in OURS:
                raise
            why = error.strerror or str(error)
        if why:
            intake.refuse(below, why)

    def _copied(self, path: str, local: Path, below: tuple[str, ...], intake: Intake) -> str | None:
        target, data = local.joinpath(*below), self._files.get(path)
        if data is None:
            target.mkdir(exist_ok=True)
            return None
        if why := intake.too_large(len(data)):
            return why
        target.write_bytes(data)
        intake.bytes += len(data)
        return None
