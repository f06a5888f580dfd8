"""The local provider, in every mode that this machine has, against agents that mean harm."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_ale.channels import boxing, tagged
from pytest_ale.providers import local
from pytest_ale.providers.local import MODES, LocalProvider, LocalSandbox
from pytest_ale.sandbox import (
    ExecTimeout,
    ProviderFault,
    Sandbox,
    SandboxError,
    SandboxLost,
    SandboxSpec,
)

from .test_sandbox import DAEMON, hosts_with, run, wait_until

Maker = Callable[..., LocalSandbox]


def available(mode: str) -> str:
    why = boxing.probe(mode)
    if why:
        pytest.skip(f"no mode {mode} here: {why}")
    return mode


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(boxing.MODE_VARIABLE, request.param)
    return available(request.param)


@pytest.fixture
def make(mode: str) -> Iterator[Maker]:
    """Make sandboxes that are gone, with their directories, when the test ends."""
    provider, leases = LocalProvider(), []

    def make(spec: SandboxSpec | None = None) -> LocalSandbox:
        leases.append(f"test-{uuid.uuid4().hex}")
        return provider.create(leases[-1], spec or SandboxSpec())

    yield make
    for lease in leases:
        provider.destroy(lease)
        assert not tagged.directory(lease).exists()
        assert lease not in provider.leases()


@pytest.fixture
def box(make: Maker) -> LocalSandbox:
    return make()


only_boxed = pytest.mark.parametrize("mode", MODES[:2], indirect=True)


# What the agent sees.


@only_boxed
def test_the_agent_sees_what_is_named_and_no_more(box: LocalSandbox) -> None:
    roots = set(run(box, "import os; print(*os.listdir('/'), sep='\\n')").split("\n"))
    named = {"bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc", "sbin"}
    prefix = {boxing.base_prefix().parts[1]}
    assert roots <= named | {"tmp", "usr", "run"} | prefix
    assert box.exec("ls /home").stdout == "agent\n"
    assert box.exec("find /run 2>/dev/null -type f").stdout in ("", "/run/ale/init.py\n")
    assert box.exec("ls -A /tmp").stdout == ""
    assert box.exec("ls -A /home/agent").stdout == "task\n"
    assert box.exec(["test", "-e", __file__]).returncode == 1


@only_boxed
def test_of_other_homes_only_the_way_to_python_is_seen(box: LocalSandbox) -> None:
    for folder in (Path("/root"), Path.home()):
        inside = set(box.exec(["ls", "-A", str(folder)]).stdout.split())
        if boxing.base_prefix().is_relative_to(folder):
            assert inside == {boxing.base_prefix().relative_to(folder).parts[0]}
        else:
            assert not inside


@only_boxed
def test_of_etc_only_a_few_files_are_seen(box: LocalSandbox) -> None:
    seen = set(box.exec("ls -A /etc").stdout.split())
    assert seen <= {name.split("/")[0] for name in boxing.ETC} | set(boxing.ETC_OURS)
    assert box.exec("ls -A /etc/ssl").stdout.split() in ([], ["certs"])
    assert box.exec("cat /etc/passwd").stdout == boxing.ETC_OURS["passwd"]


@only_boxed
def test_no_socket_and_no_device_of_the_host_is_seen(box: LocalSandbox) -> None:
    found = run(
        box,
        """
        import os, stat
        for top, folders, files in os.walk("/"):
            folders[:] = [name for name in folders if os.path.join(top, name) != "/proc"]
            for name in files:
                path = os.path.join(top, name)
                mode = os.lstat(path).st_mode
                if stat.S_ISSOCK(mode) or stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
                    print(path)
        """,
    )
    devices = {"null", "zero", "full", "random", "urandom", "tty", "pts/ptmx", "console"}
    assert set(found.split()) <= {f"/dev/{name}" for name in devices}


@only_boxed
def test_the_agent_is_nobody(box: LocalSandbox) -> None:
    assert box.exec("id -un; id -u; id -gn; id -g; hostname").stdout.split() == [
        "agent",
        "1000",
        "agent",
        "1000",
        "sandbox",
    ]
    lines = box.exec("grep -E 'Cap|NoNew' /proc/self/status").stdout.splitlines()
    status = dict(line.split(":\t") for line in lines)
    assert status.pop("NoNewPrivs") == "1"
    assert set(status) == {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    assert set(status.values()) == {"0" * 16}


def test_the_environment_is_cleared(box: LocalSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-you")
    environment = box.exec(["env"], env={"MORE": "1"}).stdout.split()
    names = {line.partition("=")[0] for line in environment}
    expected = {"HOME", "PATH", "LANG", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR", "MORE"}
    assert names == expected
    assert box.exec("pwd").stdout.strip() == f"{box.home}/task"
    assert box.exec("ls").stdout.split() == ["inputs", "output"]


def test_a_command_starts_clean(box: LocalSandbox) -> None:
    assert run(box, "import os; print(*sorted(os.listdir('/proc/self/fd')))") == "0 1 2 3"
    ignored = box.exec("grep SigIgn /proc/self/status").stdout.split()[1]
    # glibc's posix_spawn (Python 3.13's subprocess) leaves its own two ignored; nobody can undo it.
    assert int(ignored, 16) & ~(3 << 31) == 0
    assert "SigBlk:\t0000000000000000" in box.exec("cat /proc/self/status").stdout


@only_boxed
def test_a_host_listener_is_out_of_reach_and_loopback_works(box: LocalSandbox) -> None:
    reach = """
        import socket, sys
        try:
            socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
        except OSError as error:
            print(type(error).__name__)
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert run(box, reach, str(server.getsockname()[1])) == "ConnectionRefusedError"
    own = """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(server.getsockname())
        print("reached")
    """
    assert run(box, own) == "reached"
    assert run(box, "import socket; print(*[n for _, n in socket.if_nameindex()])") == "lo"


