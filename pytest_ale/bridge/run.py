"""Entry of the bridge's kit: `python3 KIT/run.py desktop|machine|desk|forward|probe [options]`.

Knows only how a kit is laid out; parses on any Python 3.6, so that an old one is told so.
"""

# pathlib would cost each start 10 ms.
# ruff: noqa: PTH100, PTH110, PTH111, PTH112, PTH118, PTH120, PTH123, PTH208

import importlib
import os
import sys

PROGRAMS = ("desktop", "machine", "desk", "forward", "probe")
KIT = os.path.dirname(os.path.abspath(__file__))
LIBRARIES = os.path.join(KIT, "libraries")
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
OWN = os.path.join(LIBRARIES, f"python{VERSION}")


def refusal() -> str:
    """Why the libraries of this kit do not fit what runs here, or nothing."""
    if sys.implementation.name != "cpython" or "t" in sys.abiflags:
        return f"needs an ordinary CPython, and this is {sys.implementation.name} {sys.version}"
    if not os.path.isdir(OWN):
        known = [name[6:] for name in os.listdir(LIBRARIES) if name.startswith("python")]
        order = ", ".join(sorted(known, key=lambda name: [int(part) for part in name.split(".")]))
        return f"has no libraries for Python {VERSION} ({sys.executable}); it has them for {order}"
    with open(os.path.join(KIT, "platform")) as file:
        platform = file.read().strip()
    if platform != f"linux-{os.uname().machine}":
        return f"is for {platform}, and this is linux-{os.uname().machine}"
    return "" if _glibc() else "needs glibc, and this system has another C library (such as musl)"


def _glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (OSError, ValueError):
        return False


def use_libraries() -> None:
    """Find the kit's packages first, and keep bytecode where it may be written."""
    # Before the sandbox's own: an old typing_extensions of its system would be found otherwise.
    sys.path[:0] = [KIT, OWN, os.path.join(LIBRARIES, "shared")]
    compiled = f"shared/__pycache__/typing_extensions.{sys.implementation.cache_tag}.pyc"
    if not os.path.exists(os.path.join(LIBRARIES, compiled)):
        # Nobody compiled for this Python, which takes 3 s at each start if it is not kept.
        sys.pycache_prefix = os.path.expanduser("~/.cache/ale/bytecode")


def main() -> int:
    program = sys.argv[1] if len(sys.argv) > 1 else ""
    if program not in PROGRAMS:
        sys.stderr.write(f"usage: run.py {'|'.join(PROGRAMS)} [options], not {program!r}\n")
        return 2
    why = refusal()
    if why:
        sys.stderr.write(f"the bridge in {KIT} {why}\n")
        return 3
    use_libraries()
    module = importlib.import_module(f"bridge.{program}")
    sys.argv[:] = [f"{sys.argv[0]} {program}", *sys.argv[2:]]
    return int(module.main() or 0)


if __name__ == "__main__":
    sys.exit(main())
