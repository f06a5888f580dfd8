"""Prices: dollars of what a model used, by a maintained library or by a file of the user's own.

Knows nothing of attempts, limits or HTTP. The gateway calls `price_of`, or what `read_prices` makes
of a file, in its own process. Nothing here asks the network: the library brings its prices along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pytest_ale.text import one_line

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

    from pytest_ale.gateway.usage import Usage
    from pytest_ale.settings import Settings

__all__ = ["Prices", "Rates", "price_of", "prices_of", "prices_spec", "read_prices"]

LIBRARY = "genai-prices"
MILLION = 1_000_000
LONGEST_NAME = 200  # names come from agents; looking for one costs up to 0.2 ms for each of its /
MOST_PREFIXES = 5


@dataclass(frozen=True)
class Rates:
    """Dollars per million tokens; without a price of its own, what was cached costs as input."""

    input: float
    output: float
    cached: float | None = None
    written: float | None = None

    def of(self, usage: Usage) -> float:
        cached, written, _ = _shares(usage)
        dollars = (usage.prompt - cached - written) * self.input + usage.output * self.output
        dollars += cached * (self.input if self.cached is None else self.cached)
        dollars += written * (self.input if self.written is None else self.written)
        return dollars / MILLION


class Prices:
    """Called as `prices(model, usage)`: dollars, or None for a model whose price is not known."""

    def __init__(self, own: Mapping[str, Rates] | None = None, file: str = "") -> None:
        self._own = {name.lower(): rates for name, rates in (own or {}).items()}
        self._file = file

    def __call__(self, model: str, usage: Usage) -> float | None:
        rates = self._rates(model)
        return rates.of(usage) if rates else _by_library(model, usage)

    def source(self, model: str) -> str:
        """Who says what a model costs: the file, or the library with its version; or ""."""
        if self._rates(model):
            return self._file
        return f"{LIBRARY} {library()}" if _listed(model) else ""

    def _rates(self, model: str) -> Rates | None:
        """By name, else by the first pattern; a name also without its `provider/`."""
        names = [name for _, name in _spellings(model)] if self._own else []
        exact = (self._own[name] for name in names if name in self._own)
        matching = (
            rates
            for pattern, rates in self._own.items()
            if any(fnmatchcase(name, pattern) for name in names)
        )
        return next(exact, None) or next(matching, None)


price_of = Prices()


def prices_of(settings: Settings) -> Prices:
    """The prices of a run, or ValueError for a file that cannot be used."""
    return read_prices(settings.prices_file) if settings.prices_file else price_of


def prices_spec(settings: Settings) -> tuple[str, str]:
    """`price` and `prices` of the gateway's Config."""
    if settings.prices_file:
        return f"{__name__}:read_prices", str(settings.prices_file)
    return f"{__name__}:price_of", ""


# The library.


@cache
def library() -> str:
    """The library's version; "" where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(LIBRARY)
    except PackageNotFoundError:
        return ""


def _by_library(model: str, usage: Usage) -> float | None:
    known = _listed(model)
    try:
        return float(_calculated(*known, usage).total_price) if known else None
    except Exception:  # somebody else's code and data; a stream must not end by it
        return None


def _listed(model: str) -> tuple[str | None, str] | None:
    return _known(model[: LONGEST_NAME + 1])  # one letter too many is enough to be refused


@lru_cache(1024)
def _known(model: str) -> tuple[str | None, str] | None:
    """Provider and name under which the library has a price for a model."""
    for provider, name in _spellings(model):
        try:
            price = _calculated(provider, name, None).model_price
        except Exception:  # not known; or no library
            continue
        # Some have an entry and no price (gemma-3): free would be a guess.
        if price.input_mtok is not None and price.output_mtok is not None:
            return provider, name
    return None


def _calculated(provider: str | None, name: str, usage: Usage | None) -> PriceCalculation:
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    counts = Counts()
    if usage:
        cached, written, reasoning = _shares(usage)
        counts = Counts(
            input_tokens=usage.prompt,
            cache_read_tokens=cached,
            cache_write_tokens=written,
            output_tokens=usage.output,
            output_reasoning_tokens=reasoning,
        )
    return calc_price(counts, name, provider_id=provider)


def _shares(usage: Usage) -> tuple[int, int, int]:
    """What was cached, written to a cache, and thought: no more than the whole it is part of."""
    cached = min(usage.cached, usage.prompt)
    written = min(usage.cache_write, usage.prompt - cached)
    return cached, written, min(usage.reasoning, usage.output)


def _spellings(model: str) -> Iterator[tuple[str | None, str]]:
    """How a model may be listed, as provider and name: `models/m` and `provider/m` are m's."""
    whole = name = model.lower()
    if len(name) > LONGEST_NAME or name.count("/") > MOST_PREFIXES:
        return
    while name:
        yield None, name
        prefix, _, name = name.partition("/")
        if name:
            yield prefix, name
    yield "aws", whole  # Bedrock's names look like nobody's: us.anthropic.claude-...-v1:0


