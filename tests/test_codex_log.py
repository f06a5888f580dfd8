"""codex: what is read in its log, of logs that the real program wrote."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

from pytest_ale.harnesses.codex_log import CodexLog

from pytest_ale.program import Closing
from pytest_ale.trajectory import Trajectory

from .reading import of_agent, pairs, told
from .reading import read as read_all


def read(folder: Path, *logs: tuple[str, str]) -> tuple[Trajectory, Closing]:
    lines = ((source, line) for source, text in logs for line in text.split("\n"))
    return read_all(CodexLog, folder, lines)


def test_a_log_is_read_whole_whatever_comes_first(tmp_path: Path) -> None:
    main, sub = ("s/rollout-1.jsonl", MAIN_LOG), ("s/rollout-2.jsonl", SUB_LOG)
    trajectory, closing = read(tmp_path, main, sub)
    assert closing.usage and (closing.usage.prompt, closing.usage.requests) == (1600, 7)
    steps = of_agent(trajectory)
    assert [name for name, _ in pairs(steps)] == [
        *("exec", "exec_command", "mcp__desktop__screenshot", "mcp__desktop__drag"),
        *("exec", "apply_patch", "exec_command", "exec_command"),
        *("collaboration__spawn_agent", "exec_command"),
    ]
    assert steps[0].metrics and steps[0].metrics.extra == {
        "cache_write_tokens": 100,
        "reasoning_tokens": 20,
    }
    assert '"path": "screenshots/0001.png"' in told(steps[1])
    assert told(steps[1]).count('"is_error": true') == 1
    left = steps[-1].tool_calls
    assert left and (left[0].extra or {})["left_running"] is True
    (below,) = trajectory.subagent_trajectories or ()
    assert [step.source for step in below.steps] == ["user", "agent", "agent"]
    turned, _ = read(tmp_path, sub, main)
    assert [pairs([step]) for step in turned.steps] == [pairs([step]) for step in trajectory.steps]
    assert [sorted(told(step)) for step in turned.steps] == [
        sorted(told(step)) for step in trajectory.steps
    ]


def test_a_context_that_was_compacted_is_told(tmp_path: Path) -> None:
    trajectory, closing = read(tmp_path, ("s/rollout-1.jsonl", COMPACTED))
    assert [(step.source, str(step.message)) for step in trajectory.steps[1:5]] == [
        ("agent", ""),
        ("agent", "OK"),
        ("system", "The context was compacted."),
        ("agent", ""),
    ]
    assert trajectory.steps[2].extra == {"compaction": True}
    # The server gives its calls the same id each time.
    ids = [call.tool_call_id for step in trajectory.steps for call in step.tool_calls or ()]
    assert ids == ["call_1_1", "call_1_1-3"]
    counted = [step.metrics.prompt_tokens for step in trajectory.steps if step.metrics]
    assert closing.usage and sum(filter(None, counted)) == closing.usage.prompt


def test_an_older_log_says_less_of_where_an_answer_ends(tmp_path: Path) -> None:
    trajectory, closing = read(tmp_path, ("s/rollout-1.jsonl", OLDER))
    steps = of_agent(trajectory)
    assert [len(step.tool_calls or ()) for step in steps] == [1, 2, 0]
    tokens = [step.metrics and step.metrics.prompt_tokens for step in steps]
    assert (tokens, steps[0].reasoning_content) == ([1000, 100, 100], "I look.")
    assert '"exit_code": 0' in told(steps[0])
    assert closing.usage and (closing.usage.prompt, closing.usage.requests) == (1200, 3)


def test_a_log_that_is_cut_or_spoilt_anywhere_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = MAIN_LOG.encode()
    junk = b'\n\xff\x00{"type":7}\n[]\n{"type":"response_item","payload":[1]}\n' + b"[" * 99999
    for at in range(0, len(whole), 1000):
        for text in (whole[:at], whole[at:], whole[:at] + junk + whole[at:]):
            read(tmp_path, ("s/rollout-1.jsonl", text.decode(errors="replace")))
    wrong: list[object] = [None, 7, "x", [], {}, [7], {"a": []}, "2026-99-99", float("nan")]
    for line in (MAIN_LOG + SUB_LOG + COMPACTED).split():
        event = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
        for bad in wrong:
            spoilt = [json.dumps(each) for each in _spoilt(event, bad)]
            read(tmp_path, ("s/rollout-1.jsonl", "\n".join(spoilt)))


def _spoilt(value: object, bad: object) -> list[object]:
    """The value, with each of its parts in turn replaced by a bad one."""
    if not isinstance(value, dict):
        return [bad]
    return [value | {name: each} for name in value for each in _spoilt(value[name], bad)]


def test_a_log_of_100_mb_takes_seconds(tmp_path: Path) -> None:
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(700_000)).decode()
    calls_of = [
        '{"timestamp":"2026-11-21T18:47:52.030Z","type":"response_item","payload":{"type":'
        '"function_call","name":"screenshot","namespace":"mcp__desktop","arguments":"{}","call_id":'
        f'"call_{number}"}},"metadata":{{"sampled_through_sequence":{number}}}}}\n'
        '{"timestamp":"2026-11-21T18:47:52.030Z","type":"response_item","payload":{"type":'
        f'"function_call_output","call_id":"call_{number}","output":[{{"type":"input_image",'
        f'"image_url":"data:image/png;base64,{picture}"}}]}}}}'
        for number in range(120)
    ]
    began = time.monotonic()
    trajectory, _ = read(tmp_path, ("s/rollout-1.jsonl", "\n".join(calls_of)))
    assert time.monotonic() - began < 30
    assert sum(map(len, calls_of)) > 100 << 20
    assert len(trajectory.steps) == 121


# Logs of codex 0.169.0 with gpt-6-astra and a scripted model; what nobody reads is left out.

MAIN_LOG = r"""
{"ordinal":0,"timestamp":"2026-11-21T18:47:51.780Z","type":"session_meta","payload":{"id":"01a1ff6f-ae88-73a2-8dc8-f1d101fc1e6b","timestamp":"2026-11-21T18:47:51.694Z","cwd":"/home/agent/task"}}
{"ordinal":7,"timestamp":"2026-11-21T18:47:51.811Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>\n  <cwd>/home/agent/task</cwd>\n  <shell>bash</shell>\n  <current_date>2026-11-21</current_date>\n  <timezone>Etc/UTC</tim"}]},"metadata":{"sampled_through_sequence":0}}
{"ordinal":9,"timestamp":"2026-11-21T18:47:51.813Z","type":"turn_context","payload":{"model":"gpt-6-astra"}}
{"ordinal":11,"timestamp":"2026-11-21T18:47:51.816Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"do it"}]},"metadata":{"sampled_through_sequence":0}}
{"ordinal":14,"timestamp":"2026-11-21T18:47:51.838Z","type":"response_item","payload":{"type":"reasoning","summary":[{"type":"summary_text","text":"I look."}],"content":null},"metadata":{"sampled_through_sequence":7}}
{"ordinal":16,"timestamp":"2026-11-21T18:47:51.840Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Looking."}]},"metadata":{"sampled_through_sequence":7}}
{"ordinal":17,"timestamp":"2026-11-21T18:47:51.841Z","type":"response_item","payload":{"type":"custom_tool_call","call_id":"call_1_3","name":"exec","namespace":"functions","input":"text((await tools.exec_command({\"cmd\": \"printf 'one\\\\ntwo\\\\nthree\\\\n' > b.txt; exit 3\"})).output)"},"metadata":{"sampled_through_sequence":7}}
{"ordinal":18,"timestamp":"2026-11-21T18:47:51.841Z","type":"token_usage_record","payload":{"usage":{"input_tokens":1000,"cached_input_tokens":400,"cache_write_input_tokens":100,"output_tokens":50,"reasoning_output_tokens":20}}}
{"ordinal":19,"timestamp":"2026-11-21T18:47:52.004Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"exec-68dd3b1f-653c-4cef-917f-fe6ce1f385e3","command":["/bin/bash","-lc","printf 'one\\ntwo\\nthree\\n' > b.txt; exit 3"],"cwd":"file:///home/agent/task","status":"failed","aggregated_output":"","exit_code":3,"duration":{"secs":0,"nanos":5448}}}}
{"ordinal":20,"timestamp":"2026-11-21T18:47:52.009Z","type":"response_item","payload":{"type":"custom_tool_call_output","call_id":"call_1_3","output":[{"type":"input_text","text":"Script completed\nWall time 0.1 seconds\nOutput:\n"},{"type":"input_text","text":""}]},"metadata":{"sampled_through_sequence":7}}
{"ordinal":22,"timestamp":"2026-11-21T18:47:52.030Z","type":"response_item","payload":{"type":"function_call","name":"screenshot","namespace":"mcp__desktop","arguments":"{}","call_id":"call_2_1"},"metadata":{"sampled_through_sequence":11}}
{"ordinal":23,"timestamp":"2026-11-21T18:47:52.031Z","type":"response_item","payload":{"type":"function_call","name":"drag","namespace":"mcp__desktop","arguments":"{\"x\": 1}","call_id":"call_2_2"},"metadata":{"sampled_through_sequence":11}}
{"ordinal":24,"timestamp":"2026-11-21T18:47:52.032Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":25,"timestamp":"2026-11-21T18:47:52.035Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"McpToolCall","id":"call_2_1","server":"desktop","tool":"screenshot","arguments":{},"status":"completed","result":{"content":[{"type":"image","data":"iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEElEQVR4nGMQUDCAIwbiOACaNAYBjjyKngAAAABJRU5ErkJggg==","mimeType":"image/png"}]},"duration":{"secs":0,"nanos":1224965}}}}
{"ordinal":26,"timestamp":"2026-11-21T18:47:52.038Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"McpToolCall","id":"call_2_2","server":"desktop","tool":"drag","arguments":{"x":1},"status":"failed","result":{"content":[{"type":"text","text":"did drag"}],"isError":true},"duration":{"secs":0,"nanos":723107}}}}
{"ordinal":27,"timestamp":"2026-11-21T18:47:52.040Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_2_1","output":[{"type":"input_text","text":"Wall time: 0.0023 seconds\nOutput:"},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEElEQVR4nGMQUDCAIwbiOACaNAYBjjyKngAAAABJRU5ErkJggg=="}]},"metadata":{"sampled_through_sequence":11}}
{"ordinal":28,"timestamp":"2026-11-21T18:47:52.041Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_2_2","output":[{"type":"input_text","text":"Wall time: 0.0030 seconds\nOutput:"},{"type":"input_text","text":"did drag"}]},"metadata":{"sampled_through_sequence":11}}
{"ordinal":30,"timestamp":"2026-11-21T18:47:52.056Z","type":"response_item","payload":{"type":"custom_tool_call","call_id":"call_3_1","name":"exec","namespace":"functions","input":"text(await tools.apply_patch(\"*** Begin Patch\\n*** Add File: a/new.txt\\n+hello\\n+world\\n*** Update File: b.txt\\n@@\\n one\\n-two\\n+TWO\\n three\\n*** End Patch\\n\"))"},"metadata":{"sampled_through_sequence":15}}
{"ordinal":31,"timestamp":"2026-11-21T18:47:52.059Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":32,"timestamp":"2026-11-21T18:47:52.064Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"FileChange","id":"exec-0374ba02-bacb-4926-bf19-2df3697bebcc","changes":{"/home/agent/task/b.txt":{"type":"update","unified_diff":"@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n","move_path":null},"/home/agent/task/a/new.txt":{"type":"add","content":"hello\nworld\n"}},"status":"completed","stdout":"Success. Updated the following files:\nA a/new.txt\nM b.txt\n","stderr":""}}}
{"ordinal":33,"timestamp":"2026-11-21T18:47:52.109Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"exec-3c9515c8-c251-4b8a-b476-924f4cec0e23","command":["/bin/bash","-lc","echo A"],"cwd":"file:///home/agent/task","status":"completed","aggregated_output":"A\n","exit_code":0,"duration":{"secs":0,"nanos":7201}}}}
{"ordinal":34,"timestamp":"2026-11-21T18:47:52.298Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"exec-09163731-6172-45ba-b2fb-23c55b0dc4a6","command":["/bin/bash","-lc","sleep 0.2; echo B >&2; false"],"cwd":"file:///home/agent/task","status":"failed","aggregated_output":"B\n","exit_code":1,"duration":{"secs":0,"nanos":62488225}}}}
{"ordinal":35,"timestamp":"2026-11-21T18:47:52.302Z","type":"response_item","payload":{"type":"custom_tool_call_output","call_id":"call_3_1","output":[{"type":"input_text","text":"Script completed\nWall time 0.2 seconds\nOutput:\n"},{"type":"input_text","text":"{}"},{"type":"input_text","text":"1"},{"type":"input_text","text":"1"}]},"metadata":{"sampled_through_sequence":15}}
{"ordinal":41,"timestamp":"2026-11-21T18:47:53.010Z","type":"response_item","payload":{"type":"function_call","name":"spawn_agent","namespace":"collaboration","arguments":"{\"message\": \"sub work\", \"task_name\": \"sub\"}","call_id":"call_5_1"},"metadata":{"sampled_through_sequence":19}}
{"ordinal":42,"timestamp":"2026-11-21T18:47:53.011Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":43,"timestamp":"2026-11-21T18:47:53.036Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"SubAgentActivity","model":"gpt-6-astra","id":"call_5_1","kind":"started","agent_thread_id":"01a1ff6f-b3b8-7b40-a659-6fd576259ffb","agent_path":"/root/sub"}}}
{"ordinal":44,"timestamp":"2026-11-21T18:47:53.042Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_5_1","output":"{\"task_name\":\"/root/sub\"}"},"metadata":{"sampled_through_sequence":19}}
{"ordinal":53,"timestamp":"2026-11-21T18:47:57.126Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done."}]},"metadata":{"sampled_through_sequence":23}}
{"ordinal":54,"timestamp":"2026-11-21T18:47:57.128Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":57,"timestamp":"2026-11-21T18:47:57.161Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"exec-4160b714-5098-4cad-8eab-745248f70007","command":["/bin/bash","-lc","cat; echo got"],"cwd":"file:///home/agent/task","status":"failed","aggregated_output":"","exit_code":-1,"duration":{"secs":4,"nanos":673484466}}}}
"""  # noqa: E501
SUB_LOG = r"""
{"ordinal":0,"timestamp":"2026-11-21T18:47:53.018Z","type":"session_meta","payload":{"id":"01a1ff6f-b3b8-7b40-a659-6fd576259ffb","parent_thread_id":"01a1ff6f-ae88-73a2-8dc8-f1d101fc1e6b","timestamp":"2026-11-21T18:47:53.018Z","cwd":"/home/agent/task","agent_nickname":"Maxwell","agent_path":"/root/sub","subagent_history_start_ordinal":28,"multi_agent_version":"v2"}}
{"ordinal":1,"timestamp":"2026-11-21T18:47:53.018Z","type":"session_meta","payload":{"id":"01a1ff6f-ae88-73a2-8dc8-f1d101fc1e6b","timestamp":"2026-11-21T18:47:51.694Z","cwd":"/home/agent/task"}}
{"ordinal":8,"timestamp":"2026-11-21T18:47:53.019Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>\n  <cwd>/home/agent/task</cwd>\n  <shell>bash</shell>\n  <current_date>2026-11-21</current_date>\n  <timezone>Etc/UTC</tim"}]},"metadata":{"sampled_through_sequence":0,"inherited_user_message":true}}
{"ordinal":10,"timestamp":"2026-11-21T18:47:53.019Z","type":"turn_context","payload":{"model":"gpt-6-astra"}}
{"ordinal":11,"timestamp":"2026-11-21T18:47:53.019Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"do it"}]},"metadata":{"sampled_through_sequence":0,"inherited_user_message":true}}
{"ordinal":12,"timestamp":"2026-11-21T18:47:53.019Z","type":"response_item","payload":{"type":"reasoning","summary":[{"type":"summary_text","text":"I look."}],"content":null},"metadata":{"sampled_through_sequence":7,"inherited_user_message":true}}
{"ordinal":24,"timestamp":"2026-11-21T18:47:53.019Z","type":"response_item","payload":{"type":"function_call","name":"spawn_agent","namespace":"collaboration","arguments":"{\"message\": \"sub work\", \"task_name\": \"sub\"}","call_id":"call_5_1"},"metadata":{"sampled_through_sequence":19,"inherited_user_message":true}}
{"ordinal":33,"timestamp":"2026-11-21T18:47:53.058Z","type":"turn_context","payload":{"model":"gpt-6-astra"}}
{"ordinal":34,"timestamp":"2026-11-21T18:47:53.068Z","type":"inter_agent_communication_metadata","payload":{"trigger_turn":true}}
{"ordinal":35,"timestamp":"2026-11-21T18:47:53.068Z","type":"response_item","payload":{"type":"agent_message","id":"amsg_01a1ff6f-b3ec-7721-ae83-e068e3af725d","author":"/root","recipient":"/root/sub","content":[{"type":"input_text","text":"Message Type: NEW_TASK\nTask name: /root/sub\nSender: /root\nPayload:\n"},{"type":"encrypted_content","encrypted_content":"sub work"}]},"metadata":{"sampled_through_sequence":19}}
{"ordinal":36,"timestamp":"2026-11-21T18:47:53.093Z","type":"response_item","payload":{"type":"custom_tool_call","call_id":"call_6_1","name":"exec","namespace":"functions","input":"text((await tools.exec_command({\"cmd\": \"sleep 4\"})).output)"},"metadata":{"sampled_through_sequence":25}}
{"ordinal":37,"timestamp":"2026-11-21T18:47:53.100Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":38,"timestamp":"2026-11-21T18:47:57.124Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"exec-1b3b05be-5ba4-432f-bcdf-b78f839c265c","command":["/bin/bash","-lc","sleep 4"],"cwd":"file:///home/agent/task","status":"completed","aggregated_output":"","exit_code":0,"duration":{"secs":3,"nanos":855511770}}}}
{"ordinal":39,"timestamp":"2026-11-21T18:47:57.127Z","type":"response_item","payload":{"type":"custom_tool_call_output","call_id":"call_6_1","output":[{"type":"input_text","text":"Script completed\nWall time 4.0 seconds\nOutput:\n"},{"type":"input_text","text":""}]},"metadata":{"sampled_through_sequence":25}}
{"ordinal":42,"timestamp":"2026-11-21T18:47:57.153Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done."}]},"metadata":{"sampled_through_sequence":27}}
{"ordinal":43,"timestamp":"2026-11-21T18:47:57.154Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
"""  # noqa: E501
COMPACTED = r"""
{"ordinal":0,"timestamp":"2026-11-21T18:48:08.684Z","type":"session_meta","payload":{"id":"01a1ff6f-f0d7-72c3-b4f5-113b9806504b","timestamp":"2026-11-21T18:48:08.666Z","cwd":"/home/agent/task"}}
{"ordinal":3,"timestamp":"2026-11-21T18:48:08.716Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>\n  <cwd>/home/agent/task</cwd>\n  <shell>bash</shell>\n  <current_date>2026-11-21</current_date>\n  <timezone>Etc/UTC</timezone>\n  <f"}]},"metadata":{"sampled_through_sequence":0}}
{"ordinal":5,"timestamp":"2026-11-21T18:48:08.719Z","type":"turn_context","payload":{"model":"scripted"}}
{"ordinal":7,"timestamp":"2026-11-21T18:48:08.724Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"do it"}]},"metadata":{"sampled_through_sequence":0}}
{"ordinal":9,"timestamp":"2026-11-21T18:48:08.766Z","type":"response_item","payload":{"type":"function_call","name":"exec_command","arguments":"{\"cmd\": \"echo one\"}","call_id":"call_1_1"},"metadata":{"sampled_through_sequence":3}}
{"ordinal":10,"timestamp":"2026-11-21T18:48:08.769Z","type":"token_usage_record","payload":{"usage":{"input_tokens":400000,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":50,"reasoning_output_tokens":0}}}
{"ordinal":11,"timestamp":"2026-11-21T18:48:08.815Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"CommandExecution","id":"call_1_1","command":["/bin/bash","-lc","echo one"],"cwd":"file:///home/agent/task","status":"completed","aggregated_output":"one\n","exit_code":0,"duration":{"secs":0,"nanos":5548}}}}
{"ordinal":12,"timestamp":"2026-11-21T18:48:08.820Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_1_1","output":"Chunk ID: 058466\nWall time: 0.0000 seconds\nProcess exited with code 0\nOriginal token count: 1\nOutput:\none\n"},"metadata":{"sampled_through_sequence":3}}
{"ordinal":15,"timestamp":"2026-11-21T18:48:08.836Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"OK"}]},"metadata":{"sampled_through_sequence":3,"compaction_output":true}}
{"ordinal":16,"timestamp":"2026-11-21T18:48:08.836Z","type":"token_usage_record","payload":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}
{"ordinal":18,"timestamp":"2026-11-21T18:48:08.839Z","type":"compacted","payload":{"message":"Another language model started to solve this problem and produced a summary of its thinking process. You also have access to the state of the tools that were us","replacement_history_metadata":[{"sampled_through_sequence":3},{"sampled_through_sequence":3},{"sampled_through_sequence":0},{"sampled_through_sequence":3}],"retained_context":{"verified_answers":[],"incomplete":false,"user_messages":[{"order":0,"message_id":"msg_01a1ff6f-f114-7112-afcf-7c86de3511f0","text":"do it","complete":true}],"user_messages_incomplete":false,"assistant_messages":[],"assistant_messages_incomplete":false,"next_order":2},"window_number":1,"first_window_id":"01a1ff6f-f0da-7523-8379-30ba750f1830","previous_window_id":"01a1ff6f-f0da-7523-8379-30ba750f1830","window_id":"01a1ff6f-f186-77c3-814b-fcbd3c9c140d","compaction_response_id":"resp_scripted2","latest_token_usage_record":{"usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}},"resume_metadata":{"dynamic_tools":{"tools":[]},"multi_agent_version":"v1","last_started_turn_id":"01a1ff6f-f0e7-72c2-aa2b-00a19d36514c","turn_attribution":{"turn_trigger":"exec","parent_turn_id":null,"initiating_agent_path":null},"previous_turn_settings":{"model":"scripted","comp_hash":null,"realtime_active":false}}}}
{"ordinal":20,"timestamp":"2026-11-21T18:48:08.839Z","type":"turn_context","payload":{"model":"scripted"}}
{"ordinal":23,"timestamp":"2026-11-21T18:48:08.842Z","type":"event_msg","payload":{"type":"item_completed","item":{"type":"ContextCompaction","id":"01a1ff6f-f176-72e0-bab7-00c317a2912b"}}}
{"ordinal":24,"timestamp":"2026-11-21T18:48:08.859Z","type":"response_item","payload":{"type":"function_call","name":"exec_command","arguments":"{\"cmd\": \"echo one\"}","call_id":"call_1_1"},"metadata":{"sampled_through_sequence":9}}
{"ordinal":25,"timestamp":"2026-11-21T18:48:08.860Z","type":"token_usage_record","payload":{"usage":{"input_tokens":400000,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":50,"reasoning_output_tokens":0}}}
"""  # noqa: E501

# Of codex 0.145.0 with a model that it does not know.
OLDER = r"""
{"timestamp":"2026-11-21T19:13:37.881Z","type":"session_meta","payload":{"id":"01a1ff87-40cb-7662-ae7a-acd8fecc0607"}}
{"timestamp":"2026-11-21T19:13:37.886Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>\n  <cwd>/home/agent/task</cwd>\n  <shell>bash</shell>\n  <current_date>2026-11-21</current_date>\n  <timezone>Etc/UTC</timezone>\n  <filesystem"}]}}
{"timestamp":"2026-11-21T19:13:37.889Z","type":"turn_context","payload":{"model":"scripted"}}
{"timestamp":"2026-11-21T19:13:37.897Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"Copy /home/agent/task/inputs/word.txt to /home/agent/task/output.\n"}]}}
{"timestamp":"2026-11-21T19:13:37.926Z","type":"response_item","payload":{"type":"reasoning","summary":[{"type":"summary_text","text":"I look."}],"content":null}}
{"timestamp":"2026-11-21T19:13:37.926Z","type":"response_item","payload":{"type":"function_call","name":"exec_command","arguments":"{\"cmd\": \"cat inputs/word.txt; id\"}","call_id":"call_1_2"}}
{"timestamp":"2026-11-21T19:13:37.981Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_1_2","output":"Chunk ID: 9b86b2\nWall time: 0.0000 seconds\nProcess exited with code 0\nOriginal token count: 15\nOutput:\n543613204uid=1000(agent) gid=1000(agent) groups=1000(agen"}}
{"timestamp":"2026-11-21T19:13:37.982Z","type":"event_msg","payload":{"type":"token_count","info":{"last_token_usage":{"input_tokens":1000,"cached_input_tokens":400,"cache_write_input_tokens":50,"output_tokens":50,"reasoning_output_tokens":20}}}}
{"timestamp":"2026-11-21T19:13:38.165Z","type":"response_item","payload":{"type":"function_call","name":"click","namespace":"mcp__desktop","arguments":"{\"coordinate\": [100, 100]}","call_id":"call_3_1"}}
{"timestamp":"2026-11-21T19:13:38.167Z","type":"response_item","payload":{"type":"function_call","name":"type","namespace":"mcp__desktop","arguments":"{\"text\": \"abc\"}","call_id":"call_3_2"}}
{"timestamp":"2026-11-21T19:13:38.182Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_3_1","output":"Wall time: 0.0133 seconds\nOutput:\n[{\"type\":\"text\",\"text\":\"Clicked left at [100, 100].\"}]"}}
{"timestamp":"2026-11-21T19:13:38.207Z","type":"response_item","payload":{"type":"function_call_output","call_id":"call_3_2","output":"Wall time: 0.0233 seconds\nOutput:\n[{\"type\":\"text\",\"text\":\"Typed 3 characters.\"}]"}}
{"timestamp":"2026-11-21T19:13:38.207Z","type":"event_msg","payload":{"type":"token_count","info":{"last_token_usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}}
{"timestamp":"2026-11-21T19:13:38.378Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done."}]}}
{"timestamp":"2026-11-21T19:13:38.378Z","type":"event_msg","payload":{"type":"token_count","info":{"last_token_usage":{"input_tokens":100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":10,"reasoning_output_tokens":0}}}}
"""  # noqa: E501
