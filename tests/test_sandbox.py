"""What every sandbox does, whatever provider made it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import socketserver
import tempfile
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_ale.channels import boxing
from pytest_ale.providers.docker import DockerProvider
from pytest_ale.providers.local import MODES, LocalProvider
from pytest_ale.sandbox import (
    ExecFailed,
    ExecResult,
    ExecTimeout,
    Provider,
    ProviderFault,
    Sandbox,
    SandboxError,
    SandboxLost,
    SandboxSpec,
    UnsafePath,
)

Maker = Callable[..., Sandbox]


@pytest.fixture(params=[*(f"local-{mode}" for mode in MODES), "docker"])
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Each provider that this machine can have."""
    name, _, mode = request.param.partition("-")
    if name == "docker":
        request.getfixturevalue("docker_engine")
        return DockerProvider()
    monkeypatch.setenv(boxing.MODE_VARIABLE, mode)
    if why := boxing.probe(mode):
        pytest.skip(f"no mode {mode} here: {why}")
    return LocalProvider()


@pytest.fixture
def make(provider: Provider) -> Iterator[Maker]:
    """Make sandboxes that are gone when the test ends."""
    leases: list[str] = []

    def make(**spec: object) -> Sandbox:
        leases.append(uuid.uuid4().hex[:12])
        return provider.create(leases[-1], SandboxSpec(**spec))  # type: ignore[arg-type]

    yield make
    assert set(leases) <= set(provider.leases())
    for _ in range(2):  # one that is gone is no error
        for lease in leases:
            provider.destroy(lease)
    assert not set(leases) & set(provider.leases())


@pytest.fixture
def box(make: Maker) -> Sandbox:
    return make()


def run(box: Sandbox, program: str, *arguments: str, **options: float) -> str:
    """Run a Python program in the sandbox and return what it prints."""
    argv = ["python3", "-c", textwrap.dedent(program), *arguments]
    return box.exec(argv, check=True, **options).stdout.strip()  # type: ignore[arg-type]


