"""The Docker engine: where it is, whether it can be used, and what it is.

Knows nothing of images or sandboxes. The SDK is imported by the calls, not by the module.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ale.sandbox import ProviderFault

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["address", "connect", "describe"]

DEFAULT = "unix:///var/run/docker.sock"
OLDEST_API = (1, 40)  # Docker 19.03, of 2019
CONNECTIONS = 32  # kept open per process; the SDK's 10 would drop some under 16 threads


def connect() -> APIClient:
    """Return this process's client of the engine; threads may share it. A ProviderFault says why
    there is none."""
    return _connect(address(os.environ), os.getpid())


@cache
def _connect(host: str, _pid: int) -> APIClient:
    """A fork gets a client of its own: two processes on one connection would mix answers up."""
    try:
        from docker import APIClient
    except ImportError:
        raise ProviderFault(
            "the Python package docker is not installed: pip install 'pytest-ale[docker]'"
        ) from None
    _knock(_socket_path(host), host)
    try:
        api = APIClient(host, version="auto", max_pool_size=CONNECTIONS)
        version = api.version(api_version=False)
    except Exception as error:  # the SDK lets requests', urllib3's and its own errors through
        raise ProviderFault(f"the Docker engine at {host} gives no answer: {error}") from error
    api.trust_env = False  # proxies and netrc are not for a socket, and cost 1 ms a request
    _refuse_unfit(host, version)
    return api


def address(env: Mapping[str, str]) -> str:
    """Where the engine is, found as the docker command finds it: DOCKER_HOST, then a context."""
    if host := env.get("DOCKER_HOST", ""):
        return host
    folder = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME", "/"), ".docker"))
    name = env.get("DOCKER_CONTEXT") or _read(folder / "config.json").get("currentContext")
    if not isinstance(name, str) or name in ("", "default"):
        return DEFAULT
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = _read(folder / "contexts/meta" / digest / "meta.json")
    try:
        return str(meta["Endpoints"]["docker"]["Host"])  # type: ignore[index]
    except (KeyError, TypeError):
        raise ProviderFault(
            f"the Docker context {name!r} is not known in {folder}: see docker context ls"
        ) from None


def _read(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _socket_path(host: str) -> str:
    kind, _, path = host.partition("://")
    if kind not in ("unix", "http+unix"):
        raise ProviderFault(
            f"the Docker engine at {host} may be on another machine: it must be on this one, with"
            f" a socket such as DOCKER_HOST={DEFAULT}, since sandboxes mount sockets of this one"
        )
    return path if path.startswith("/") else f"/{path}"


def _knock(path: str, host: str) -> None:
    """Say exactly why a socket cannot be reached; the SDK would wrap it three times."""
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(10)
        try:
            knock.connect(path)
        except PermissionError:
            raise ProviderFault(
                f"no permission to use the Docker engine at {host}: add yourself to the group"
                " docker (sudo usermod -aG docker $USER) and log in again"
            ) from None
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise ProviderFault(
                f"no Docker engine is running at {host} ({error.strerror}): start it, or set"
                " DOCKER_HOST; in a clone of pytest-ale, scripts/engines installs and starts one"
            ) from None
        except OSError as error:
            raise ProviderFault(f"the Docker engine at {host} cannot be reached: {error}") from None


def _refuse_unfit(host: str, version: Mapping[str, object]) -> None:
    api = tuple(int(part) for part in str(version["ApiVersion"]).split("."))
    if api < OLDEST_API:
        raise ProviderFault(
            f"the Docker engine at {host} speaks API {version['ApiVersion']}: at least"
            f" {'.'.join(map(str, OLDEST_API))} is needed (Docker 19.03)"
        )
    platform = version.get("Platform")
    if isinstance(platform, dict) and "Desktop" in str(platform.get("Name")):
        raise ProviderFault(
            f"the Docker engine at {host} is {platform['Name']}, which runs in a machine of its"
            " own: sandboxes mount sockets of this one; install docker.io or docker-ce"
        )


@cache
def describe(api: APIClient) -> dict[str, str]:
    """What the engine is, for the record; asked once per process."""
    info = api.info()
    return {
        "engine": str(info.get("ServerVersion")),
        "api": str(api.api_version),
        "storage": str(info.get("Driver")),
        "runtime": str(info.get("DefaultRuntime")),
        "cgroup": str(info.get("CgroupVersion", "1")),
        "kernel": str(info.get("KernelVersion")),
        "rootless": "yes" if "name=rootless" in info.get("SecurityOptions", []) else "no",
    }
