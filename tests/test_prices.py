"""What a model's tokens cost: by the library's own data, by a file, and in the gateway itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest
from genai_prices.data import providers
from genai_prices.types import ModelPrice

from pytest_ale.gateway import Config, Control, Gateway, Limits, Terms, Upstream
from pytest_ale.gateway.usage import Usage
from pytest_ale.prices import Prices, price_of, prices_of, prices_spec, read_prices

from .conftest import Project
from .gatewaying import Agent, StandIn, standin
from .test_settings import configured

__all__ = ["standin"]

LIBRARY = f"genai-prices {version('genai-prices')}"
USAGE = Usage(prompt=100_000, cached=60_000, cache_write=10_000, output=5_000, reasoning=2_000)


def listed(provider: str, model: str) -> ModelPrice:
    """What the library's data say of a model, without the library's arithmetic."""
    known = next(each for each in providers if each.id == provider)
    return next(each for each in known.models if each.id == model).get_prices(datetime.now(UTC))


def rate(prices: ModelPrice, name: str, otherwise: str = "input_mtok", tier: int = 0) -> Decimal:
    """Dollars per million; a price with tiers is that of its base, or of its last tier."""
    found = getattr(prices, name) or getattr(prices, otherwise)
    if isinstance(found, Decimal):
        return found
    return Decimal(found.tiers[-1].price if tier else found.base)


def computed(prices: ModelPrice, usage: Usage, tier: int = 0) -> float:
    fresh = usage.prompt - usage.cached - usage.cache_write
    dollars = fresh * rate(prices, "input_mtok", tier=tier)
    dollars += usage.cached * rate(prices, "cache_read_mtok", tier=tier)
    dollars += usage.cache_write * rate(prices, "cache_write_mtok", tier=tier)
    dollars += usage.output * rate(prices, "output_mtok", tier=tier)
    return float(dollars) / 1_000_000


MAKERS = {
    "gpt-5.1": ("openai", "gpt-5.1"),
    "claude-sonnet-4-5-20250929": ("anthropic", "claude-sonnet-4-5"),
    "gemini-2.5-flash": ("google", "gemini-2.5-flash"),
}


@pytest.mark.parametrize("model", MAKERS)
def test_a_price_is_that_of_the_librarys_data(model: str) -> None:
    prices = listed(*MAKERS[model])
    assert price_of(model, USAGE) == pytest.approx(computed(prices, USAGE))
    assert price_of(model, Usage()) == 0  # known
    assert price_of.source(model) == LIBRARY


@pytest.mark.parametrize(
    "spelt",
    [
        "GPT-5.1",
        "openai/gpt-5.1",
        "gpt-5.1-2025-11-13",
        "my-proxy/gpt-5.1",
        "a/b/c/gpt-5.1",
    ],
)
def test_a_model_has_many_spellings(spelt: str) -> None:
    assert price_of(spelt, USAGE) == price_of("gpt-5.1", USAGE)


@pytest.mark.parametrize(
    ("spelt", "provider", "model"),
    [
        ("models/gemini-2.5-flash", "google", "gemini-2.5-flash"),
        ("publishers/google/models/gemini-2.5-flash", "google", "gemini-2.5-flash"),
        ("vertex_ai/claude-sonnet-4-5@20250929", "google", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5", "anthropic", "claude-sonnet-4-5"),
        ("openrouter/openai/gpt-5.1", "openrouter", "openai/gpt-5.1"),
    ],
)
def test_who_serves_a_model_may_have_a_price_of_its_own(
    spelt: str, provider: str, model: str
) -> None:
    assert price_of(spelt, USAGE) == pytest.approx(computed(listed(provider, model), USAGE))


@pytest.mark.parametrize("region", ["", "us.", "eu."])
def test_bedrocks_names_are_known(region: str) -> None:
    assert price_of.source(f"{region}anthropic.claude-sonnet-4-5-20250929-v1:0") == LIBRARY


def test_a_long_context_has_its_tier() -> None:
    long, prices = Usage(prompt=300_000, output=1_000), listed("google", "gemini-2.5-pro")
    dear = computed(prices, long, tier=1)
    assert price_of("gemini-2.5-pro", long) == pytest.approx(dear)
    assert dear > computed(prices, long)


UNKNOWN = [
    "",
    "gpt-5.9",
    "x" * 1_000_000,
    "a" * 250 + "/gpt-5.1",
    "/" * 50,
    "a/" * 40 + "gpt-5.1",
    "größe\udcff",
    "*",
]


@pytest.mark.parametrize("model", [*UNKNOWN, "google/gemma-3"], ids=lambda model: ascii(model)[:12])
def test_what_is_not_known_has_no_price(model: str) -> None:
    """google/gemma-3 is in the library's data, but without any price."""
    assert price_of(model, USAGE) is None
    assert price_of(model, Usage()) is None
    assert price_of.source(model) == ""


