"""Boxing: how a sandbox's processes are closed off here, and what of the host they see.

Knows nothing of leases, tasks or agents. Three modes, each proved by a probe: `bwrap`, `unshare`,
and `none`, which closes off nothing.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pytest_ale.channels import tree, ways
from pytest_ale.channels.boxed import INIT, READY_SECONDS, STOP_SECONDS, Boxed, Request, end
from pytest_ale.sandbox import ProviderFault, SandboxSpec

__all__ = [
    "HOME",
    "HOW_TO_BOX",
    "MODES",
    "PREFIX",
    "current_mode",
    "environment",
    "furnish",
    "interpreter",
    "last_signal",
    "launch",
    "probe",
]

MODES = ("bwrap", "unshare", "none")
MODE_VARIABLE = "ALE_LOCAL_MODE"
PREFIX = "ale-"
UID = 1000
HOME = "/home/agent"
HOSTNAME = "sandbox"

ETC = ["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl/certs", "pki"]
ETC += ["ca-certificates", "ca-certificates.conf", "localtime", "timezone", "nsswitch.conf"]
ETC += ["mime.types"]
ETC_OURS = {
    "passwd": f"root:x:0:0:root:/root:/bin/false\nagent:x:{UID}:{UID}::{HOME}:/bin/sh\n",
    "group": f"root:x:0:\nagent:x:{UID}:\n",
    "hosts": f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost\n",
    "hostname": f"{HOSTNAME}\n",
}

HOW_TO_BOX = (
    "install bubblewrap (apt-get install bubblewrap) or allow unprivileged user namespaces "
    "(sysctl user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0, whichever the kernel has)"
)


# What the agent sees.


@dataclass(frozen=True)
class Mount:
    """One thing in the sandbox's file tree; kinds: ro, rw, link, mask, proc, dev."""

    kind: str
    source: str
    target: str


def base_prefix() -> Path:
    return Path(sys.base_prefix).resolve()


def interpreter() -> str:
    """The Python below the base prefix: the one of a virtual environment is not seen inside."""
    running = getattr(sys, "_base_executable", None) or sys.executable
    return os.path.realpath(running)


def visible() -> Iterator[Mount]:
    """The parts of the host that every sandbox sees, read-only."""
    yield Mount("ro", "/usr", "/usr")
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            yield Mount("link", str(path.readlink()), str(path))
        elif path.is_dir():
            yield Mount("ro", str(path), str(path))
    for name in ETC:
        if Path("/etc", name).exists():
            yield Mount("ro", f"/etc/{name}", f"/etc/{name}")
    if not base_prefix().is_relative_to("/usr"):
        yield Mount("ro", str(base_prefix()), str(base_prefix()))


def masks(hidden: Sequence[Path], seen: Sequence[Mount]) -> Iterator[Mount]:
    """Cover each hidden host path at every place where the sandbox would see it."""
    paths = present(hidden)
    for mount in seen:
        source = Path(os.path.realpath(mount.source))
        within = {path for path in paths if mount.kind == "ro" and path.is_relative_to(source)}
        # Without those below another: a mask has no room for a second one.
        for path in sorted(path for path in within if within.isdisjoint(path.parents)):
            yield Mount("mask", str(path), str(Path(mount.target, path.relative_to(source))))


def present(paths: Sequence[Path]) -> set[Path]:
    """The paths that exist, without links."""
    real: set[Path] = set()
    for path in paths:
        with suppress(OSError):  # gone, or out of our reach and so of the agent's
            real.add(path.resolve(strict=True))
    return real


def doors(spec: SandboxSpec) -> Iterator[Mount]:
    """The sockets of the host that the agent may reach, and what leads loopback ports there."""
    if spec.sockets:
        yield Mount("ro", str(ways.BRIDGE), f"{ways.OPT}/bridge")
    for path, place in ways.sockets(spec).items():
        yield Mount("ro", str(path), place)


