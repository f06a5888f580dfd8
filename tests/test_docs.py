"""The documents say what the code does: what can be checked of that is checked."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from pytest_ale import hookspecs
from pytest_ale.settings import OPTIONS, Option
from pytest_ale.taxonomy import CLUSTERS, TIERS

ROOT = Path(__file__).parent.parent


def doc(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: str(option.name))
def test_every_option_is_in_the_table_with_its_default(option: Option) -> None:
    flag = "--" + option.key.replace("_", "-")
    (row,) = [line for line in doc("running.md").splitlines() if line.startswith(f"| `{flag}")]
    default = option.default[0] if isinstance(option.default, tuple) and option.default else ""
    if isinstance(option.default, str | int | float) and not isinstance(option.default, bool):
        default = str(option.default).removesuffix(".0")
    assert row.removesuffix(" |").rpartition("|")[2].strip(" `") == default


def test_every_cluster_subfield_and_tier_is_in_the_taxonomy() -> None:
    text = doc("taxonomy.md")
    for cluster, subfields in CLUSTERS.items():
        assert f"| `{cluster}` | {', '.join(f'`{s}`' for s in subfields)} |" in text
    assert all(f"`{tier}`" in text for tier in TIERS)


def test_every_module_stands_in_the_table_of_the_design() -> None:
    text = doc("design.md").partition("## 4.")[0]
    folder = ROOT / "pytest_ale"
    names = {p.name for p in folder.glob("*.py")} - {"__init__.py"}
    names |= {p.name for p in folder.glob("channels/*.py")} - {"__init__.py"}
    missing = [name for name in sorted(names) if f"`{name}`" not in text]
    assert missing == []


def test_every_module_of_the_table_exists() -> None:
    table = doc("design.md").partition("| module | is |")[2].partition("\n\n")[0]
    named = [cell.split("|")[1].strip() for cell in table.splitlines() if cell.startswith("| `")]
    files = [name.strip("` ") for cell in named for name in cell.split(",")]
    for name in files:
        places = [ROOT / "pytest_ale", ROOT]
        assert any(list(place.glob(name.rstrip("/"))) for place in places), name


@pytest.mark.parametrize("hook", [n for n in vars(hookspecs) if n.startswith("pytest_ale_")])
def test_every_hook_is_documented_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"| `{hook}({arguments})` |" in doc("extending.md")
