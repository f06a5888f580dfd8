"""Run one of the bridge's programs by the folder's path: `python3 -I /opt/ale/bridge desk`.

Knows nothing of what they do. Run so, Python puts this folder first on its search path, where its
files would stand before modules of the same names; so the path is left as it is without it, and
the folder becomes the package `bridge`, wherever it lies.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

PROGRAMS = ("desk", "desktop", "machine", "forward", "probe")


def package() -> str:
    """Name of the package that this folder is; made known under one where it has none."""
    if __package__:
        return __package__
    folder = Path(__file__).resolve().parent
    sys.path[:] = [path for path in sys.path if path and Path(path).resolve() != folder]
    spec = importlib.util.spec_from_file_location(
        "bridge", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec and spec.loader, folder
    module = sys.modules["bridge"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return "bridge"


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PROGRAMS:
        known = ", ".join(PROGRAMS)
        print(f"bridge: no program {name!r}; there are: {known}", file=sys.stderr)  # noqa: T201
        return 2
    del sys.argv[1]
    program = importlib.import_module(f"{package()}.{name}")
    return int(program.main() or 0)


if __name__ == "__main__":
    sys.exit(main())
