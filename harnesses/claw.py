"""claw: our reference agent, which works from this machine by the two bridges alone.

Knows what a user may choose. The loop is claw_agent.py, the tools are claw_work.py's;
claw_memory.py is what it remembers, claw_words.py what it tells its model, and claw_mind.py asks
the model. How to make another of it is in docs/claw.md.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pytest_ale.again import whole
from pytest_ale.bridge_calls import redo_tool
from pytest_ale.gateway.apis import Api
from pytest_ale.harness import Agent, BadAgent, Ending, Harness, Knob, Work
from pytest_ale.kits import bridge_kit
from pytest_ale.knobs import number, one_of
from pytest_ale.machine_calls import redo_call
from pytest_ale.outside import bridges
from pytest_ale.program import Program
from pytest_ale.recording import RecordingSandbox
from pytest_ale.sandbox import HarnessFault
from pytest_ale.trajectory import ToolCall

__all__ = ["PREFIX", "Claw", "endpoint"]

LIBRARY = "pydantic_ai"
GET_IT = "pip install 'pytest-ale[claw]'"
ENDPOINTS = ("", "chat", "responses", "anthropic", "gemini")
# By how a model is called; what is called otherwise is asked by Chat Completions.
NAMES = {"claude": "anthropic", "gemini": "gemini", "gpt-": "responses", "o3": "responses"}
PREFIX = {"machine": "", "desktop": "mcp__desktop__"}  # of tools, as the model knows them
HEAD = ("plan", "note", "look", "use_screen")  # its own tools: what they bring about is recorded
EFFORTS = ("", "minimal", "low", "medium", "high", "xhigh")


class Claw(Harness):
    name = "claw"
    about = "our reference agent: works from outside, by the bridges alone"
    outside = packed = True
    knobs = {
        "api": Knob(f"{', '.join(ENDPOINTS[1:])}; by the model's name", "", one_of(*ENDPOINTS)),
        "effort": Knob("how hard the model thinks, minimal to xhigh", "", one_of(*EFFORTS)),
        "screen_model": Knob("the model that works the screen; the same one", ""),
        "images": Knob("pictures that the model keeps seeing", "5", number(1, 100)),
        "context": Knob("tokens that the model takes", "200000", number(1000, 10_000_000)),
        "tries": Knob("of a request that fails, 1, 2, 4 ... s apart", "6", number(1, 20)),
        "coordinates": Program.common["coordinates"],
    }

    def parts(self, agent: Agent) -> list[str]:
        here = "is" if importlib.util.find_spec(LIBRARY) else f"is not: {GET_IT}"
        return ["the key of its model's API", f"the library pydantic-ai (it {here})"]

    def check(self, agent: Agent) -> None:
        if not agent.model:
            raise BadAgent("agent claw needs a model: --ale-agent=claw:MODEL")
        if importlib.util.find_spec(LIBRARY) is None:
            raise BadAgent(f"agent claw needs the library pydantic-ai: {GET_IT}")

    def model_api(self, agent: Agent) -> Api:
        kind = endpoint(agent.knobs["api"], agent.model or "")
        return "anthropic" if kind == "anthropic" else "gemini" if kind == "gemini" else "openai"

    def kits(self, agent: Agent, *, desktop: bool) -> tuple[Path, ...]:
        return (bridge_kit(),)

    def deploy(self, work: Work) -> None:
        """The bridges answer, and their tools are those that its model must be offered."""
        from .claw_work import Mind  # what is imported takes 3 s, which are not the agent's

        model = work.agent.model or ""
        Mind(work, model, endpoint(work.agent.knobs["api"], model)).close()
        with bridges(work) as hands:
            work.tools = tuple(
                PREFIX[each.name] + tool.name for each in hands for tool in each.tools
            )
            if work.has_desktop and (said := hands[1].call("get_screen_size", {})).failed:
                raise HarnessFault(f"the bridge does not reach the screen: {said.parts}")

    def run(self, work: Work) -> Ending:
        from .claw_agent import Astray
        from .claw_mind import Lost, Refused, Unfit
        from .claw_work import hand_over

        try:
            hand_over(work, lambda model: endpoint(work.agent.knobs["api"], model))
        except TimeoutError:
            return Ending("timeout", f"claw was still at work after {work.given}")
        except Refused as refused:
            return Ending("refused", str(refused))
        except (Lost, Unfit, Astray) as error:
            return Ending("crashed", str(error))
        return Ending()

    @property
    def on_screen(self) -> str:
        return PREFIX["desktop"]

    def redo(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        """What it does in its own head changes nothing, nor does a call that never was one."""
        call = whole(call, folder)
        if call.function_name in HEAD or (call.extra or {}).get("astray"):
            return False
        if call.function_name.startswith(self.on_screen):
            name = call.function_name.removeprefix(self.on_screen)
            return redo_tool(name, call.arguments, sandbox, call.extra)
        return redo_call(call.function_name, call.arguments, sandbox)


def endpoint(api: str, model: str) -> str:
    """The API that is meant: the knob's, or what goes by the model's name."""
    bare = model.rpartition("/")[2].lower()
    return api or next((kind for word, kind in NAMES.items() if bare.startswith(word)), "chat")