def hosts_with(mark: str) -> list[int]:
    """The processes of this machine whose command line holds a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def wait_until(what: Callable[[], object], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.02)
    return bool(what())


# Commands.


def test_a_command_says_how_it_ended(box: Sandbox) -> None:
    assert box.exec("echo out; echo err >&2; exit 3") == ExecResult(3, "out\n", "err\n")
    assert box.exec("kill -9 $$").returncode == -9
    assert box.exec(["printf", r"\377"]).stdout == "\N{REPLACEMENT CHARACTER}"
    assert box.exec(["pwd"], cwd="inputs").stdout.strip() == box.inputs
    assert box.exec(["pwd"], cwd="/usr").stdout == "/usr\n"
    assert box.exec("echo $X", env={"X": "y"}, user="agent").stdout == "y\n"


def test_names_need_not_be_ascii_nor_text(box: Sandbox) -> None:
    box.write("é/ü", "ö")
    assert box.exec("cat ü; echo $X", cwd="é", env={"X": "ß"}).stdout == "öß\n"
    assert box.exec(["sh", "-c", "printf %s $0 | od -An -tx1", "\udcff"]).stdout == " ff\n"
    assert "embedded null byte" in box.exec(["true", "a\0b"]).stderr


def test_what_cannot_be_started_ends_as_in_a_shell(box: Sandbox) -> None:
    gone = box.exec(["no-such-program"])
    assert (gone.returncode, gone.stdout) == (127, "")
    assert "No such file" in gone.stderr
    nowhere = box.exec("true", cwd="/nowhere")
    assert nowhere.returncode == 126
    assert "/nowhere: No such file or directory" in nowhere.stderr
    box.write("plain", "text")
    assert box.exec(["./plain"]).returncode == 126
    long = box.exec(["true", "x" * 3_000_000])
    assert long.returncode == 126
    assert "too long" in long.stderr


def test_check_says_what_failed(box: Sandbox) -> None:
    with pytest.raises(ExecFailed, match=r"'echo no >&2; exit 4' ended with exit status 4: no"):
        box.exec("echo no >&2; exit 4", check=True)
    with pytest.raises(SandboxError, match="no user but 'agent'"):
        box.exec("true", user="root")


def test_stdin_is_given_whole_or_is_empty(box: Sandbox) -> None:
    assert box.exec("cat").stdout == ""
    text = "é" * 2_000_000
    assert box.exec("cat", stdin=text).stdout == text
    assert box.exec("wc -c", stdin=b"\0" * 5_000_000).stdout.strip() == "5000000"
    assert box.exec("true", stdin=b"\0" * 5_000_000).returncode == 0


def test_a_timeout_kills_the_group(box: Sandbox) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    before = time.monotonic()
    with pytest.raises(ExecTimeout, match=r"sleep 60.* ran longer than 0.5 s"):
        box.exec(["sh", "-c", "sh -c 'sleep 60; true' $0; true", mark], timeout=0.5)
    assert time.monotonic() - before < 2
    assert wait_until(lambda: not hosts_with(mark), 1)
    assert box.exec("echo alive").stdout == "alive\n"


def test_much_output_is_bounded(box: Sandbox) -> None:
    said = box.exec("echo first; head -c 50000000 /dev/zero; echo last").stdout
    assert said.startswith("first\n")
    assert said.endswith("last\n")
    assert 10_000_000 < len(said) < 10_000_100
    assert "\n[... 40000011 bytes cut ...]\n" in said


def test_a_background_child_does_not_hold_up(box: Sandbox) -> None:
    before = time.monotonic()
    assert box.exec("(sleep 30; echo late) & echo early").stdout == "early\n"
    assert time.monotonic() - before < 1
    flood = box.exec("yes & sleep 0.1")
    assert flood.returncode == 0
    assert time.monotonic() - before < 3


def test_eight_threads_at_once(box: Sandbox) -> None:
    def one(n: int) -> list[str]:
        return [box.exec(f"cat; echo {n} {i}", stdin=f"{n}:").stdout for i in range(10)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert answers == [[f"{n}:{n} {i}\n" for i in range(10)] for n in range(8)]
    before = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: box.exec("sleep 0.5"), range(8)))
    assert time.monotonic() - before < 2


def test_files_and_cores_are_limited(make: Maker) -> None:
    box = make(disk_gb=0.001)
    assert box.exec("ulimit -c").stdout == "0\n"
    assert box.exec("head -c 4000000 /dev/zero > large").returncode != 0
    assert len(box.read("large")) == int(0.001 * 2**30)


# A terminal.


def test_a_command_on_a_terminal(box: Sandbox) -> None:
    import termios

    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (33, 99))
    before = termios.tcgetattr(theirs)
    command = "tty -s && stty size && exec 3</dev/tty && read x && echo got $x $TERM; exit 3"
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(box.interact, ["sh", "-c", command], terminal=theirs)
        shown = read_until(ours, b"33 99")
        os.write(ours, b"hello\r")
        assert ended.result(10) == 3
    shown += read_until(ours, b"got hello")
    assert b"got hello" in shown
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def read_until(fd: int, text: bytes, seconds: float = 5) -> bytes:
    seen = b""
    while text not in seen and select.select([fd], [], [], seconds)[0]:
        seen += os.read(fd, 4096)
    return seen


def test_ctrl_c_reaches_the_command_and_not_us(box: Sandbox) -> None:
    # Not `sh -c "echo up; sleep 60"`: dash loses a signal that comes while it forks, 1 in 30.
    program = "import time; print('up', flush=True); time.sleep(60)"
    ours, theirs = os.openpty()
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(box.interact, ["python3", "-c", program], terminal=theirs)
        read_until(ours, b"up")
        os.write(ours, b"\x03")
        assert ended.result(10) == -signal.SIGINT
    os.close(ours)
    os.close(theirs)


# Commands that are watched.


def test_what_a_command_writes_comes_as_it_is_written(box: Sandbox) -> None:
    came: list[tuple[float, str, bytes]] = []
    ticks: list[float] = []

    def told(stream: str, data: bytes) -> None:
        came.append((time.monotonic(), stream, data))

    command = ["sh", "-c", "cat; echo to $X; sleep 1.5; echo over >&2; exit 3"]
    status = box.stream(
        command,
        told,
        stdin="given ",
        env={"X": "you"},
        timeout=20,
        tick=lambda: ticks.append(time.monotonic()),
    )
    assert status == 3
    said = {
        name: b"".join(data for _, s, data in came if s == name) for name in ("stdout", "stderr")
    }
    assert said == {"stdout": b"given to you\n", "stderr": b"over\n"}
    assert came[-1][0] - came[0][0] > 1.2
    assert 2 <= len(ticks) <= 4


def test_a_watched_command_is_held_to_its_time(box: Sandbox) -> None:
    mark = f"watched-{uuid.uuid4().hex}"
    with pytest.raises(ExecTimeout, match=r"ran longer than 0\.5 s"):
        box.stream(["sh", "-c", f": {mark}; sleep 100; :"], lambda *_: None, timeout=0.5)
    assert wait_until(lambda: not hosts_with(mark))


@pytest.mark.parametrize("by", ["told", "tick"])
def test_what_a_watcher_raises_ends_the_command(box: Sandbox, by: str) -> None:
    mark = f"ended-{uuid.uuid4().hex}"

    def stop(*_: object) -> None:
        raise InterruptedError(by)

    watchers = {"told": stop, "tick": stop}
    told = watchers["told"] if by == "told" else lambda *_: None
    tick = watchers["tick"] if by == "tick" else None
    with pytest.raises(InterruptedError, match=by):
        box.stream(["sh", "-c", f": {mark}; echo; sleep 100; :"], told, tick=tick, timeout=20)
    assert wait_until(lambda: not hosts_with(mark))
    assert box.exec("echo lives").stdout == "lives\n"


# Files.


def test_files_go_in_and_out(box: Sandbox, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "run.sh").write_text("#!/bin/sh\necho ran > sub/new\n")
    (source / "run.sh").chmod(0o555)
    box.put(source, "inputs/source")
    box.put(source / "run.sh", f"{box.home}/other.sh")
    box.exec("./run.sh && echo more >> run.sh", cwd="inputs/source", check=True)
    assert box.get("inputs/source", tmp_path / "out") == []
    assert (tmp_path / "out/sub/new").read_text() == "ran\n"
    assert (tmp_path / "out/run.sh").stat().st_mode & 0o777 == 0o755
    box.write(f"{box.output}/deep/er/file", "text")
    assert box.exec("cat output/deep/er/file").stdout == "text"
    box.exec("echo made > output/made")
    assert box.read("output/made") == b"made\n"


def test_paths_outside_are_unsafe(box: Sandbox, tmp_path: Path) -> None:
    for path in ("/etc/passwd", "../../../etc/passwd", f"{box.home}/../x", "/home/agentx/y", ""):
        if path:
            with pytest.raises(UnsafePath, match=r"lies outside .*home.* and .*tmp"):
                box.read(path)
            with pytest.raises(UnsafePath, match="lies outside"):
                box.get(path, tmp_path / "out")
    tmp = box.exec("echo $TMPDIR").stdout.strip()
    box.write(f"{tmp}/x", "here")
    assert box.read(f"{tmp}/y/../x") == b"here"
    with pytest.raises(SandboxError, match="No such file"):
        box.read("gone")
    with pytest.raises(SandboxError, match=r"gone.*: No such file|gone.* was not put"):
        box.put(tmp_path / "gone", "inputs")


def test_a_hostile_output_is_taken_out_safely(box: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("answer")
    run(
        box,
        """
        import os, socket, sys
        os.chdir("output")
        open("good", "w").write("good")
        os.symlink(sys.argv[1], "link")
        os.symlink("/etc", "etc")
        os.symlink("..", "up")
        os.mkfifo("fifo")
        socket.socket(socket.AF_UNIX).bind("sock")
        os.truncate(os.open("sparse", os.O_CREAT | os.O_RDWR), 2 << 30)
        os.close(os.open(b"\\xff", os.O_CREAT))
        os.mkdir("many")
        os.link("good", "hard")
        open("many/suid", "w").write("x")
        os.chmod("many/suid", 0o6777)
        """,
        str(secret),
    )
    refused = box.get("output", tmp_path / "out")
    kinds = {line.split("'")[1].partition("/")[2] for line in refused}
    expected = {"link", "etc", "up", "fifo", "sparse", "\\udcff"}
    assert kinds - {"sock"} == expected  # of a socket the engine's archives say nothing
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good", "hard", "many"}
    assert (tmp_path / "out/many/suid").stat().st_mode & 0o7000 == 0
    with pytest.raises(UnsafePath):
        box.read("output/link")
    box.exec("rm -r output && ln -s / output")
    assert box.get("output", tmp_path / "top") == ["'output' was refused: it is a symbolic link."]
    with pytest.raises(UnsafePath, match=r"'output.* symbolic link"):
        box.write("output/etc/x", "x")


# Process 1, which ends it all and is of the agent's uid.

ATTACK = """
    import ctypes, os, socket
    libc = ctypes.CDLL(None, use_errno=True)

    def said(name, *arguments):
        answer = getattr(libc, name)(*arguments)
        print(name, arguments[:2], os.strerror(ctypes.get_errno()) if answer < 0 else "done")

    zeros = ctypes.create_string_buffer(256)
    said("setpriority", 0, 1, 19)
    said("setpriority", 2, os.getuid(), 19)
    said("setpriority", 0, 0, 19)
    said("sched_setaffinity", 1, 8, b"\\1" + bytes(7))
    said("sched_setscheduler", 1, 5, zeros)
    said("sched_setparam", 1, zeros)
    said("prlimit64", 1, 0, zeros, 0)
    said("syscall", 314, 1, zeros, 0)  # sched_setattr; these numbers are of x86_64
    said("syscall", 251, 1, 1, 0)  # ioprio_set
    said("syscall", 425, 1, zeros)  # io_uring_setup
    for family in (1, 2, 10, 16, 17, 38, 40):
        said("socket", family, 2, 0)
