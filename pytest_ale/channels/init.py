"""The resident of a sandbox: process 1, which starts what the host asks for and reaps it.

Knows nothing of pytest_ale: it is run by path (`python -I -S init.py WHERE`), with the standard
library only.

WHERE is the number of a descriptor, one end of a SOCK_SEQPACKET pair, or the path of a socket where
the host listens for it. The host sends one message per command, its text empty of meaning and its
file descriptors [control, request, stdin, stdout, stderr]; `request` is a memory file of JSON
{"argv", "cwd", "env", "tty"}. On `control` goes back {"returncode": N} when the command ends, or
{"error": why} when it could not be started; whatever the host does to its end of `control`, close
it or write to it, kills the command's process group. The first message of all carries one
descriptor, the configuration (`settle`), and is answered by {"ready": true}. When the host's end
closes, however the host died, this process ends and all the others with it.
"""

# pathlib would only add to the time that every sandbox takes to start.
# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH120, PTH123, PTH208, PTH211

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import selectors
import signal
import socket
import stat
import struct
import sys
import termios
import time
import traceback
from collections.abc import Callable, Iterator

# The calls that `forbid` looks at, and their numbers by machine, for each ABI of its kernel, which
# is named by its audit number. (io_uring_setup is 425 and clone3 is 435 everywhere.)
CALLS = (
    *("clone", "unshare", "prlimit64", "sched_setparam", "sched_setscheduler"),
    *("sched_setaffinity", "sched_setattr", "setpriority", "ioprio_set", "socket", "socketcall"),
)
GENERIC = (220, 97, 261, 118, 119, 122, 274, 140, 30, 198)
ABIS: dict[str, dict[int, tuple[int, ...]]] = {
    "x86_64": {
        0xC000003E: (56, 272, 302, 142, 144, 203, 314, 141, 251, 41),
        0x40000003: (120, 310, 340, 154, 156, 241, 351, 97, 289, 359, 102),
    },
    "aarch64": {
        0xC00000B7: GENERIC,
        0x40000028: (120, 337, 369, 154, 156, 241, 380, 97, 314, 281, 102),
    },
    "riscv64": {0xC00000F3: GENERIC},
}
PIECES = 5  # control, request, stdin, stdout, stderr
END_SECONDS = 8.0  # shorter than the 10 s that the host gives `stop`

# <sys/mount.h>, <linux/sched.h>, <sys/prctl.h>: ctypes has no names for them.
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
CLONE_NEWCGROUP, CLONE_NEWUSER = 0x02000000, 0x10000000
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 4, 24, 36, 38
CAPABILITY_VERSION_3 = 0x20080522
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: int | str | None) -> int:
    """Call a libc function; a negative answer is an OSError that names it."""
    result = int(getattr(libc, name)(*map(as_c, args)))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", str(args))
    return result


def as_c(arg: int | str | None) -> ctypes.c_ulong | bytes | None:
    if arg is None:
        return None
    return ctypes.c_ulong(arg) if isinstance(arg, int) else os.fsencode(arg)


# The file tree (mode unshare only; bwrap makes its own before it starts us).


def mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    call("mount", source, target, kind, flags, data)


def mounts_below(target: str) -> dict[str, int]:
    """The mounts at and below a path, with the flags that a remount must not lose.

    A mount that came from a more privileged namespace has its nosuid, nodev and noexec locked:
    a read-only remount that leaves one out is refused with EPERM.
    """
    named = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}
    found: dict[str, int] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            fields = line.split(" ")
            path = unescape(fields[4])
            if path == target or path.startswith(target + "/"):
                found[path] = sum(named.get(option, 0) for option in fields[5].split(","))
    return found


def unescape(path: str) -> str:
    for octal, char in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        path = path.replace(octal, char)
    return path


def restrict(target: str, flags: int) -> None:
    """Add flags to every mount at and below a path: a recursive bind changes only the top one."""
    for path, kept in mounts_below(target).items():
        mount(None, path, None, MS_BIND | MS_REMOUNT | flags | kept)


def bind(source: str, target: str, flags: int) -> None:
    mountpoint(source, target)
    mount(source, target, None, MS_BIND | MS_REC)
    restrict(target, flags)