def test_counts_that_cannot_be_true_are_no_more_than_the_whole() -> None:
    most = Usage(prompt=100, cached=500, cache_write=900, output=10, reasoning=70)
    for model in MAKERS:
        assert price_of(model, most) == price_of(model, Usage(100, 100, 0, 10, 10))
    rates = read("{m: {input: 1, output: 0, cached: 0, written: 0}}")
    assert rates("m", most) == 0


@pytest.mark.parametrize("model", ["gpt-5.1", "models/gemini-2.5-flash", "gpt-5.9"])
def test_a_call_is_quick(model: str) -> None:
    """It is asked for every answer, on the one loop that carries all streams: 0.1 ms measured."""
    price_of(model, USAGE)

    def once() -> float:
        start = time.perf_counter()
        price_of(model, USAGE)
        return time.perf_counter() - start

    assert sorted(once() for _ in range(201))[100] < 0.001


# A file.

FOLDER: list[Path] = []


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    FOLDER[:] = [tmp_path]


def read(text: str, name: str = "prices.yaml") -> Prices:
    path = FOLDER[0] / name
    path.write_text(text)
    return read_prices(path)


OWN = """
# dollars per million tokens
gpt-5.1: {input: 1, output: 10}
"qwen*": {input: 2, output: 20, cached: 0.5, written: 3}
qwen3-coder: {input: 7, output: 1e-3}
"*": {input: 0, output: 0}
"""
JSON = """{
\t"gpt-5.1": {"input": 1,\t"output": 10},
\t"g\\u0070t-*": {"input": 2, "output": 20}
}
"""


def test_a_file_goes_before_the_library_and_names_before_patterns() -> None:
    prices = read(OWN.replace('"*": {input: 0, output: 0}\n', ""))
    assert prices("gpt-5.1", USAGE) == pytest.approx((100_000 * 1 + 5_000 * 10) / 1e6)
    assert prices("qwen3-coder", USAGE) == pytest.approx((100_000 * 7 + 5_000 * 0.001) / 1e6)
    by_pattern = 30_000 * 2 + 60_000 * 0.5 + 10_000 * 3 + 5_000 * 20
    assert prices("Qwen3-32b", USAGE) == pytest.approx(by_pattern / 1e6)
    assert prices("gpt-5.2", USAGE) == price_of("gpt-5.2", USAGE)
    assert prices("gpt-5.9", USAGE) is None
    path = str(FOLDER[0] / "prices.yaml")
    assert [prices.source(model) for model in ("gpt-5.1", "qwen", "gpt-5.2", "gpt-5.9")] == [
        path,
        path,
        LIBRARY,
        "",
    ]


def test_patterns_are_tried_in_order_and_prefixes_are_left_off() -> None:
    prices = read(OWN)
    assert prices("local", USAGE) == 0
    assert prices("hosted_vllm/qwen3", USAGE) == prices("qwen3", USAGE) != 0
    assert prices("openai/gpt-5.1", USAGE) == prices("gpt-5.1", USAGE) != 0


def test_json_is_read_with_its_tabs() -> None:
    prices = read(JSON, "prices.json")
    assert prices("gpt-5.1", Usage(prompt=1_000_000)) == 1
    assert prices("gpt-9", Usage(prompt=1_000_000)) == 2


