"""The grader process: a clean process that forks a child for every call into a task's code.

Runs no agent and knows no provider. Three generations: the server (imports done once, no keys in
its environment), wardens (each watches over a call at a time, tells how the child ended, and kills
what it left), and the child, which imports `main.py` and calls one function.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import inspect
import json
import os
import random
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType

import pytest  # noqa: F401  # graders use approx: imported before the forks, not in each

from pytest_ale.asserts import explain_asserts, import_from
from pytest_ale.grade import BadGrade, Checks, validated
from pytest_ale.remote import RemoteSandbox, send
from pytest_ale.text import clean, one_line, shown

__all__ = ["MAY_ASK", "serve"]

# What each function may ask for by argument name; a control is any function marked as one.
MAY_ASK: dict[str, tuple[str, ...]] = {
    "build": ("inputs", "reference", "params", "rng"),
    "setup": ("sandbox", "params"),
    "solve": ("sandbox", "params"),
    "control": ("output", "params"),
    "evaluate": ("output", "reference", "inputs", "params", "check", "verifier", "task"),
}

_PDEATHSIG, _SUBREAPER = 1, 36
_libc = ctypes.CDLL(None)

SPARE_MEMORY = 64 << 20  # bytes in which a child that ran out of memory can still say so


def serve(fd: int) -> None:
    """Fork a warden for each connection that arrives, until the host closes its end."""
    server = socket.socket(fileno=fd)
    signal.signal(signal.SIGCHLD, _bury)
    gc.freeze()  # a collection in a child would copy all pages that it looks through
    while True:
        _, fds, _, _ = socket.recv_fds(server, 1, 1)
        if not fds:
            _bury()
            os._exit(0)
        if os.fork() == 0:
            server.close()
            _warden(Connection(fds[0]))
        os.close(fds[0])


def _bury(*_: object) -> None:
    """Wait for wardens that ended: what they used counts as ours (getrusage) only then."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _warden(pipe: Connection) -> None:
    """Watch over one child after the other, until the host hangs up; nothing that a child started
    is left when it is told how it ended."""
    os.setsid()
    _libc.prctl(_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 0
    with suppress(OSError):  # the run ends: nobody waits for this call any more
        send(pipe, {"warden": os.getpid()})
        while status == 0 and _is_asked(pipe):  # after another end something may be left unread
            child = os.fork()
            if child == 0:
                _libc.prctl(_PDEATHSIG, signal.SIGKILL)
                os.setpgid(0, 0)  # a child that kills its group must not take us with it
                _child(pipe)
            status = os.waitstatus_to_exitcode(_watch(child, pipe))
            _sweep()
            send(pipe, {"ended": status})
    os._exit(0)


def _is_asked(pipe: Connection) -> bool:
    """Wait for a request, which the child is to read; or for the host to hang up."""
    poll = select.poll()
    poll.register(pipe.fileno(), select.POLLIN | select.POLLRDHUP)
    return poll.poll()[0][1] == select.POLLIN


def _watch(child: int, pipe: Connection) -> int:
    """Wait for a child, and kill it as soon as nobody waits for its answer any more."""
    poll = select.poll()
    poll.register(os.pidfd_open(child), select.POLLIN)
    poll.register(pipe.fileno(), select.POLLRDHUP)
    poll.poll()
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _sweep() -> None:
    """Kill what is left: to a subreaper the kernel gives every orphan, whatever its session."""
    with suppress(ChildProcessError):
        while True:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                for pid in _children():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                os.waitpid(-1, 0)


def _children() -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                yield int(path.parent.name)


def _child(pipe: Connection) -> None:
    """Answer one request with `result` or `fault`, and leave without running exit handlers."""
    folder = ""
    try:
        request = json.loads(pipe.recv_bytes())
        folder = request["folder"]
        _confine(request)
        answer = {"result": _perform(request, pipe)}
    except BaseException as error:  # sys.exit() in task code, too, is told as what it is
        _give_spare_memory()
        answer = {
            "fault": _told(error, folder),
            "traceback": clean(_traceback(error, folder), 20_000),
        }
    with suppress(OSError):
        send(pipe, answer)
    os._exit(0)


def _traceback(error: BaseException, folder: str) -> str:
    """From the task's own first line on; nothing where the message says it all."""
    trace = error.__traceback__
    while trace and not trace.tb_frame.f_code.co_filename.startswith(f"{folder}/"):
        trace = trace.tb_next
    if trace is None or isinstance(error, BadGrade):
        return ""
    return clean("".join(traceback.format_exception(type(error), error, trace)), 20_000)


def _told(error: BaseException, folder: str) -> str:
    if isinstance(error, BadGrade):
        return one_line(error, 2000)
    if isinstance(error, MemoryError):
        return "ran out of the memory a grader is given"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if f.filename.startswith(f"{folder}/")]
    where = f" ({Path(theirs[-1].filename).name}:{theirs[-1].lineno})" if theirs else ""
    if isinstance(error, SystemExit):
        return f"called sys.exit({shown(error.code, repr)}){where}"
    return one_line(f"raised {type(error).__name__}: {shown(error)}{where}", 2000)