"""


def test_process_1_cannot_be_starved_nor_sockets_be_had_that_know_no_network(
    box: Sandbox, provider: Provider
) -> None:
    if provider.isolation == "none":
        pytest.skip("nothing is forbidden without a box")
    said = dict(line.rsplit(") ", 1) for line in run(box, ATTACK).splitlines())
    assert said.pop("setpriority (0, 0") == "done"  # its own
    for family in (1, 2, 10, 16):
        assert said.pop(f"socket ({family}, 2") == "done"
    for family in (17, 38, 40):
        assert "not supported" in said.pop(f"socket ({family}, 2")
    assert said.pop("syscall (425, 1") == "Function not implemented"
    assert len(said) == 8 and set(said.values()) == {"Operation not permitted"}, said


# What a 64-bit program can call all the same: `int 0x80` is the kernel's 32-bit side.
SIDE_DOOR = """
    import ctypes, mmap
    def int80(number, first):
        code = b"\\x53\\xb8" + number.to_bytes(4, "little")
        code += b"\\xbb" + first.to_bytes(4, "little") + b"\\x31\\xc9\\x31\\xd2\\xcd\\x80\\x5b\\xc3"
        memory = mmap.mmap(-1, 4096, prot=7)
        memory.write(code)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        return ctypes.CFUNCTYPE(ctypes.c_int)(start)()
    print(int80(20, 0) > 0, int80(102, 1), int80(359, 40), int80(425, 1))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86_64 has it")
