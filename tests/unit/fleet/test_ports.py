"""What listens on a node: the script's answer read, and servers recognised."""

from __future__ import annotations

import contextlib
import json
import stat
import struct
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.fleet.ports import memory
from gpuhop_tui.fleet.ports.found import Box, is_minor, listeners, read_boxes, wants_a_look_inside
from gpuhop_tui.fleet.ports.look import read, read_place, read_runtime_file
from gpuhop_tui.fleet.ports.model import Listener, Wanted
from gpuhop_tui.fleet.ports.node import Forward
from gpuhop_tui.fleet.ports.services import (
    SERVICES,
    jupyter_page,
    port_in,
    recognise,
    token_in,
    without_secrets,
)
from gpuhop_tui.fleet.state_file import StateFile
from gpuhop_tui.tui.render.ports import masked

BOX = "b" * 64
OTHER = "c" * 64


def as_in_proc(address: IPv4Address | IPv6Address, port: int) -> str:
    """As the kernel prints it: each word of four bytes in the machine's order."""
    words = struct.unpack(f">{len(address.packed) // 4}I", address.packed)
    return "".join(struct.pack("<I", word).hex().upper() for word in words) + f":{port:04X}"


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_and_port_is_read_as_it_was_written(
    address: IPv4Address | IPv6Address, port: int
) -> None:
    read_back, read_port = read_place(as_in_proc(address, port))
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert (read_back, read_port) == (mapped or address, port)


@given(st.text())
def test_any_answer_is_read_without_harm(text: str) -> None:
    seen = read(text)
    assert listeners(seen) == listeners(seen)


@given(
    st.lists(
        st.sampled_from(
            ["listen", "holds", "process", "address", "name", "uid", "jupyter", "-"]
        ).flatmap(lambda kind: st.text().map(lambda rest: f"{kind} {rest}"))
    )
)
def test_lines_of_the_right_kind_with_anything_in_them_are_read(lines: list[str]) -> None:
    listeners(read("\n".join(lines)))


@given(st.text())
def test_a_runtime_file_is_one_or_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_runtime_file(text).port, int)


def line(*words: str) -> str:
    return "\x01".join(words)


ANSWER = f"""\
uid 1000
name 1000 mira
name 0 root
listen - 0100007F:22B8 1000 11
listen - 00000000:1786 1000 12
listen - 00000000000000000000000000000000:1786 1000 13
listen - 00000000:0016 0 14
listen - 0100007F:DAAA 1000 15
listen - 00000000:22C3 0 16
listen - 0100007F:1F40 1001 17
listen {BOX} 00000000:22B8 0 21
listen {BOX} 00000000:1E84 0 22
listen {BOX} 0100007F:2694 0 23
address {BOX} 172.17.0.9
holds 100 11
holds 101 12
holds 101 13
holds 102 15
process 100 1000 - {line("/usr/bin/python3", "/usr/bin/jupyter-lab", "--no-browser")}
process 101 1000 - {line("tensorboard", "--logdir", "runs")}
process 102 1000 - {line("python", "-m", "ipykernel_launcher", "-f", "kernel-1.json")}
process 200 0 {BOX} {line("jupyter", "lab", "--ip=0.0.0.0", "--ServerApp.token=s3cret")}
process 201 0 {BOX} {line("python3", "demo.py", "gradio", "--port", "7812")}
process 300 1001 - {line("vllm", "serve", "Qwen")}
name 1001 jonas
jupyter {json.dumps({"port": 8888, "pid": 100, "base_url": "/u/", "token": "t+k", "secure": True})}
jupyter not json
"""
BOXES = (
    Box(BOX, "nb", "mira", "172.17.0.4", (("0.0.0.0", 8899, 8888),)),
    Box(OTHER, "jonas-nb", "jonas", "172.17.0.5", (("10.0.0.5", 2222, 22),), 2222),
)


def by_port(found: tuple[Listener, ...]) -> dict[int, Listener]:
    return {each.port: each for each in found}


