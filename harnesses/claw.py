"""claw: our reference agent, which works from this machine by the two bridges alone.

Knows what a user may choose. What is where, and how to make another, is in docs/claw.md.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pytest_ale.again import whole
from pytest_ale.gateway.apis import Api
from pytest_ale.gateway.control import ModelLost
from pytest_ale.harness import Agent, BadAgent, Ending, Harness, Knob, Work
from pytest_ale.kits import bridge_kit
from pytest_ale.knobs import number, one_of
from pytest_ale.machine_calls import redo_any
from pytest_ale.outside import bridges
from pytest_ale.program import Program
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal
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
    rehearsal = Rehearsal(write=("write_text", "path", "content"))
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
        from .claw_work import Mind, of_bridges  # importing takes 3 s, which are not the agent's

        Mind(work).close()
        with bridges(work) as hands:
            work.tools = tuple(of_bridges(hands))
            if work.has_desktop and (said := hands[1].call("get_screen_size", {})).failed:
                raise HarnessFault(f"the bridge does not reach the screen: {said.parts}")

    def run(self, work: Work) -> Ending:
        from .claw_mind import Lost, Refused, Unread
        from .claw_work import hand_over

        try:
            hand_over(work)
        except TimeoutError:
            return Ending("timeout", f"claw was still at work after {work.given}")
        except Unread as error:
            raise ModelLost(f"the model's server answers what cannot be read: {error}") from error
        except (Lost, Refused) as end:
            return Ending("refused" if isinstance(end, Refused) else "crashed", str(end))
        return Ending()

    on_screen = PREFIX["desktop"]

    def redo(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        """What it does in its own head changes nothing, nor does a call that never was one."""
        if call.function_name in HEAD or (call.extra or {}).get("astray"):
            return False
        return redo_any(whole(call, folder), sandbox, self.on_screen)


def endpoint(api: str, model: str) -> str:
    """The API that is meant: the knob's, or what goes by the model's name."""
    bare = model.rpartition("/")[2].lower()
    return api or next((kind for word, kind in NAMES.items() if bare.startswith(word)), "chat")