def test_no_socket_is_had_by_the_side_door(box: Sandbox, provider: Provider) -> None:
    if provider.isolation == "none":
        pytest.skip("nothing is forbidden without a box")
    # getpid works; socketcall and io_uring_setup are not there (38), vsock is not known (97).
    assert run(box, SIDE_DOOR) == "True -38 -97 -38"


HOGS = """
    import os
    for call in (
        lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
        lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19),
        lambda: os.sched_setaffinity(1, {0}),
        lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
    ):
        try:
            call()
        except OSError:
            pass
    for _ in range(150):
        if os.fork() == 0:
            os.setsid()
            os.sched_setaffinity(0, {0})
            for fd in range(3):
                os.close(fd)
            while True:
                pass
"""


def test_an_agent_that_wants_all_of_the_processor_is_stopped(make: Maker, tmp_path: Path) -> None:
    box = make(cpus=1, memory_gb=1)
    box.write("output/done", "1")
    with contextlib.suppress(SandboxError):
        run(box, HOGS, timeout=2)
    before = time.monotonic()
    box.stop()
    assert time.monotonic() - before < 8
    assert box.get("output", tmp_path / "out") == []


# Ways to the host: kits, and sockets behind ports.


@pytest.fixture
def walled(provider: Provider) -> Provider:
    """A provider whose sandboxes have a file tree and a loopback of their own."""
    if provider.isolation == "none":
        pytest.skip("test_local.py sees to it that it refuses")
    return provider


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A folder with a program in it, which nothing but its mount protects."""
    kit = tmp_path / "tools-1"
    (kit / "bin").mkdir(parents=True)
    (kit / "words").write_text("hello\n")
    (kit / "bin/say").write_text('#!/bin/sh\ncat "$(dirname "$0")/../words"\n')
    for path in (kit, *kit.rglob("*")):
        path.chmod(0o777)
    return kit


class Greeter(socketserver.BaseRequestHandler):
    """Says a word to whoever comes, and waits for them to go."""

    server: Door

    def handle(self) -> None:
        self.server.came += 1
        self.request.sendall(self.server.word)
        with contextlib.suppress(ConnectionError):
            self.server.heard.append(self.request.recv(100))


class Door(socketserver.ThreadingUnixStreamServer):
    """A unix socket of the host; `heard` is what came on each connection that is over."""

    daemon_threads = True

    def __init__(self, path: Path, word: str) -> None:
        self.path, self.word = path, word.encode()
        self.came, self.heard = 0, list[bytes]()
        super().__init__(str(path), Greeter)
        path.chmod(0o666)
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()


@pytest.fixture
def door() -> Iterator[Callable[[str], Door]]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:

        def door(word: str) -> Door:
            server = stack.enter_context(Door(Path(folder, f"{word}.sock"), word))
            stack.callback(server.shutdown)
            return server

        yield door


GREETED = """
import socket, sys, time
with socket.create_connection((sys.argv[2], int(sys.argv[1])), 5) as peer:
    print(peer.recv(100).decode(), flush=True)
    time.sleep(float(sys.argv[3]))