WRONG = {
    "": "line 1: it names no model",
    "- a": "line 1: it is no mapping of models",
    "a: 3": "line 1: a: its prices are no mapping",
    "a: {input: 1, output: 2}\nb:\n  input: 1\n": "line 3: b: output is missing",
    "a:\n  input: 1\n  output: 2\n  outptu: 3": "line 4: a: unknown key 'outptu'",
    "a: {input: 1, output: free}": "line 1: a: output: 'free' is no number of dollars",
    "a: {input: -1, output: 2}": "line 1: a: input: '-1' is no number of dollars",
    "a: {input: nan, output: 2}": "line 1: a: input: 'nan' is no number of dollars",
    "a: {input: [1], output: 2}": "line 1: a: input: [",
    "a: {input: 1, output: 2}\nA: {input: 1, output: 2}": "line 2: 'A' is there twice",
    "a: {input: 1, output: 2, input: 3}": "line 1: 'input' is there twice",
    "[1]: {input: 1, output: 2}": "line 1: a name that is no text",
    "a: {input: 1\nb: 2": "line 2: ",
    "a: {input: 1, output: 2}\n*: {input: 1, output: 2}": "quote a name with a * in it",
    "a: \x00": "it is no YAML: ",
    "[" * 10_000: "",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: ascii(text)[:30])
def test_a_wrong_file_is_told_in_one_line_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(text)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"--ale-prices={FOLDER[0]}/prices.yaml: ") and WRONG[text] in line
    assert len(line) < 800
    if "line " in WRONG[text]:
        assert "allowed: MODEL: {input: DOLLARS, output: DOLLARS, cached:" in line


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"gr\xf6\xdfe: {input: 1, output: 2}")
    for name, told in {"none": "No such file", "": "Is a directory", "latin": "not UTF-8"}.items():
        with pytest.raises(ValueError, match=told):
            read_prices(tmp_path / name)


# In a run, and in the gateway's process.


def test_the_file_of_a_run_lies_where_its_user_said(project: Project) -> None:
    (project.path / "own.yaml").write_text(OWN)
    settings = configured(project, "--ale-prices=own.yaml")
    assert prices_of(settings)("local", USAGE) == 0
    assert prices_spec(settings) == (
        "pytest_ale.prices:read_prices",
        str(project.path / "own.yaml"),
    )
    untold = configured(project)
    assert prices_of(untold) is price_of
    assert prices_spec(untold) == ("pytest_ale.prices:price_of", "")


Started = Callable[[str, str], Gateway]


@pytest.fixture
def started(standin: StandIn, tmp_path: Path) -> Started:
    """A gateway before the stand-in, whose answers have 100 tokens, 40 of them cached, and 10."""
    known = {"openai": Upstream(f"{standin.url}/v1", "sk-key")}
    return lambda price, prices: Gateway(Config(known, price, prices), tmp_path / "g")


@pytest.mark.parametrize(
    ("file", "model", "usd"),
    [
        ("", "gpt-5.1", price_of("gpt-5.1", Usage(100, 40, 0, 10))),
        ("own.yaml", "gpt-5.1", (100 * 1 + 10 * 10) / 1e6),
    ],
)
def test_the_gateway_counts_dollars_by_it(
    started: Started, tmp_path: Path, file: str, model: str, usd: float
) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    name, path = ("read_prices", str(tmp_path / file)) if file else ("price_of", "")
    with started(f"pytest_ale.prices:{name}", path) as gateway:
        control = Control(gateway.control)
        agent = Agent(control.register(Terms(limits=Limits(usd=5))))
        agent.post({"model": model}).read()
        assert control.close(agent.door.token).usd == pytest.approx(usd)
        agent.close()


def test_the_gateway_refuses_a_file_that_is_wrong(started: Started, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("a: 3")
    with pytest.raises(Exception, match=r"gateway did not start: .*own.yaml: line 1: a: its"):
        started("pytest_ale.prices:read_prices", str(tmp_path / "own.yaml")).start()
