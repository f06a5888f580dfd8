"""Screenshots kept as files, NNNN.png, the oldest making room for the newest.

Knows nothing of screens. That a picture could not be kept never fails what it was taken for.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

__all__ = ["Album"]

MOST_FILES, MOST_BYTES = 500, 200_000_000


class Album:
    """A folder of pictures, which other servers may add to as well."""

    def __init__(self, folder: Path, *, files: int = MOST_FILES, size: int = MOST_BYTES) -> None:
        self.folder = folder
        self._files, self._size = files, size

    def keep(self, png: bytes) -> str:
        """Keep a picture; say where, or why not."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            pages = self._pages()
            self._make_room(pages, len(png))
            return str(self._write(png, pages[-1] if pages else 0))
        except OSError as error:
            return f"not kept: {error}"

    def _pages(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("*.png") if path.stem.isdigit())

    def _path(self, page: int) -> Path:
        return self.folder / f"{page:04}.png"

    def _make_room(self, pages: list[int], size: int) -> None:
        sizes = [self._length(page) for page in pages]
        total = sum(sizes) + size
        for left, (page, length) in zip(range(len(pages), 0, -1), zip(pages, sizes)):  # noqa: B905
            if left < self._files and total <= self._size:
                return
            self._path(page).unlink(missing_ok=True)
            total -= length

    def _length(self, page: int) -> int:
        with suppress(OSError):
            return self._path(page).stat().st_size
        return 0

    def _write(self, png: bytes, last: int) -> Path:
        """Take the next number that nobody has; a picture cut short by a full disk is removed."""
        for page in range(last + 1, last + 100):
            path = self._path(page)
            with suppress(FileExistsError), path.open("xb") as file:
                try:
                    file.write(png)
                    file.flush()
                except OSError:
                    path.unlink(missing_ok=True)
                    raise
                return path
        raise OSError(f"no number is free after {last} in {self.folder}")