def _confine(request: Mapping[str, object]) -> None:
    """Bound memory and files, and give the child a scratch folder and a log of its own."""
    scratch = str(request["scratch"])
    limit = int(str(request["memory"]))
    os.chdir(scratch)
    os.environ["TMPDIR"] = scratch
    log = os.open("grader.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for stream in (sys.stdout, sys.stderr):  # it may print a hostile name, and crash right after
        stream.reconfigure(errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    _limit(resource.RLIMIT_AS, limit, limit + SPARE_MEMORY)
    _limit(resource.RLIMIT_FSIZE, limit, limit)
    _limit(resource.RLIMIT_CORE, 0, 0)


def _limit(kind: int, soft: int, hard: int) -> None:
    """Set a limit, or keep that of whoever started us where it is lower."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


def _give_spare_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


@dataclass(frozen=True)
class TaskInfo:
    """What `evaluate` gets when it asks for `task`."""

    id: str
    variant: str
    folder: Path
    seed: int


def _perform(request: dict[str, object], pipe: Connection) -> object:
    explain_asserts()
    folder = Path(str(request["folder"]))
    _refuse_taken_names(folder)
    module = import_from(folder)
    functions = _functions(module)
    name = str(request["function"])
    if name == "build":
        return _build(functions, request, pipe)
    if name == "evaluate":
        return _evaluate(functions, request, pipe)
    if name not in functions:
        raise BadGrade(f"main.py has no {name}()")
    _call(name, functions[name], _offered(request, pipe))
    return {}


def _refuse_taken_names(folder: Path) -> None:
    """A helper called as a module that is loaded already would never be imported."""
    names = os.listdir(folder)  # noqa: PTH208  # a glob copies 140 pages more: half a millisecond
    if taken := sorted(n for n in names if n.endswith(".py") and n[:-3] in sys.modules):
        raise BadGrade(f"{taken[0]} has the name of a module of Python's; allowed: another name")


def _functions(module: ModuleType) -> dict[str, Callable[..., object]]:
    """The functions found by name and the controls by mark, each asking only for its own."""
    found = {n: f for n in MAY_ASK if callable(f := getattr(module, n, None))}
    for value in vars(module).values():
        label = value.__dict__.get("ale_control") if inspect.isfunction(value) else None
        if label and found.setdefault(label, value) is not value:
            raise BadGrade(f"two controls are called {label!r}; allowed: a reason once")
    if "evaluate" not in found:
        raise BadGrade("main.py has no function evaluate(); it is required")
    for name, function in found.items():
        _asked(name, function)
    return found


def _asked(name: str, function: Callable[..., object]) -> list[str]:
    allowed = MAY_ASK.get(name, MAY_ASK["control"])
    asked = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in allowed:
            asked.append(parameter.name)
        elif parameter.default is parameter.empty:
            raise BadGrade(
                f"{name}() asks for {parameter.name!r}, which it may not have;"
                f" it may ask for {', '.join(allowed)}"
            )
    return asked


def _call(name: str, function: Callable[..., object], offered: Mapping[str, object]) -> object:
    returned = function(**{argument: offered[argument] for argument in _asked(name, function)})
    if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        raise BadGrade(f"{name}() has a yield; allowed: def or async def without one")
    if inspect.iscoroutine(returned):
        return asyncio.run(returned)
    return returned


def _offered(request: dict[str, object], pipe: Connection) -> dict[str, object]:
    given = dict(request["offered"])  # type: ignore[call-overload]  # a JSON object
    offered: dict[str, object] = {"params": given.get("params", {})}
    for folder in ("inputs", "reference", "output"):
        if folder in given:
            offered[folder] = Path(given[folder])
    if "rng" in given:
        offered["rng"] = random.Random(given["rng"])
    for role in ("sandbox", "verifier"):
        if role in given:
            offered[role] = RemoteSandbox(pipe, role, **given[role])
    return offered


def _build(
    functions: dict[str, Callable[..., object]], request: dict[str, object], pipe: Connection
) -> object:
    if "build" in functions:
        _call("build", functions["build"], _offered(request, pipe))
    return {
        "functions": [name for name in functions if name in MAY_ASK],
        "controls": [name for name in functions if name not in MAY_ASK],
    }


def _evaluate(
    functions: dict[str, Callable[..., object]], request: dict[str, object], pipe: Connection
) -> object:
    declared = dict(request["checks"])  # type: ignore[call-overload]  # a JSON object
    checks = Checks({name: (bool(gate), float(w)) for name, (gate, w) in declared.items()})
    offered = _offered(request, pipe) | {"check": checks, "task": _task_info(request)}
    returned = _call("evaluate", functions["evaluate"], offered)
    return asdict(validated(returned, checks))


def _task_info(request: dict[str, object]) -> TaskInfo:
    folder, seed = Path(str(request["folder"])), int(str(request["seed"]))
    return TaskInfo(str(request["task"]), str(request["variant"]), folder, seed)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
