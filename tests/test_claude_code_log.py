"""claude_code: what is read in its output."""

from __future__ import annotations

import time
from pathlib import Path

from pytest_ale.harnesses.claude_code_log import ClaudeCodeLog

from pytest_ale.gateway.usage import Usage
from pytest_ale.program import Closing
from pytest_ale.trajectory import Trajectory

from .reading import of_agent, results, spent
from .reading import read as read_all

# What it says, as it said it: captured from version 2.1.330, and shortened.

BOUNDARY = """\
{"type":"system","subtype":"compact_boundary","session_id":"c9","uuid":"54","compact_metadata":\
{"trigger":"auto","pre_tokens":110,"post_tokens":25,"duration_ms":306,"preserved_segment":{}}}
{"type":"user","message":{"role":"user","content":"This session is being continued from a previous \
conversation."},"session_id":"c9","parent_tool_use_id":null,"timestamp":"2026-11-21T18:50:40.547Z",\
"isSynthetic":true}
{"type":"user","message":{"role":"user","content":"<local-command-stdout>Compacted \
</local-command-stdout>"},"session_id":"c9","parent_tool_use_id":null,\
"timestamp":"2026-11-21T18:50:40.679Z","isReplay":true}
"""
REFUSED = """\
{"type":"stream_event","event":{"type":"message_start","message":{"id":"msg_2","type":"message",\
"role":"assistant","model":"claude-opus-5-5","content":[],"stop_reason":null,"usage":\
{"input_tokens":10,"output_tokens":1}}},"session_id":"72","parent_tool_use_id":null,\
"api_message_id":"msg_2"}
{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{"type":\
"text_delta","text":"I can"}},"session_id":"72","parent_tool_use_id":null,"api_message_id":"msg_2"}
{"type":"assistant","message":{"id":"msg_2","type":"message","role":"assistant","model":\
"claude-opus-5-5","content":[{"type":"text","text":"I can"}],"stop_reason":null,"usage":\
{"input_tokens":10,"output_tokens":1}},"parent_tool_use_id":null,"session_id":"72",\
"timestamp":"2026-11-21T18:56:05.730Z"}
{"type":"system","subtype":"model_refusal_no_fallback","original_model":"claude-opus-5-5",\
"content":"","session_id":"72"}
{"type":"assistant","message":{"id":"23f22145","model":"<synthetic>","role":"assistant",\
"stop_reason":"refusal","type":"message","usage":{"input_tokens":0,"output_tokens":0},"content":\
[{"type":"text","text":"API Error: safeguards flagged this message"}]},"parent_tool_use_id":null,\
"session_id":"72","timestamp":"2026-11-21T18:56:05.734Z"}
{"type":"stream_event","event":{"type":"message_delta","delta":{"stop_reason":"refusal"},\
"usage":{"output_tokens":3}},"session_id":"72","parent_tool_use_id":null,"api_message_id":"msg_2"}
{"stop_reason":"refusal","session_id":"72","total_cost_usd":0.0002,"usage":{"input_tokens":20},\
"modelUsage":{"claude-opus-5-5":{"inputTokens":14,"outputTokens":6,"cacheReadInputTokens":4,\
"cacheCreationInputTokens":2,"costUSD":0.0002,"thinkingTokens":1}},"is_error":true,"num_turns":2,\
"subtype":"success","result":"API Error: safeguards flagged this message","type":"result"}
"""


def read(folder: Path, text: str, source: str = "stdout") -> tuple[Trajectory, Closing]:
    return read_all(ClaudeCodeLog, folder, ((source, line) for line in text.splitlines()))


def test_a_compaction_is_a_step_of_the_system_s(tmp_path: Path) -> None:
    story, _ = read(tmp_path, BOUNDARY)
    compacted, summary = story.steps[1:]
    assert (compacted.source, compacted.message) == ("system", "the context was compacted")
    assert (compacted.extra or {})["pre_tokens"] == 110
    assert (summary.source, str(summary.message)[:12]) == ("user", "This session")
    assert str(compacted.timestamp) <= str(summary.timestamp)


