"""A model that would not do it is told from an end by the gateway, whatever its program says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from .conftest import Project
from .odd import laid

PROGRAM = """
import json, os, signal, sys, urllib.request

def ask():
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Do it."}]})
    head = {"Authorization": "Bearer " + os.environ["MODEL_KEY"]}
    head["Content-Type"] = "application/json"
    url = os.environ["MODEL_URL"] + "/v1/chat/completions"
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), head)) as reply:
        print("say", json.load(reply)["choices"][0]["message"]["content"], flush=True)

def done():
    with open("inputs/word.txt") as given, open("output/word.txt", "w") as out:
        out.write(given.read())

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

for deed in sys.argv[1].split("+"):
    globals()[deed]()
"""
FILTERED, ANSWERED = "content_filter", "stop"
WOULD_NOT = "the model would not do it"


@contextmanager
def served(finishes: Sequence[str]) -> Iterator[str]:
    """A model's server whose answers end in these ways, one after the other."""
    left = list(finishes)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            message = {"role": "assistant", "content": "Hm."}
            choice = {"index": 0, "message": message, "finish_reason": left.pop(0)}
            used = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
            said = json.dumps({"model": "m", "choices": [choice], "usage": used}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("finishes", "deed", "outcome", "message"),
    [
        ([FILTERED], "ask+done", "refused", WOULD_NOT),
        ([ANSWERED, FILTERED], "ask+done+ask", "refused", WOULD_NOT),
        ([FILTERED], "done+ask+killed", "refused", "odd ended with signal 9: say Hm."),
        ([FILTERED, ANSWERED], "ask+done+ask", "scored", ""),
    ],
)
def test_it_is_a_refusal_where_the_last_answer_is_one(
    project: Project, finishes: Sequence[str], deed: str, outcome: str, message: str
) -> None:
    odd = laid(project, PROGRAM)
    with served(finishes) as url:
        words = ("--ale-agent=odd", f"--ale-knob=deed={deed}", f"--ale-base-url={url}")
        odd.run(*words, "--ale-retries=0", env={"OPENAI_API_KEY": "sk-any"})
    record = odd.results[-1]
    told = (record["outcome"], record["score"], record["message"], record["requests"])
    assert told == (outcome, 1.0, message, len(finishes))