# A file of the user's own.

KEYS = [field.name for field in fields(Rates)]
REQUIRED = ["input", "output"]
FORM = "MODEL: {input: DOLLARS, output: DOLLARS, cached: DOLLARS, written: DOLLARS}"
ALLOWED = f"allowed: {FORM}, per million tokens; cached and written may be left out"


class _Wrong(ValueError):
    """What is wrong with a file, and on which line."""

    def __init__(self, node: yaml.Node, what: str) -> None:
        super().__init__(f"line {node.start_mark.line + 1}: {what}; {ALLOWED}")


def read_prices(path: str | Path) -> Prices:
    """The prices of a YAML or JSON file before those of the library; or ValueError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        return Prices(dict(_models(text)), str(path))
    except OSError as error:
        raise ValueError(f"--ale-prices={path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"--ale-prices={path}: not UTF-8 text: {error}") from None
    except ValueError as error:
        raise ValueError(f"--ale-prices={path}: {one_line(error, 500)}") from None


def _models(text: str) -> Iterator[tuple[str, Rates]]:
    root = _parsed(text)
    if root is None:
        raise ValueError(f"line 1: it names no model; {ALLOWED}")
    for name, (_, value) in _pairs(root, "it is no mapping of models", str.lower).items():
        yield name, _read_rates(name, value)


def _parsed(text: str) -> yaml.Node | None:
    """JSON is YAML but for its tabs, which stand only between values."""
    text = text.replace("\t", " ") if text.lstrip().startswith("{") else text
    try:
        return yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        quote = "; quote a name with a * in it" if "alias" in str(error) else ""
        raise ValueError(f"line {line}: {error.problem}{quote}; {ALLOWED}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it is no YAML: {error}") from None


def _pairs(
    node: yaml.Node, otherwise: str, spelt: Callable[[str], str] = str
) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """Keys, with the nodes of key and value; each is text, and there once."""
    found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    if not isinstance(node, yaml.MappingNode):
        raise _Wrong(node, otherwise)
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _Wrong(key, "a name that is no text")
        if spelt(key.value) in found:
            raise _Wrong(key, f"{key.value!r} is there twice")
        found[spelt(key.value)] = (key, value)
    return found


def _read_rates(model: str, node: yaml.Node) -> Rates:
    pairs = _pairs(node, f"{model}: its prices are no mapping")
    for name, (key, _) in pairs.items():
        if name not in KEYS:
            raise _Wrong(key, f"{model}: unknown key {name!r}")
    if missing := [name for name in REQUIRED if name not in pairs]:
        raise _Wrong(node, f"{model}: {' and '.join(missing)} is missing")
    return Rates(**{name: _dollars(model, name, value) for name, (_, value) in pairs.items()})


def _dollars(model: str, name: str, node: yaml.Node) -> float:
    try:
        dollars = float(node.value)
        if math.isfinite(dollars) and dollars >= 0:
            return dollars
    except (TypeError, ValueError):
        pass
    raise _Wrong(node, f"{model}: {name}: {node.value!r} is no number of dollars of at least 0")
