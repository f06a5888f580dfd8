"""mini_swe_agent: an agent of a hundred lines, with a shell and nothing else.

Knows its command line and its configuration. How it is started, and what it tells of its work, is
in mini_swe_agent_inside.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pytest_ale.harness import Knob
from pytest_ale.program import Brief
from pytest_ale.pypi import Package
from pytest_ale.recording import RecordingSandbox
from pytest_ale.rehearsal import Rehearsal, Said
from pytest_ale.trajectory import ToolCall

from .litellm_program import HERE, LitellmProgram, number
from .litellm_redo import redo

CONFIG = ".mini/ale.yaml"


class Submitting(Rehearsal):
    def ends(self) -> Said:
        return self.runs("echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT")


class MiniSweAgent(LitellmProgram):
    name = "mini_swe_agent"
    about = "mini-swe-agent"
    rehearsal = Submitting(shell="bash")
    package = Package(
        kit="mini_swe_agent",
        name="mini-swe-agent",
        version="2.4.6",
        inside=(HERE / "litellm_inside.py", HERE / "mini_swe_agent_inside.py"),
        lock=HERE / "mini_swe_agent.lock",
        # From about 1.90 on, litellm imports a proxy's parts for any request with tools, and they
        # need mcp 2 and more, which it does not require: each try fails, for minutes.
        also=("litellm==1.81.10",),
    )
    own = {
        "command_timeout": Knob("seconds that a command may take; its own are 30", "600", number),
    }

    def files(self, brief: Brief) -> Mapping[str, str]:
        """What is added to its own configuration; JSON is YAML."""
        config = {
            "run": {"task": brief.prompt},
            # It computes dollars by a list of its own and stops at 3: ours are the gateway's.
            "agent": {"cost_limit": 0, "mode": "yolo"},
            "model": {"cost_tracking": "ignore_errors"},
            "environment": {"timeout": int(brief.knobs["command_timeout"])},
        }
        return {CONFIG: json.dumps(config, indent=1)}

    def environment(self, brief: Brief) -> Mapping[str, str]:
        return {
            **super().environment(brief),
            "MSWEA_CONFIGURED": "true",  # else it asks for a key, and waits
            "MSWEA_SILENT_STARTUP": "true",
            "MSWEA_GLOBAL_CONFIG_DIR": f"{brief.home}/.mini",
            # 4, 4, 4 and 8 s apart, and litellm's own two tries in each; its 10 take 4 minutes.
            "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "5",
        }

    def stdin(self, brief: Brief) -> str:
        return ""

    def arguments(self, brief: Brief) -> list[str]:
        config = ["--config=mini.yaml", f"--config={brief.home}/{CONFIG}"]
        output = f"--output={brief.home}/.mini/last.traj.json"
        # `interactive`, which is its own, asks somebody what to do next.
        return [f"--model={self.model(brief)}", "--agent-class=default", output, *config]

    def again(self, call: ToolCall, sandbox: RecordingSandbox, folder: Path) -> bool:
        return redo(call, sandbox, shells=("bash",))