"""


def greeted(box: Sandbox, port: int, host: str = "127.0.0.1") -> str:
    return run(box, GREETED, str(port), host, "0")


def refused(box: Sandbox, attacks: list[str]) -> bool:
    return all(box.exec(attack, cwd="/").returncode != 0 for attack in attacks)


def test_a_kit_is_seen_and_runs(walled: Provider, make: Maker, kit: Path) -> None:
    box = make(kits=(kit,))
    assert box.exec(["/opt/ale/tools-1/bin/say"]).stdout == "hello\n"
    assert "tools-1" not in make().exec("ls /opt/ale").stdout


def test_a_kit_cannot_be_changed(walled: Provider, make: Maker, kit: Path) -> None:
    box, top = make(kits=(kit,)), "/opt/ale/tools-1"
    writes = [f"echo x > {top}/words", f"touch {top}/new", f"rm {top}/words", f"mkdir {top}/new"]
    places = [f"mv {top} /opt/ale/else", f"rm -r {top}", "ln -s /tmp /opt/ale/new", "rm -r /opt"]
    mounts = [f"umount -l {top}", f"mount -o remount,rw {top}", f"mount --bind /tmp {top}"]
    assert refused(box, [*writes, *places, *mounts, f"chmod 700 {top}/bin/say"])
    assert box.exec([f"{top}/bin/say"]).stdout == "hello\n"
    names = sorted(str(path.relative_to(kit)) for path in kit.rglob("*"))
    assert names == ["bin", "bin/say", "words"]
    assert (kit / "bin/say").stat().st_mode & 0o777 == 0o777


def test_a_socket_answers_at_its_ports_and_nothing_else_does(
    walled: Provider, make: Maker, door: Callable[[str], Door]
) -> None:
    one, other = door("one"), door("other")
    box = make(sockets={8080: one.path, 8081: one.path, 8082: other.path})
    assert [greeted(box, port) for port in (8080, 8081, 8082)] == ["one", "one", "other"]
    assert box.exec("ls /sys/class/net 2>/dev/null || echo lo").stdout == "lo\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        for port in (server.getsockname()[1], 8083):
            with pytest.raises(ExecFailed, match="refused"):
                greeted(box, port)


# By lstat: the kernel lists a mounted socket as what lies below it, and find believes that.
SOCKETS = """
import os, stat
for top, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(top, name) not in ("/proc", "/sys")]
    for name in files:
        if stat.S_ISSOCK(os.lstat(os.path.join(top, name)).st_mode):
            print(os.path.join(top, name))