def mountpoint(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def place_ro(source: str, target: str) -> None:
    bind(source, target, MS_RDONLY | MS_NOSUID | MS_NODEV)


def place_rw(source: str, target: str) -> None:
    bind(source, target, MS_NOSUID | MS_NODEV)


def place_link(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.symlink(source, target)


def place_mask(source: str, target: str) -> None:
    """Cover a host path that must not be seen: a folder by an empty one, a file by nothing."""
    if os.path.isdir(target):
        mount("tmpfs", target, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=0755")
    else:
        place_ro("/dev/null", target)


def place_proc(source: str, target: str) -> None:
    """Mount an own /proc whose machine-wide switches are read-only.

    Where the host's user is root the agent's kernel uid is 0, and the file modes of /proc/sys or
    /proc/sysrq-trigger ask for no capability beyond that.
    """
    os.makedirs(target, exist_ok=True)
    mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for entry in os.scandir(target):
        about = entry.stat(follow_symlinks=False)
        folder = stat.S_ISDIR(about.st_mode) and not entry.name.isdigit()
        if folder or (stat.S_ISREG(about.st_mode) and about.st_mode & 0o222):
            place_ro(entry.path, entry.path)


def place_dev(source: str, target: str) -> None:
    os.makedirs(target, exist_ok=True)
    mount("tmpfs", target, "tmpfs", MS_NOSUID, "mode=0755")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        bind(f"/dev/{name}", f"{target}/{name}", MS_NOSUID)
    os.mkdir(f"{target}/shm")
    mount("tmpfs", f"{target}/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    os.mkdir(f"{target}/pts")
    terminals = "newinstance,ptmxmode=0666,mode=620"
    mount("devpts", f"{target}/pts", "devpts", MS_NOSUID | MS_NOEXEC, terminals)
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "core": "/proc/kcore"}
    streams = {name: f"/proc/self/fd/{n}" for n, name in enumerate(("stdin", "stdout", "stderr"))}
    for name, to in (links | streams).items():
        os.symlink(to, f"{target}/{name}")
    close_top(target)


def close_top(target: str) -> None:
    """Make one mount read-only, and none of those below it."""
    kept = mounts_below(target)[target]
    mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


PLACE: dict[str, Callable[[str, str], None]] = {
    "ro": place_ro,
    "rw": place_rw,
    "link": place_link,
    "mask": place_mask,
    "proc": place_proc,
    "dev": place_dev,
}


def make_tree(root: str, mounts: list[list[str]]) -> None:
    """Build the tree below `root`, make it ours, and let go of the host's."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for kind, source, target in mounts:
        PLACE[kind](source, root + target)
    os.chdir(root)
    call("pivot_root", ".", ".")  # the old root now lies on top of the new one
    call("umount2", ".", MNT_DETACH)
    os.chdir("/")
    close_top("/")


# The namespaces and what may be done in them.


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        up = struct.unpack_from("h", flags, 16)[0] | IFF_UP
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", up))


def become_agent(uid: int) -> None:
    """Enter a user namespace below the one that owns the mounts: nothing here can undo them."""
    me = os.open("/proc/self", os.O_PATH | os.O_CLOEXEC)
    # The agent may not trace us, but our files are its uid's: oom_score_adj asks for no more.
    mount("tmpfs", "/proc/1", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=0755")
    call("unshare", CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} 0 1"), ("gid_map", f"{uid} 0 1")):
        fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=me)
        os.write(fd, text.encode())
        os.close(fd)
    os.close(me)


def drop_capabilities() -> None:
    for capability in range(64):
        with contextlib.suppress(OSError):  # past the last one, or already without CAP_SETPCAP
            call("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = ctypes.create_string_buffer(struct.pack("Ii", CAPABILITY_VERSION_3, 0))
    nothing = ctypes.create_string_buffer(24)
    if libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def forbid() -> None:
    """Filter the few system calls by which a process without capabilities could still do harm.

    - A new user namespace would bring capabilities back, and with them a mount of cgroup2: the
      host's own groups, writable by whoever has our uid. clone3 hides its flags from filters;
      programs then fall back to clone.
    - We are of the agent's uid: prlimit64 could end us by a limit on CPU time, and the scheduler's
      calls could starve us, so that nothing would end any more.
    - Of sockets, some kinds know no network namespace: vsock leads to the machine that ours runs
      on. io_uring and, in 32 bits, socketcall make them out of a filter's sight.
    """
    machine = os.uname().machine
    if machine not in ABIS:
        raise OSError(errno.ENOSYS, f"no system call numbers are known for {machine}")
    program = b""
    for abi, numbers in ABIS[machine].items():
        rules = step(LOAD, 0)
        if machine == "x86_64":  # the x32 variants of all calls
            rules += step(GREATER, 0x40000000, 0, 1) + step(RETURN, LACK)
        for number in (425, 435):
            rules += step(EQUAL, number, 0, 1) + step(RETURN, LACK)
        for name, number in zip(CALLS, numbers, strict=False):  # socketcall is of 32 bits only
            rules += step(EQUAL, number, 0, len(judged(name)) // 8) + judged(name)
        rules += step(RETURN, ALLOW)
        program += step(LOAD, 4) + step(EQUAL, abi, 0, len(rules) // 8) + rules
    install(program + step(RETURN, LACK))


# BPF, as seccomp(2) has it: load a word of {number, ABI, address, arguments}, jump, return.
LOAD, EQUAL, GREATER, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, REFUSE, LACK = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
UNKNOWN = 0x50000 | errno.EAFNOSUPPORT

# By call, what is refused: an argument's place, and what it may not be.
OURS = [(0, EQUAL, 1)]
REFUSED = {
    "clone": [(0, ANY_BIT, CLONE_NEWUSER)],
    "unshare": [(0, ANY_BIT, CLONE_NEWUSER)],
    "prlimit64": OURS,
    "sched_setparam": OURS,
    "sched_setscheduler": OURS,
    "sched_setaffinity": OURS,
    "sched_setattr": OURS,
    "setpriority": [(1, EQUAL, 1), (0, EQUAL, os.PRIO_USER)],
    "ioprio_set": [(1, EQUAL, 1), (0, EQUAL, 3)],  # IOPRIO_WHO_USER
}
FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)


def judged(call: str) -> bytes:
    """What becomes of one call, by its arguments."""
    if call == "socketcall":
        return step(RETURN, LACK)
    if call == "socket":
        allowed = [step(EQUAL, family, 0, 1) + step(RETURN, ALLOW) for family in FAMILIES]
        return step(LOAD, 16) + b"".join(allowed) + step(RETURN, UNKNOWN)
    tests = [
        step(LOAD, 16 + 8 * place) + step(test, value, 0, 1) + step(RETURN, REFUSE)
        for place, test, value in REFUSED[call]
    ]
    return b"".join(tests) + step(RETURN, ALLOW)


def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def install(program: bytes) -> None:
    steps = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(steps))
    buffer = ctypes.create_string_buffer(head, len(head))
    call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(buffer), 0, 0)


def forget_keyring() -> None:
    """Leave the session keyring of the user who started us; kernels without keyrings have none."""
    number = KEYCTL.get(os.uname().machine)
    if number is not None:
        with contextlib.suppress(OSError):
            call("syscall", number, 1, 0, 0, 0, 0)  # KEYCTL_JOIN_SESSION_KEYRING, anonymous


def limit(kind: int, amount: int) -> None:
    _, hard = resource.getrlimit(kind)
    amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    resource.setrlimit(kind, (amount, amount))


def settle(config: dict[str, object]) -> None:
    """Turn the process that was started into the sandbox's resident."""
    mode = config["mode"]
    os.umask(0o022)
    if mode == "unshare":
        unshared(config)
    if mode == "none":
        call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    else:
        drop_capabilities()
    forget_keyring()
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, int(str(config["file_bytes"])))
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if mode != "none":
        forbid()
    # The agent has our uid; only this keeps it from tracing us. Its own programs are dumpable
    # again by exec. It also makes /proc/1 root's, so whatever is read there was read before.
    call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)


def unshared(config: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # a kernel may be without them
        call("unshare", CLONE_NEWCGROUP)
    socket.sethostname(str(config["hostname"]))
    if config["loopback"]:
        loopback_up()
    mounts = config["mounts"]
    assert isinstance(mounts, list)
    make_tree(str(config["root"]), mounts)
    become_agent(int(str(config["uid"])))


# Commands.


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Take one message; `socket.recv_fds` drops its flags, and commands would inherit the rest."""
    fds = array.array("i")
    room = socket.CMSG_SPACE(PIECES * fds.itemsize)
    text, ancillary, _, _ = channel.recvmsg(64, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return text, list(fds)


def read_json(fd: int) -> dict[str, object]:
    with open(fd, "rb", closefd=False) as file:
        file.seek(0)
        loaded = json.load(file)
    if not isinstance(loaded, dict):
        raise ValueError("not a JSON object")
    return loaded


def become(request: dict[str, object], streams: list[int]) -> None:
    """Turn the forked child into the command; returns only by an exception."""
    argv, env = request["argv"], request["env"]
    assert isinstance(argv, list)
    assert isinstance(env, dict)
    os.setsid()
    for target, fd in enumerate(streams):
        os.dup2(fd, target)
    if request["tty"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    restore_signals()
    os.chdir(str(request["cwd"]))
    os.execvpe(argv[0], argv, env)


def restore_signals() -> None:
    """Undo what Python, this program and a host under nohup ignore: exec would pass it on."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def child(request: dict[str, object], streams: list[int]) -> None:
    """Run the command, or end as a shell would that could not: 127 not found, 126 otherwise."""
    status = 126
    try:
        become(request, streams)
    except FileNotFoundError as error:
        status = 126 if error.filename == request.get("cwd") else 127
        complain(streams[2], error)
    except BaseException as error:
        complain(streams[2], error)
    finally:
        os._exit(status)


def complain(fd: int, error: BaseException) -> None:
    what = error
    if isinstance(error, OSError):
        what = OSError(f"{error.filename or 'exec'}: {error.strerror}")
    with contextlib.suppress(OSError):
        os.write(fd, f"ale: {what}\n".encode(errors="replace"))


def kill_group(pid: int) -> None:
    """Kill a command's group; the child alone where it has not yet made its group."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def answer(control: socket.socket, message: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # the host no longer asks
        control.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)


class Resident:
    """The loop: one thread, and nothing that it must keep but who waits for which child."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.running = True
        self.jobs: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(channel, selectors.EVENT_READ, self.take)
        self.wake, self.waker = socket.socketpair()
        self.selector.register(self.wake, selectors.EVENT_READ, self.reap)

    def serve(self) -> None:
        self.listen()
        answer(self.channel, {"ready": True})
        while self.running:
            for key, _ in self.selector.select():
                key.data()

    def listen(self) -> None:
        """Take SIGCHLD, ignore what a command may send us, and SIGTERM ends us (mode none)."""
        for end in (self.wake, self.waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self.waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if os.getpid() != 1:
            signal.signal(signal.SIGTERM, lambda *_: self.leave())

    def leave(self) -> None:
        self.running = False

    def take(self) -> None:
        """Receive one message and start what it asks for."""
        try:
            text, fds = receive(self.channel)
        except OSError:  # reset: the host died with our answers unread
            text, fds = b"", []
        if not text:
            self.leave()
        try:
            if fds:
                self.start(fds)
        finally:
            for fd in fds[1:]:
                os.close(fd)

    def start(self, fds: list[int]) -> None:
        """Fork a command; descriptors are missing where the kernel found no room for them."""
        try:
            control = socket.socket(fileno=fds[0])
        except OSError:
            os.close(fds[0])
            return
        try:
            if len(fds) != PIECES:
                raise OSError("out of file descriptors")
            self.fork(control, read_json(fds[1]), fds[2:])
        except Exception as error:  # whatever a message holds, the next one must be served
            answer(control, {"error": f"{type(error).__name__}: {error}"})
            control.close()

    def fork(self, control: socket.socket, request: dict[str, object], fds: list[int]) -> None:
        pid = os.fork()
        if not pid:
            child(request, fds)
        self.jobs[pid] = control
        self.selector.register(control, selectors.EVENT_READ, lambda: self.cancel(pid, control))

    def cancel(self, pid: int, control: socket.socket) -> None:
        """The host wrote or went: kill once; what is left to say is said when the child ends."""
        if self.jobs.get(pid) is not control:
            return  # it has ended, and was reaped in this very round
        self.selector.unregister(control)
        kill_group(pid)

    def reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.wake.recv(4096)
        dead = list(ended(most=1000))
        for pid, status in dead:
            control = self.jobs.pop(pid, None)
            if control is None:
                continue  # an orphan of some command
            with contextlib.suppress(KeyError):  # cancelled before
                self.selector.unregister(control)
            answer(control, {"returncode": os.waitstatus_to_exitcode(status)})
            control.close()
        # More than 1000, a fork bomb: serve the sockets before going on.
        if len(dead) == 1000:
            with contextlib.suppress(BlockingIOError):
                self.waker.send(b"\0")


def ended(most: int) -> Iterator[tuple[int, int]]:
    for _ in range(most):
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, status


# The end (mode none only; elsewhere the kernel ends all with process 1).


def descendants() -> set[int]:
    parents: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    found, grown = {os.getpid()}, 0
    while grown != len(found):
        grown = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found - {os.getpid()}


def end_all() -> bool:
    """Kill until no child is left: to a subreaper the kernel gives every orphan below it."""
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        for pid in descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for _ in ended(most=100_000):
            pass
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        time.sleep(0.005)
    return False


def reached(where: str) -> socket.socket:
    if where.isdecimal():
        return socket.socket(fileno=int(where))
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.connect(where)
    return channel


def main() -> None:
    channel = reached(sys.argv[1])
    channel.set_inheritable(False)
    text, fds = receive(channel)
    if not text:
        return  # the host died before it could say what it wants
    config = read_json(fds[0])
    os.close(fds[0])
    settle(config)
    try:
        Resident(channel).serve()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0 if os.getpid() == 1 or end_all() else 1)


if __name__ == "__main__":
    main()