def test_servers_of_the_node_and_of_containers_are_told_apart() -> None:
    found = listeners(read(ANSWER), BOXES)
    ports = by_port(found)
    assert sorted(ports) == [22, 2222, 6022, 7812, 8000, 8888, 8899, 55978]
    jupyter = ports[8888]
    assert (jupyter.whose, jupyter.user, jupyter.pid) == ("own", "mira", 100)
    assert (jupyter.page, jupyter.https) == ("/u/?token=t%2Bk", True)
    board = ports[6022]
    assert (board.program, board.address, board.host) == ("TensorBoard", "*", "127.0.0.1")
    published = ports[8899]  # by the engine's proxy, which is root's
    assert (published.whose, published.container, published.inside_port) == (
        "container",
        "nb",
        8888,
    )
    assert published.page == "/?token=s3cret"
    assert "s3cret" not in published.command
    inner = ports[7812]
    assert (inner.direct, inner.host, inner.program) == (True, "172.17.0.4", "Gradio")
    door = ports[2222]
    assert (door.service, door.host, door.login, door.browser) == (
        "sshd",
        "10.0.0.5",
        "root",
        False,
    )
    others = ports[8000]
    assert (others.whose, others.user, others.program) == ("other", "jonas", "vLLM")
    assert [each.port for each in found if not is_minor(each)] == [
        6022, 8888, 2222, 7812, 8899, 8000,
    ]  # fmt: skip
    assert "s3cret" not in repr(found)
    assert "t%2Bk" not in repr(found)


def test_without_an_engine_a_container_goes_by_its_address() -> None:
    ports = by_port(listeners(read(ANSWER)))
    assert (ports[7812].host, ports[7812].container) == ("172.17.0.9", "b" * 12)
    assert 9876 not in ports  # its own loopback: nothing outside reaches it


def test_what_somebody_else_has_started_tells_no_token() -> None:
    theirs = (Box(BOX, "nb", "jonas", "172.17.0.4", (("0.0.0.0", 8899, 8888),)),)
    jupyter = by_port(listeners(read(ANSWER), theirs))[8899]
    assert jupyter.page == "/"
    assert "started by jonas" in jupyter.token_missing


def test_containers_are_looked_into_for_a_token_that_is_wanted_and_ours() -> None:
    seen = read(ANSWER)
    assert wants_a_look_inside(seen, BOXES, "mira") == []  # its command line tells it
    untold = read(ANSWER.replace("--ServerApp.token=s3cret", "--no-browser"))
    assert wants_a_look_inside(untold, BOXES, "mira") == [BOX]
    assert wants_a_look_inside(untold, BOXES, "tomas") == []
    inside = {BOX: [read_runtime_file('{"port": 8888, "token": "in", "base_url": "/"}')]}
    assert by_port(listeners(untold, BOXES, inside))[8899].page == "/?token=in"
    assert by_port(listeners(untold, BOXES))[8899].token_missing


def test_the_engines_list_is_read() -> None:
    facts = {
        "Id": BOX, "Names": ["/other/alias", "/nb"], "State": "running",
        "Labels": {"gpuhop.user": "mira", "gpuhop.ssh-port": "2222"},
        "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 8888, "PublicPort": 8899, "Type": "tcp"},
            {"PrivatePort": 6006, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
        ],
        "NetworkSettings": {"Networks": {"none": None, "bridge": {"IPAddress": "172.17.0.4"}}},
    }  # fmt: skip
    [box] = read_boxes([facts, {"Id": OTHER, "State": "exited"}])
    assert box == Box(BOX, "nb", "mira", "172.17.0.4", (("0.0.0.0", 8899, 8888),), 2222)
    [bare] = read_boxes([{"Id": OTHER}])
    assert (bare.name, bare.address, bare.ssh_port) == ("c" * 12, "", None)


