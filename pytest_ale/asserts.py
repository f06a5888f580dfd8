"""Asserts explained: pytest's rewriting and diffs for task code, which is no test module.

The only file that imports `_pytest` (checked with 9.2): rewriting by path has no public door, and
the comparison hook is set by the item's protocol, which never runs inside the grader process.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib.machinery import FileFinder, SourceFileLoader
from itertools import islice
from pathlib import Path
from types import CodeType, ModuleType

from _pytest.assertion import util
from _pytest.assertion.rewrite import rewrite_asserts

__all__ = ["explain_asserts", "import_from"]

DIFF_LINES = 60


class _Loader(SourceFileLoader):
    """Compiles a task's modules with asserts rewritten; neither reads nor writes __pycache__."""

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path)
        tree = ast.parse(source, self.path)
        rewrite_asserts(tree, source, self.path)
        code: CodeType = compile(tree, self.path, "exec", dont_inherit=True)
        return code


def import_from(folder: Path) -> ModuleType:
    """Import `main.py` of a task; helpers beside it stay importable, also later on."""
    sys.dont_write_bytecode = True
    sys.path_hooks.insert(0, _finder_for(folder))
    sys.path_importer_cache.clear()
    sys.path.insert(0, str(folder))
    loader = _Loader("main", str(folder / "main.py"))
    module = ModuleType("main")
    module.__file__, module.__loader__ = str(folder / "main.py"), loader
    sys.modules["main"] = module
    loader.exec_module(module)
    return module


def _finder_for(folder: Path) -> Callable[[str], FileFinder]:
    def finder(path: str) -> FileFinder:
        if not Path(path).is_relative_to(folder):
            raise ImportError(path)
        return FileFinder(path, (_Loader, [".py"]))

    return finder


def explain_asserts() -> None:
    """Let a failed comparison carry pytest's diff."""
    util._reprcompare = _compare


def _compare(op: str, left: object, right: object) -> str | None:
    try:
        explained = util.assertrepr_compare(
            op,
            left,
            right,
            verbose=1,
            highlighter=util.dummy_highlighter,
            assertion_text_diff_style="ndiff",
        )
        lines = [line.replace("\n", "\\n") for line in islice(explained, DIFF_LINES)]
    except Exception:  # an object that cannot be compared or shown: the plain assert is enough
        return None
    # "~" and "%%" as pytest's own item protocol does, for format_explanation and % formatting.
    return "\n~".join(lines).replace("%", "%%") or None