def plan(root: Path, spec: SandboxSpec) -> list[Mount]:
    """The whole tree, in the order in which it is mounted."""
    seen = list(visible())
    own = [Mount("rw", str(root / "tmp"), "/tmp"), Mount("rw", str(root / "home"), HOME)]
    etc = [Mount("ro", str(path), f"/etc/{path.name}") for path in sorted((root / "etc").iterdir())]
    kernel = [Mount("proc", "proc", "/proc"), Mount("dev", "dev", "/dev")]
    seen += [Mount("ro", str(kit), place) for kit, place in ways.kits(spec).items()]
    # Own folders first: a base prefix may lie below /tmp.
    return [*own, *seen, *etc, *kernel, *doors(spec), *masks(spec.hidden, seen)]


def environment(home: str, tmp: str) -> dict[str, str]:
    return {
        "HOME": home,
        "PATH": f"{base_prefix()}/bin:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "USER": "agent",
        "LOGNAME": "agent",
        "SHELL": "/bin/sh",
        "TMPDIR": tmp,
    }


# How it is started.


def bwrap_command(mounts: Sequence[Mount], *, is_open: bool) -> list[str]:
    command = [shutil.which("bwrap") or "bwrap"]
    command += ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    command += ["--unshare-cgroup-try", *([] if is_open else ["--unshare-net"]), "--as-pid-1"]
    command += ["--uid", str(UID), "--gid", str(UID), "--hostname", HOSTNAME]
    command += ["--cap-drop", "ALL", "--clearenv", "--chdir", "/"]
    for mount in mounts:
        command += bwrap_mount(mount)
    command += ["--ro-bind", str(INIT), "/run/ale/init.py", "--remount-ro", "/", "--"]
    return [*command, interpreter(), "-I", "-S", "/run/ale/init.py"]


