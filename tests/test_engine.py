"""The Docker engine: found, told apart from what will not do, and described."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from pytest_ale import engine
from pytest_ale.sandbox import ProviderFault

SCRIPT = Path(__file__).parent.parent / "scripts/engines"


def connect(host: str) -> None:
    engine._connect(host, os.getpid())


def test_an_engine_that_does_not_run_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead"))
    for path in (tmp_path / "gone", tmp_path / "file/x", tmp_path / "dead"):
        with pytest.raises(ProviderFault, match=f"no Docker engine is running at unix://{path} "):
            connect(f"unix://{path}")
    dead.close()


def test_a_socket_that_we_may_not_use_is_said_with_what_to_do(tmp_path: Path) -> None:
    place = Path("/tmp") / f"ale-test-{uuid.uuid4().hex[:8]}"
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(place))
        place.chmod(0)
        code = (
            "import os; from pytest_ale import engine\n"
            "from pytest_ale.sandbox import ProviderFault\n"
            "if os.getuid() == 0: import docker; os.setuid(65534)\n"
            "try: engine.connect()\n"
            "except ProviderFault as fault: print(fault)"
        )
        env = os.environ | {"DOCKER_HOST": f"unix://{place}"}
        words = [sys.executable, "-c", code]
        said = subprocess.run(words, env=env, stdout=subprocess.PIPE, text=True).stdout
        assert said.startswith(f"no permission to use the Docker engine at unix://{place}: add ")
        assert "usermod -aG docker" in said
    finally:
        listener.close()
        place.unlink()


@pytest.mark.parametrize("host", ["tcp://1.2.3.4:2375", "ssh://me@there", "npipe://x", "nonsense"])
def test_an_engine_elsewhere_is_refused(host: str) -> None:
    with pytest.raises(ProviderFault, match=re.escape(f"the Docker engine at {host} may be on")):
        connect(host)


ANSWERS = {
    '{"ApiVersion": "1.39"}': "speaks API 1.39: at least 1.40 is needed (Docker 19.03)",
    '{"ApiVersion": "1.47", "Platform": {"Name": "Docker Desktop 4"}}': "is Docker Desktop 4, w",
    "no engine at all": "gives no answer: ",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_engine_that_will_not_do_is_refused(tmp_path: Path, answer: str) -> None:
    """No such engine can be had here: a stand-in says what one would say."""
    with socket.create_server(str(tmp_path / "s"), family=socket.AF_UNIX) as server:
        thread = threading.Thread(target=serve, args=(server, answer), daemon=True)
        thread.start()
        with pytest.raises(ProviderFault) as fault:
            connect(f"unix://{tmp_path}/s")
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert ANSWERS[answer] in str(fault.value)


def serve(server: socket.socket, answer: str) -> None:
    head = f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}"
    while True:
        try:
            with server.accept()[0] as connection:
                if connection.recv(65536):  # the first who calls only knocks
                    connection.sendall(f"{head}\r\n\r\n{answer}".encode())
        except OSError:
            return


def test_the_engine_is_found_where_the_docker_command_finds_it(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    assert engine.address(env) == "unix:///var/run/docker.sock"
    words = ["docker", "context", "create", "mine", "--docker=host=unix:///x/mine.sock"]
    if subprocess.run(words, env=os.environ | env, capture_output=True).returncode:
        pytest.skip("no docker command makes a context here")
    assert engine.address(env | {"DOCKER_CONTEXT": "mine"}) == "unix:///x/mine.sock"
    subprocess.run(["docker", "context", "use", "mine"], env=os.environ | env, check=True)
    assert engine.address(env) == "unix:///x/mine.sock"
    assert engine.address(env | {"DOCKER_HOST": "unix:///y"}) == "unix:///y"
    with pytest.raises(ProviderFault, match="the Docker context 'gone' is not known"):
        engine.address(env | {"DOCKER_CONTEXT": "gone"})


def test_an_engine_is_described_in_plain_words(docker_engine: None) -> None:
    api = engine.connect()
    described = engine.describe(api)
    assert described["engine"] and described["storage"] and described["rootless"] in ("yes", "no")
    assert engine.connect() is api


def test_the_script_says_what_it_cannot_have_and_is_content(tmp_path: Path) -> None:
    for tool in ("bash", "env", "id"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    env = {"PATH": str(tmp_path)}
    done = subprocess.run([SCRIPT], env=env, stdout=subprocess.PIPE, text=True)
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("engines: missing, and not ours to install without apt-get and root: ")
    assert "bubblewrap docker.io iptables debootstrap" in first
    assert last == "engines: no Docker engine answers, and it is not ours to start"
    assert done.returncode == 0


def test_the_script_does_nothing_where_all_is_there(docker_engine: None) -> None:
    done = subprocess.run([SCRIPT], stdout=subprocess.PIPE, text=True, timeout=60)
    assert re.search(r"^engines: Docker \d.* runs containers$", done.stdout, re.MULTILINE)
    assert not re.search("installing|starting|pulling|making", done.stdout)
    assert done.returncode == 0