def test_a_refusal_is_told_from_a_crash(tmp_path: Path) -> None:
    story, closing = read(tmp_path, REFUSED)
    assert (closing.refused, closing.session) == (True, "72")
    assert closing.failed == "API Error: safeguards flagged this message"
    used = Usage(prompt=20, cached=4, cache_write=2, output=6, reasoning=1)
    assert (closing.usage, closing.cost_usd) == (used, 0.0002)
    said, error = story.steps[1:]
    assert (said.source, said.message, error.source) == ("agent", "I can", "system")
    assert list(spent(story)) == [(10, 3, 0)]


SHAPES = [
    *("", "{", "[]", "null", "1", '"x"', "{}", '{"type": []}', '{"type": "assistant"}', "\0"),
    '{"type":"assistant","message":{"id":"m","content":[1,null,{"type":"tool_use"},{}]}}',
    '{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"c","name":1}]}}',
    '{"type":"assistant","message":{"content":"plain"},"timestamp":"yesterday","uuid":"u"}',
    '{"type":"assistant","message":{"id":"m"},"timestamp":"0001-01-01T00:00:00+14:00"}',
    '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"zz"}]}}',
    '{"type":"user","message":{"content":[{"type":"tool_result","content":[{"source":{"type":'
    '"base64","data":"*","media_type":"image/png"}}]}]},"tool_use_result":7}',
    '{"type":"stream_event","event":{"type":"message_delta","usage":{"input_tokens":"many",'
    '"output_tokens":-1}},"api_message_id":"new"}',
    '{"type":"stream_event","event":{"type":"message_start","message":[]}}',
    '{"type":"system","subtype":"task_started","tool_use_id":"t","prompt":"p"}',
    '{"type":"system","subtype":"compact_boundary","compact_metadata":null}',
    '{"type":"result","modelUsage":{"a":1,"b":{"inputTokens":1e99}},"total_cost_usd":"free"}',
    '{"type":"result","is_error":true,"errors":["one","two"]}',
    "[" * 100_000,
]


def test_whatever_it_writes_is_no_exception(tmp_path: Path) -> None:
    for source in ("stdout", "stderr", "/home/agent/.claude/projects/p/s/subagents/agent-1.jsonl"):
        read(tmp_path, "\n".join(SHAPES), source)
    story, closing = read(tmp_path, "\n".join(SHAPES))
    assert (closing.failed, closing.cost_usd) == ("one; two", None)
    assert "plain" in [step.message for step in story.steps]


def test_a_log_that_is_cut_anywhere_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = REFUSED + BOUNDARY + "\n".join(SHAPES)
    for end in range(0, len(REFUSED + BOUNDARY), 97):
        read(tmp_path, whole[:end] + "\n\x00garbage {\n" + whole[end:])


def test_a_hundred_megabytes_are_read_in_time(tmp_path: Path) -> None:
    """Pieces of text are most of it, as they are of a long session; then pictures."""
    piece = REFUSED.splitlines()[1]
    picture = "iVBORw0KGgo" + "A" * 400_001
    turn = '{"type":"assistant","message":{"id":"m%d","model":"m","content":[{"type":"tool_use",'
    turn += '"id":"c%d","name":"Bash","input":{"command":"true"}}]}}'
    back = '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"c%d",'
    back += '"content":[{"type":"image","source":{"type":"base64","media_type":"image/png",'
    back += f'"data":"{picture}"}}}}]}}]}},"tool_use_result":"{picture}"}}'
    count = 100
    lines = [line for n in range(count) for line in (turn % (n, n), back % n, *[piece] * 2000)]
    assert sum(map(len, lines)) > 100 << 20
    began = time.monotonic()
    story, _ = read(tmp_path, "\n".join(lines))
    assert time.monotonic() - began < 30
    assert [len(results(step)) for step in of_agent(story)] == [1] * count