@pytest.mark.parametrize(
    ("command", "service", "port"),
    [
        ("/opt/conda/bin/python /opt/conda/bin/jupyter-lab --port=9000", "jupyter", 9000),
        ("jupyter notebook --NotebookApp.port 8080", "jupyter", 8080),
        ("python -m ipykernel_launcher -f jupyter/runtime/kernel.json", None, None),
        ("python /usr/bin/tensorboard --logdir runs --port 6007", "tensorboard", 6007),
        ("node /home/m/.vscode-server/cli/servers/x/server/out/server-main.js", "vscode", None),
        ("code-server --bind-addr 0.0.0.0:8443", "code-server", 8443),
        ("python ray/dashboard/dashboard.py --host=0.0.0.0 --port=8265", "ray", 8265),
        ("python -m mlflow server -p 5001", "mlflow", 5001),
        ("gunicorn -b 127.0.0.1:5000 mlflow.server:app", "mlflow", 5000),
        ("streamlit run app.py --server.port=8502", "streamlit", 8502),
        ("python -m vllm.entrypoints.openai.api_server --port 8001", "vllm", 8001),
        ("python3 -m http.server 8123", "http", 8123),
        ("/usr/sbin/sshd -D", "sshd", None),
        ("python train.py --port=70000", None, None),
        ("bash", None, None),
    ],
)
def test_servers_by_their_command_lines(
    command: str, service: str | None, port: int | None
) -> None:
    words = command.split()
    found = recognise(words)
    assert (found.id if found else None) == service
    assert port_in(words) == port


@given(st.lists(st.text()))
def test_no_command_line_is_too_strange(words: list[str]) -> None:
    recognise(words)
    without_secrets(words)
    token_in(words)
    port = port_in(words)
    assert port is None or 0 < port < 65536


@given(st.text(st.characters(categories=["L", "N"]), min_size=8))
def test_secrets_of_a_command_line_are_not_shown(secret: str) -> None:
    for given_as in (
        [f"--ServerApp.token={secret}"],
        ["--IdentityProvider.token", secret],
        [f"--password={secret}"],
        ["--api-key", secret],
    ):
        assert secret not in without_secrets(["jupyter", "lab", *given_as]).split()
        assert f"={secret}" not in without_secrets(["jupyter", "lab", *given_as])


@given(st.text(), st.text(min_size=1))
def test_a_page_masks_its_token(base: str, token: str) -> None:
    page = jupyter_page(base.partition("?")[0], token)
    assert page.startswith("/")
    assert masked(page).endswith("?token=…")


def test_ids_of_services_are_unique() -> None:
    assert len({each.id for each in SERVICES}) == len(SERVICES)


# What is kept


def test_what_is_saved_comes_back_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = StateFile("ports.json", tmp_path / "state")
    wanted = Wanted("172.17.0.4", 7860, 7861, "devbox", "Gradio", "gradio")
    memory.save("gpu-01", [wanted], file)
    memory.save("gpu-02", [], file)
    assert memory.saved("gpu-01", file) == [wanted]
    assert memory.saved("gpu-02", file) == []
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    memory.save("gpu-01", [], file)
    assert file.read() == {}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: (
    st.lists(inner) | st.dictionaries(
        st.sampled_from(["host", "port", "local_port", "container", "program", "x"]), inner
    )
)))  # fmt: skip
def test_any_entry_is_read_or_left_out(entry: object) -> None:
    found = memory._read(entry)
    assert found is None or 0 < found.local_port < 65536


@pytest.mark.parametrize("text", ["", "[]", "{", '{"gpu-01": 3}', '{"gpu-01": [{"host": "x"}]}'])
def test_a_broken_file_holds_nothing(tmp_path: Path, text: str) -> None:
    file = StateFile("ports.json", tmp_path)
    file.path.write_text(text)
    assert memory.saved("gpu-01", file) == []


def test_a_forward_finds_its_server_again() -> None:
    direct = Listener("172.17.0.9", 7860, "*", "container", container="devbox", direct=True)
    forward = Forward(Wanted("172.17.0.4", 7860, 7860, "devbox"), None)  # type: ignore[arg-type]
    assert forward.leads_to(direct)  # it was started again, and has another address
    assert not forward.leads_to(Listener("172.17.0.4", 7860, "*", "own"))