@only_boxed
def test_an_abstract_socket_of_the_host_is_out_of_reach(box: LocalSandbox) -> None:
    name = f"ale-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        reach = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')"
        assert "ConnectionRefused" in box.exec(["python3", "-c", reach]).stderr


@only_boxed
def test_an_open_network_is_the_hosts(make: Maker) -> None:
    box = make(SandboxSpec(network="open"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        run(box, f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)")
    assert box.exec("cat /etc/resolv.conf").stdout == Path("/etc/resolv.conf").read_text()


@only_boxed
def test_host_processes_are_not_seen(box: LocalSandbox) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    look = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; ls /proc | grep -c '^[0-9]'"
    with subprocess.Popen(["sh", "-c", "sleep 60; true", mark]) as process:
        try:
            assert wait_until(lambda: hosts_with(mark))
            seen = box.exec(look).stdout
        finally:
            process.kill()
    assert mark not in seen
    assert int(seen.split()[-1]) < 8


@only_boxed
def test_sandboxes_do_not_see_each_other(make: Maker) -> None:
    one, other = make(), make()
    mark = uuid.uuid4().hex
    for path in (f"{one.home}/{mark}", f"/tmp/{mark}"):
        one.write(path, "mine")
    shared = "find / -xdev -name '%s*' 2>/dev/null; ls /tmp /dev/shm; ipcs -m | grep -c 0x"
    one.exec(f"echo mine > /dev/shm/{mark}; ipcmk -M 4096", check=True)
    assert mark in one.exec(shared % mark).stdout
    assert mark not in other.exec(shared % mark).stdout
    assert other.exec(shared % mark).stdout.split()[-1] == "0"
    one.exec(["sh", "-c", "sleep 30 &", mark])
    assert mark not in other.exec("cat /proc/[0-9]*/cmdline").stdout


@only_boxed
def test_hidden_paths_are_masked(make: Maker) -> None:
    folder, file = Path("/usr/share/zoneinfo"), Path("/usr/bin/env")
    within = next(path for path in sorted(folder.iterdir()) if path.is_dir())
    absent = (Path("/gone"), Path("/root/elsewhere"))
    box = make(SandboxSpec(hidden=(within, folder, file, file, *absent)))
    for path in (folder, Path(os.path.realpath("/usr/bin"), "env")):
        assert path.exists()
    assert box.exec(["ls", "-A", str(folder)]).stdout == ""
    assert "ermission denied" in box.exec(["cat", str(file)]).stderr
    assert box.exec([str(file)]).returncode == 126


@only_boxed
def test_a_kit_below_a_hidden_path_is_seen_and_a_hidden_path_in_a_kit_is_not(
    make: Maker, tmp_path: Path
) -> None:
    kit = tmp_path / "kept" / "kit"
    for name in ("secret", "plain"):
        (kit / name).mkdir(parents=True)
        (kit / name / "text").write_text(name)
    hidden = (tmp_path, kit / "secret")
    box = make(SandboxSpec(kits=(kit,), hidden=hidden))
    assert box.exec("cat /opt/ale/kit/plain/text").stdout == "plain"
    assert box.exec("ls -A /opt/ale/kit/secret").stdout == ""
    assert box.exec(["test", "-e", str(kit)]).returncode == 1


@only_boxed
def test_of_opt_only_what_was_asked_for_is_seen(make: Maker, tmp_path: Path) -> None:
    (tmp_path / "kit").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        ways = {8080: tmp_path / "s"}
        for spec, names in (
            (SandboxSpec(), ""),
            (SandboxSpec(kits=(tmp_path / "kit",)), "kit\n"),
            (SandboxSpec(sockets=ways), "bridge\n"),
        ):
            box = make(spec)
            assert box.exec("ls -A /opt/ale 2>/dev/null").stdout == names
            assert box.exec("ls -A /opt 2>/dev/null").stdout == ("ale\n" if names else "")


@only_boxed
def test_on_the_hosts_own_network_a_port_is_had_once(make: Maker, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.create_server(("127.0.0.1", 0)) as taken:
        server.bind(str(tmp_path / "s"))
        server.listen()
        port = taken.getsockname()[1]
        spec = SandboxSpec(network="open", sockets={port: tmp_path / "s"})
        lease = f"test-{uuid.uuid4().hex}"
        with pytest.raises(ProviderFault, match=f"cannot listen on 127.0.0.1:{port}: .*in use"):
            LocalProvider().create(lease, spec)
        assert not tagged.directory(lease).exists()
        taken.close()
        box = make(spec)
        with pytest.raises(ProviderFault, match=f"cannot listen on 127.0.0.1:{port}: .*in use"):
            make(spec)
        box.stop()
        socket.create_server(("127.0.0.1", port)).close()


@only_boxed
def test_a_forwarder_leaves_no_descriptor_and_no_process(mode: str, tmp_path: Path) -> None:
    provider, lease, mark = LocalProvider(), f"test-{uuid.uuid4().hex}", "ale-8099.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        spec, fds = SandboxSpec(sockets={8099: tmp_path / "s"}), Path("/proc/self/fd")
        before = sorted(fds.iterdir())
        box = provider.create(lease, spec)
        assert hosts_with(mark)
        box.exec("rm -r ../task")  # where commands begin: the forwarder does without
        box.stop()
        assert sorted(fds.iterdir()) == before
        provider.attach(lease, spec)
        provider.destroy(lease)
        assert sorted(fds.iterdir()) == before
    assert hosts_with(mark) == []


@only_boxed
def test_nothing_outside_the_own_folders_can_be_written(box: LocalSandbox) -> None:
    tops = ["/", "/etc", "/usr", "/usr/bin", "/dev", "/dev/pts", "/home", "/proc", "/proc/sys"]
    for top in [*tops, str(boxing.base_prefix())]:
        assert box.exec(["touch", f"{top}/x"]).returncode != 0, top
    for top in ("/tmp", "/home/agent", "/dev/shm"):
        assert box.exec(["touch", f"{top}/x"]).returncode == 0, top


@only_boxed
def test_no_switch_of_the_machine_can_be_opened(box: LocalSandbox) -> None:
    """Where the tests run as root the agent's kernel uid is 0, and file modes do not protect."""
    found = run(
        box,
        """
        import os
        for top, folders, files in os.walk("/proc"):
            if top == "/proc":
                folders[:] = [name for name in folders if not name.isdigit()]
            for name in files:
                try:
                    os.close(os.open(os.path.join(top, name), os.O_WRONLY | os.O_NONBLOCK))
                except OSError:
                    continue
                print(os.path.join(top, name))
        """,
    )
    assert found == ""


@only_boxed
def test_the_resident_cannot_be_killed_or_traced(box: LocalSandbox) -> None:
    attack = """
        import ctypes, os, signal
        for number in signal.valid_signals():
            try:
                os.kill(1, number)
            except OSError:
                pass
        libc = ctypes.CDLL(None, use_errno=True)
        for request in (16, 0x4206):  # PTRACE_ATTACH, PTRACE_SEIZE
            assert libc.ptrace(request, 1, None, None) == -1, request
        for name in ("mem", "environ", "fd/0", "fd/3", "cwd", "root", "maps", "ns/user"):
            try:
                os.open(f"/proc/1/{name}", os.O_RDONLY)
            except OSError:
                continue
            print("opened", name)
        pidfd = os.pidfd_open(1)
        if libc.syscall(438, pidfd, 3, 0) >= 0:  # pidfd_getfd
            print("took a descriptor")
    """
    assert run(box, attack) == ""
    assert box.exec("echo alive").stdout == "alive\n"


@only_boxed
def test_the_resident_is_not_the_agents_to_limit(box: LocalSandbox) -> None:
    attack = """
        import os, resource
        try:
            resource.prlimit(1, resource.RLIMIT_CPU, (1, 1))
        except PermissionError:
            print("refused")
        print(os.listdir("/proc/1"))
        resource.prlimit(os.getpid(), resource.RLIMIT_CPU, (100, 100))
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    """
    assert run(box, attack) == "refused\n[]"


@only_boxed
def test_no_namespace_brings_capabilities_back(box: LocalSandbox) -> None:
    """In one the host's cgroups could be mounted, and be written where their owner has our uid."""
    for options in ("-U", "-Ur", "-UrmC", "-m", "-p"):
        refused = box.exec(["unshare", options, "true"])
        assert refused.returncode != 0
        assert "not permitted" in refused.stderr
    threads = "import threading; threading.Thread(target=print, args=['work']).start()"
    assert run(box, threads) == "work"


@only_boxed
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these are x86_64's call numbers")
def test_no_other_call_makes_a_namespace(box: LocalSandbox) -> None:
    attack = """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        user, x32 = 1 << 28, 0x40000000
        for number, argument in ((272, user), (56, user | 17), (435, 0), (x32 + 272, user)):
            print(libc.syscall(number, argument, 0, 0, 0, 0), ctypes.get_errno())
    """
    assert run(box, attack).split("\n") == ["-1 1", "-1 1", "-1 38", "-1 38"]


# How it ends.


def test_a_resident_killed_from_outside_is_a_lost_sandbox(box: LocalSandbox) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(box.exec, "sleep 5")
        assert wait_until(lambda: "sleep" in box.exec("cat /proc/[0-9]*/cmdline").stdout)
        os.kill(box._boxed.pid, signal.SIGKILL)
        with pytest.raises(SandboxLost, match=f"process {box._boxed.pid} was killed from outside"):
            running.result(5)
    with pytest.raises(SandboxLost):
        box.exec("true")
    box.stop()


OWNER = """
import sys, threading
from pytest_ale.providers.local import LocalProvider
from pytest_ale.sandbox import SandboxSpec
box = LocalProvider().create(sys.argv[1], SandboxSpec())
box.exec(["python3", "-c", sys.argv[3], sys.argv[2]])
box.exec(["sh", "-c", "(setsid sleep 61 &) ; sleep 62; true", sys.argv[2]])
"""


@contextlib.contextmanager
def owner(lease: str, mark: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that owns a sandbox with a daemon and a command in it."""
    argv = [sys.executable, "-c", OWNER, lease, mark, textwrap.dedent(DAEMON)]
    path = os.pathsep.join([str(Path(local.__file__).parents[2]), *filter(None, sys.path)])
    with subprocess.Popen(argv, env=dict(os.environ) | {"PYTHONPATH": path}) as process:
        try:
            # the owner itself, the daemon, the command
            assert wait_until(lambda: len(hosts_with(mark)) >= 3, 20)
            yield process
        finally:
            process.kill()


def test_kill_9_of_the_owner_ends_its_sandbox(mode: str) -> None:
    lease, mark = f"test-{uuid.uuid4().hex}", f"mark-{uuid.uuid4().hex}"
    with owner(lease, mark) as process:
        process.kill()
        process.wait()
        assert wait_until(lambda: not hosts_with(mark), 3), hosts_with(mark)
    provider = LocalProvider()
    assert lease in provider.leases()
    provider.destroy(lease)
    assert lease not in provider.leases()


def test_another_process_may_destroy(mode: str) -> None:
    lease, mark = f"test-{uuid.uuid4().hex}", f"mark-{uuid.uuid4().hex}"
    with owner(lease, mark) as process:
        LocalProvider().destroy(lease)
        assert [pid for pid in hosts_with(mark) if pid != process.pid] == []
        assert not tagged.directory(lease).exists()


def test_a_sandbox_outlives_the_thread_that_made_it(make: Maker) -> None:
    made: list[LocalSandbox] = []
    thread = threading.Thread(target=lambda: made.append(make()))
    thread.start()
    thread.join()
    time.sleep(0.1)
    assert made[0].exec("echo here").stdout == "here\n"


def test_what_was_never_labelled_is_destroyed_too(mode: str) -> None:
    """Its owner died between making the directory and writing the label; the ledger knows it."""
    lease = f"test-{uuid.uuid4().hex}"
    tagged.directory(lease).mkdir()
    for text in (None, "{", "[]", '{"lease": 1}'):
        if text is not None:
            (tagged.directory(lease) / "lease.json").write_text(text)
        assert lease not in LocalProvider().leases()
    LocalProvider().destroy(lease)
    assert not tagged.directory(lease).exists()


def test_attach_finds_the_files(mode: str) -> None:
    lease, provider = f"test-{uuid.uuid4().hex}", LocalProvider()
    try:
        first = provider.create(lease, SandboxSpec())
        first.write("output/x", "kept")
        first.stop()
        assert LocalProvider().leases().count(lease) == 1
        again = LocalProvider().attach(lease, SandboxSpec())
        assert again.exec("cat output/x").stdout == "kept"
        again.stop()
    finally:
        provider.destroy(lease)
    with pytest.raises(ProviderFault, match="there is no"):
        provider.attach(lease, SandboxSpec())


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sandboxes on a tmpfs, if there is one: on a disk each folder's end took 3 to 7 ms."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


def test_what_the_agent_locked_is_removed(in_memory: None, make: Maker) -> None:
    box = make()
    box.exec("mkdir -p a/b/c && touch a/b/c/d && chmod 0 a/b/c && chmod 555 a/b a", check=True)
    run(
        box,
        """
        import os
        os.mkdir("deep"); os.chdir("deep")
        for _ in range(1200):
            os.mkdir("deep"); os.chdir("deep")
        """,
    )


# Commands.


def test_no_descriptor_is_left_open(box: LocalSandbox) -> None:
    def fds(pid: int | str) -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    before = fds("self")
    for _ in range(5):
        box.exec("cat", stdin="x")
        with pytest.raises(ExecTimeout):
            box.exec("sleep 9", timeout=0.01, stdin="x" * 1_000_000)
    assert fds("self") == before
    if os.geteuid() == 0:  # the resident's are root's to see
        assert wait_until(lambda: fds(box._boxed.pid) < 10)


def test_garbage_does_not_end_the_resident(box: LocalSandbox) -> None:
    channel = box._boxed.channel
    channel.send(b"garbage")
    with Path(os.devnull).open("rb") as null:
        for count in (1, 2, 5):
            socket.send_fds(channel, [b"run"], [null.fileno()] * count)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            socket.send_fds(channel, [b"run"], [theirs.fileno(), *[null.fileno()] * 4])
            theirs.close()
            assert b"error" in ours.recv(1000)
    assert box.exec("echo alive").stdout == "alive\n"


def test_out_of_descriptors_is_an_error_and_passes(box: LocalSandbox) -> None:
    pid = box._boxed.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (9, limits[1]))
    try:
        with pytest.raises(SandboxError, match=r"not started: .*descriptor"):
            box.exec("true")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert box.exec("echo alive").stdout == "alive\n"


def test_orphans_are_reaped(box: LocalSandbox) -> None:
    box.exec("for n in 1 2 3 4 5 6 7 8; do (setsid sh -c 'sleep 0.05' &); done")
    time.sleep(0.3)
    pid = box._boxed.pid
    children = [
        path
        for path in Path("/proc").glob("[0-9]*/stat")
        if path.exists() and path.read_text().rpartition(")")[2].split()[1] == str(pid)
    ]
    assert children == []


# A terminal.


# Files.


# The provider.


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (SandboxSpec(os="windows"), "no windows"),
        (SandboxSpec(desktop=True), "no desktop"),
        (SandboxSpec(gpu=1), "no GPU"),
        (SandboxSpec(licence="matlab"), "no licence for matlab"),
        (SandboxSpec(packages=("ngspice",)), "installs no packages"),
        (SandboxSpec(python=("numpy",)), "installs no packages"),
        (SandboxSpec(network=("pypi.org",)), "cannot limit the network to hosts"),
    ],
)
def test_what_it_cannot_host_it_says(spec: SandboxSpec, why: str) -> None:
    for trusted in (True, False):
        said = LocalProvider(unsafe=True).refuses(spec, trusted=trusted)
        assert said is not None
        assert why in said


def test_an_agent_is_not_let_loose_unboxed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(boxing.MODE_VARIABLE, "none")
    said = LocalProvider().refuses(SandboxSpec(), trusted=False)
    assert said is not None
    for word in ("bubblewrap", "unprivileged user namespaces", "--ale-unsafe-local"):
        assert word in said
    assert LocalProvider().refuses(SandboxSpec(), trusted=True) is None
    assert LocalProvider(unsafe=True).refuses(SandboxSpec(), trusted=False) is None
    assert LocalProvider().preflight()[0] == "mode none"


def test_without_namespaces_there_are_no_ways(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(boxing.MODE_VARIABLE, "none")
    provider, lease = LocalProvider(unsafe=True), f"test-{uuid.uuid4().hex}"
    for spec, why in (
        (SandboxSpec(kits=(tmp_path,)), "without namespaces has no kits"),
        (SandboxSpec(sockets={80: tmp_path}), "without namespaces leads no port to a socket"),
    ):
        for trusted in (True, False):
            said = provider.refuses(spec, trusted=trusted)
            assert said == f"local provider {why}"
        with pytest.raises(ProviderFault, match=why):
            provider.create(lease, spec)
        assert not tagged.directory(lease).exists()


@only_boxed
def test_an_agent_is_let_loose_in_a_box(mode: str) -> None:
    assert LocalProvider().refuses(SandboxSpec(network="open"), trusted=False) is None
    assert f"{mode}: works" in LocalProvider().preflight()


def test_where_nothing_works_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(boxing.MODE_VARIABLE, raising=False)
    for module in (boxing, local):
        monkeypatch.setattr(module, "probe", lambda mode: None if mode == "none" else "no luck")
    assert LocalProvider().mode == "none"
    assert LocalProvider().refuses(SandboxSpec(), trusted=False)
    assert "apt-get install bubblewrap" in LocalProvider().preflight()[-1]
    monkeypatch.setenv(boxing.MODE_VARIABLE, "unshare")
    said = LocalProvider().refuses(SandboxSpec(), trusted=True)
    assert said is not None
    assert "cannot box by unshare here (no luck)" in said


def test_a_broken_mode_is_a_fault_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(boxing.MODE_VARIABLE, "unshare")
    monkeypatch.setattr(boxing, "unshare_command", lambda **_: ["sh", "-c", "echo broken >&2"])
    lease = f"test-{uuid.uuid4().hex}"
    with pytest.raises(ProviderFault, match="broken"):
        LocalProvider().create(lease, SandboxSpec())
    assert not tagged.directory(lease).exists()


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProviderFault, match=r"letters, digits and \._- only"):
        LocalProvider().create("../up", SandboxSpec())
    LocalProvider().destroy("never-made")
    monkeypatch.setenv(boxing.MODE_VARIABLE, "docker")
    with pytest.raises(ProviderFault, match="=docker: it may be bwrap, unshare, none"):
        LocalProvider().refuses(SandboxSpec(), trusted=True)


def test_a_lease_is_created_once(make: Maker, mode: str) -> None:
    lease = next(iter([make()]))._root.name.removeprefix(boxing.PREFIX)
    with pytest.raises(ProviderFault, match="File exists"):
        LocalProvider().create(lease, SandboxSpec())
    assert tagged.directory(lease).exists()


def test_it_has_no_desktop(box: LocalSandbox) -> None:
    sandbox: Sandbox = box  # mypy's to judge: isinstance would ask for the desktop
    with pytest.raises(SandboxError, match="no desktop"):
        _ = sandbox.desktop
    assert tempfile.gettempdir() in str(box._root)