"""


def test_of_the_hosts_sockets_only_those_are_seen_and_they_stay(
    walled: Provider, make: Maker, door: Callable[[str], Door]
) -> None:
    one, _ = door("one"), door("other")
    box = make(sockets={8080: one.path})
    place = run(box, SOCKETS)
    assert place in ("/run/ale-8080.sock", "/run/ale/8080.sock")
    moves = [f"rm {place}", f"mv {place} /tmp", f"ln -sf /tmp/x {place}", f"chmod 0 {place}"]
    assert refused(box, [*moves, f"umount -l {place}", f"mount --bind /tmp {place}"])
    assert greeted(box, 8080) == "one"


def test_two_sandboxes_reach_each_their_own_by_the_same_port(
    walled: Provider, make: Maker, door: Callable[[str], Door]
) -> None:
    boxes = {word: make(sockets={8080: door(word).path}) for word in ("one", "other")}
    for _ in range(2):
        assert {word: greeted(box, 8080) for word, box in boxes.items()} == {
            "one": "one",
            "other": "other",
        }


def test_after_stop_the_connection_is_closed(
    walled: Provider, make: Maker, door: Callable[[str], Door]
) -> None:
    one, port = door("one"), 20_000 + uuid.uuid4().int % 10_000
    box, mark = make(sockets={port: one.path}), f"{port}.sock"
    with ThreadPoolExecutor(1) as pool:
        talk = ["python3", "-c", GREETED, str(port), "127.0.0.1", "20"]
        talking = pool.submit(box.exec, talk)
        assert wait_until(lambda: one.came)
        assert hosts_with(mark)
        assert one.heard == []
        box.stop()
        assert hosts_with(mark) == []
        with pytest.raises(SandboxLost):
            talking.result(5)
    assert wait_until(lambda: one.heard == [b""], 2), one.heard


def test_a_kept_sandbox_has_its_ways_again(
    walled: Provider, kit: Path, door: Callable[[str], Door]
) -> None:
    lease, other = uuid.uuid4().hex[:12], type(walled)()
    spec = SandboxSpec(kits=(kit,), sockets={8080: door("one").path})
    try:
        walled.create(lease, spec).stop()
        box = other.attach(lease, spec)
        assert box.exec(["/opt/ale/tools-1/bin/say"]).stdout == "hello\n"
        assert greeted(box, 8080) == "one"
    finally:
        for provider in (other, walled):
            provider.destroy(lease)


@pytest.mark.parametrize("what", ["no kit", "a file", "twice", "bridge", "no socket", "no server"])
def test_a_way_that_leads_nowhere_is_named(walled: Provider, kit: Path, what: str) -> None:
    taken = kit.parent / "bridge"
    for folder in (taken, kit / "bin" / kit.name):
        folder.mkdir()
    spec, said = {
        "no kit": (SandboxSpec(kits=(kit / "gone",)), "gone: there is no such folder"),
        "a file": (SandboxSpec(kits=(kit / "words",)), "words: there is no such folder"),
        "twice": (SandboxSpec(kits=(kit, kit / "bin/tools-1")), "/opt/ale/tools-1 is taken"),
        "bridge": (SandboxSpec(kits=(taken,)), "/opt/ale/bridge is taken"),
        "no socket": (SandboxSpec(sockets={80: kit / "gone"}), "port 80: there is no socket"),
        "no server": (SandboxSpec(sockets={80: kit / "words"}), "port 80: there is no socket"),
    }[what]
    lease = uuid.uuid4().hex[:12]
    with pytest.raises(ProviderFault, match=said):
        walled.create(lease, spec)
    assert lease not in walled.leases()


# The end.


DAEMON = """
    import os, sys, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for fd in range(3):
                os.close(fd)
            os.open("/dev/null", os.O_RDWR)
            while True:
                with open("grows", "a") as file:
                    file.write("x")
                time.sleep(0.01)
        os._exit(0)
    os.wait()
    time.sleep(0.2)
"""


def test_a_daemon_is_dead_after_stop(box: Sandbox) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    run(box, DAEMON, mark)
    assert len(hosts_with(mark)) == 1
    box.stop()
    assert hosts_with(mark) == []
    size = len(box.read("grows"))
    time.sleep(0.2)
    assert len(box.read("grows")) == size > 0
    box.stop()


def test_a_storm_of_forks_is_dead_after_stop(box: Sandbox) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    one = "(setsid sh -c 'while :; do sleep 0.01; done' $0 &)"
    storm = f"n=0; while [ $n -lt 20 ]; do {one}; n=$((n+1)); done"
    box.exec(["sh", "-c", storm, mark])
    assert wait_until(lambda: len(hosts_with(mark)) >= 20)
    box.stop()
    assert hosts_with(mark) == []


def test_after_stop_files_remain_and_commands_do_not(box: Sandbox, tmp_path: Path) -> None:
    box.write("output/a.txt", "kept")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(box.exec, "sleep 60")
        assert wait_until(lambda: "sleep" in box.exec("cat /proc/[0-9]*/cmdline").stdout)
        threading.Thread(target=box.stop).start()
        with pytest.raises(SandboxLost, match="stopped"):
            running.result(10)
    with pytest.raises(SandboxLost, match="stopped"):
        box.exec("true")
    assert box.read("output/a.txt") == b"kept"
    assert box.get("output", tmp_path / "out") == []
    assert (tmp_path / "out/a.txt").read_text() == "kept"