def bwrap_mount(mount: Mount) -> list[str]:
    match mount.kind:
        case "proc":
            covers = [*proc_covers(), "--tmpfs", "/proc/1", "--remount-ro", "/proc/1"]
            return ["--proc", "/proc", *covers]
        case "dev":
            return ["--dev", "/dev", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
        case "mask" if Path(mount.source).is_dir():
            return ["--tmpfs", mount.target, "--remount-ro", mount.target]
        case "mask":
            return ["--ro-bind", "/dev/null", mount.target]
        case "link":
            return ["--symlink", mount.source, mount.target]
    return [{"ro": "--ro-bind", "rw": "--bind"}[mount.kind], mount.source, mount.target]


def proc_covers() -> list[str]:
    """Cover the machine-wide files of /proc that bwrap leaves writable for a host's root."""
    command: list[str] = []
    for path in sorted(Path("/proc").iterdir()):
        with suppress(OSError):
            mode = path.lstat().st_mode
            folder = stat.S_ISDIR(mode) and not path.name.isdigit()
            if folder or (stat.S_ISREG(mode) and mode & 0o222):
                command += ["--ro-bind-try", str(path), str(path)]
    return command


def unshare_command(*, is_open: bool) -> list[str]:
    command = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", "--mount"]
    command += ["--pid", "--ipc", "--uts", *([] if is_open else ["--net"])]
    return [*command, "--fork", "--kill-child", *resident_command()]


def resident_command() -> list[str]:
    return [interpreter(), "-I", "-S", str(INIT)]


def launch(root: Path, spec: SandboxSpec, mode: str) -> Boxed:
    """Start a resident over a directory that `furnish` made."""
    mounts = [] if mode == "none" else plan(root, spec)
    is_open = spec.network == "open"
    commands = {
        "bwrap": lambda: bwrap_command(mounts, is_open=is_open),
        "unshare": lambda: unshare_command(is_open=is_open),
        "none": resident_command,
    }
    config = {
        "mode": mode,
        "root": str(root / "root"),
        "mounts": [[mount.kind, mount.source, mount.target] for mount in mounts],
        "hostname": HOSTNAME,
        "uid": UID,
        "loopback": not is_open,
        "file_bytes": int(spec.disk_gb * 2**30),
    }
    try:
        command, log = commands[mode](), root / "init.log"
        return start(command, config, log, last_signal(mode))
    except OSError as error:
        raise ProviderFault(f"no sandbox by {mode}: {error}") from error


def start(
    argv: Sequence[str], config: Mapping[str, object], log: Path, last: signal.Signals
) -> Boxed:
    """Start a resident by a command that takes a descriptor's number as its last argument."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    with theirs, closing_on_error(ours):
        process = spawn([*argv, str(theirs.fileno())], theirs.fileno(), log)
        theirs.close()
        try:
            return Boxed.greet(ours, config, partial(finish, process, last))
        except BaseException as error:
            process.kill()
            process.wait()
            if not isinstance(error, OSError):
                raise
            said = log.read_text(errors="replace").strip()[-2000:]
            what = f"no sandbox within {READY_SECONDS:g} s ({error}): {said}"
            raise ProviderFault(what) from error


@contextmanager
def closing_on_error(channel: socket.socket) -> Iterator[None]:
    """A resident that got as far as our end of the channel ends when that is closed."""
    try:
        yield
    except BaseException:
        channel.close()
        raise


def spawn(argv: Sequence[str], fd: int, log: Path) -> subprocess.Popen[bytes]:
    """Start in a session of its own: Ctrl-C is for us, who then stop the sandbox in good order."""
    with log.open("ab") as file:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={},
            cwd="/",
            pass_fds=(fd,),
            start_new_session=True,
        )


def finish(process: subprocess.Popen[bytes], last: signal.Signals, boxed: Boxed) -> None:
    """End the resident, and what stands around it: bwrap, or unshare."""
    end(boxed.pid, boxed.pidfd, last)
    try:
        status = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired as error:
        what = f"process {process.pid} around a stopped sandbox"
        raise ProviderFault(f"{what} did not end within {STOP_SECONDS:g} s") from error
    if status == 1 and last != signal.SIGKILL:  # the resident could not end all
        raise ProviderFault(f"some process started by {boxed.pid} could not be killed")


def furnish(root: Path, spec: SandboxSpec) -> None:
    """Fill a new sandbox's directory."""
    for name in ("home/task/inputs", "home/task/output", "tmp", "etc", "root"):
        (root / name).mkdir(parents=True)
    ours = dict(ETC_OURS)
    if spec.network == "open":
        # Copied: it is often a link into /run, which is not seen.
        with suppress(OSError):
            ours["resolv.conf"] = Path("/etc/resolv.conf").read_text(errors="replace")
    for name, text in ours.items():
        (root / "etc" / name).write_text(text)


def last_signal(mode: str) -> signal.Signals:
    """Without a pid namespace the resident itself must end the others, and is asked to."""
    return signal.SIGTERM if mode == "none" else signal.SIGKILL


# Which way works here.


@functools.cache
def probe(mode: str) -> str | None:
    """Box a `true` in all the namespaces; say why that failed, or None."""
    if mode == "none":
        return None
    if shutil.which(mode) is None:
        return f"there is no {mode} on PATH"
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}probe-{os.getpid()}-"))
    try:
        return _probe(root, mode)
    except Exception as error:  # whatever it is, this mode does not work here
        return " ".join(str(error).split()) or type(error).__name__
    finally:
        tree.remove(root)


def _probe(root: Path, mode: str) -> str | None:
    spec = SandboxSpec()
    furnish(root, spec)
    boxed = launch(root, spec, mode)
    try:
        request = Request(["true"], HOME, environment(HOME, "/tmp"))
        said = boxed.run(request, stdin=None, timeout=20)
    finally:
        boxed.stop()
    if said.returncode:
        return f"`true` ended with {said.returncode}: {said.stderr.decode(errors='replace')}"
    return None


def current_mode() -> str:
    """The mode that is forced, else the first that is proved to work."""
    forced = os.environ.get(MODE_VARIABLE)
    if forced:
        if forced not in MODES:
            raise ProviderFault(f"{MODE_VARIABLE}={forced}: it may be {', '.join(MODES)}")
        return forced
    return next(mode for mode in MODES if probe(mode) is None)
