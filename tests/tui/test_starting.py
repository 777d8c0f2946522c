"""What is typed into the form for a container, the GPUs that it comes to, templates saved."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhop_tui.config.load import load_config
from gpuhop_tui.config.schema import TemplateConfig
from gpuhop_tui.containers.gpus import NodeGpu, NodeMig
from gpuhop_tui.containers.spec import Gpus, PublishedPort, from_template, parse_gpus
from gpuhop_tui.tui.starting.draft import FIELDS, Origin, gpus_text, origin_of, read, values_of
from gpuhop_tui.tui.starting.pick import Mark, marks, toggled, words
from gpuhop_tui.tui.starting.templates import save_template, template_table, with_template

GPUS = tuple(
    NodeGpu(index, f"GPU-{index:08d}", free=index > 1, memory_used_bytes=100 - index)
    for index in range(4)
)
MIG = (
    NodeGpu(0, "GPU-00000000", mig=(NodeMig("MIG-a", "3g.20gb"), NodeMig("MIG-b", "1g.5gb"))),
    NodeGpu(1, "GPU-00000001"),
)

TEMPLATE = TemplateConfig.model_validate({
    "name": "train",
    "image": "pytorch-ssh:2.8",
    "gpus": [0, 3],
    "shm_size": "2gb",
    "ports": ("2222:22", "[::1]:53:53/udp", "8888"),
    "volumes": ("/data:/mnt/data:ro", "~/my runs:/runs"),
    "env": {"HF_HOME": "/mnt/data/hf", "EMPTY": "", "EQ": "a=b c"},
    "command": ("python", "-c", "print('it is on')"),
    "entrypoint": ("tini", "--"),
    "user": "1000:1000",
    "working_dir": "/work",
    "restart": "on-failure:3",
    "ipc": "host",
    "ulimits": ("memlock=-1", "nofile=1024:4096"),
    "labels": {"team": "nlp"},
    "ssh_port": 2222,
    "forward_agent": True,
    "build": {"preset": "pytorch-ssh", "base": "debian:12"},
})  # fmt: skip


# Fields


BARE = TemplateConfig(name="bare", image="x")
ONE = TemplateConfig.model_validate({"name": "one", "image": "x", "gpus": [3]})


@pytest.mark.parametrize("template", [TEMPLATE, BARE, ONE], ids=lambda template: template.name)
def test_a_form_says_what_its_template_says(template: TemplateConfig) -> None:
    found = read(values_of(template), template.name)
    assert found.wrong == {}
    assert found.spec == from_template(template)


def test_an_empty_form_needs_an_image_and_nothing_else() -> None:
    found = read(values_of(None))
    assert list(found.wrong) == ["image"]
    assert read({"image": "busybox"}).wrong == {}
    assert not read({"image": "busybox"}).spec.gpus


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("image", "-v", "needs an image"),
        ("name", "a", "is no name"),
        ("name", "a b", "is no name"),
        ("gpus", "two", "a count"),
        ("gpus", "pick", "in the list"),
        ("shm_size", "2 gallons", "no size"),
        ("ports", "2222:22 70000:1", "NODE_PORT:CONTAINER_PORT"),
        ("volumes", "/data", "SOURCE:/TARGET"),
        ("volumes", "/a:/b\n/c:d", "'/c:d'"),
        ("env", "A=1\nB", "line 2"),
        ("command", "python -c 'print", "quotation"),
        ("working_dir", "work", "begin with /"),
        ("restart", "sometimes", "restart policy"),
        ("ulimits", "memlock", "no limit"),
        ("ssh_port", "0", "no port"),
        ("ssh_port", "²", "no port"),
    ],
)
def test_a_mistake_is_said_of_its_field_alone(field: str, text: str, words: str) -> None:
    values = values_of(TEMPLATE) | {field: text}
    found = read(values)
    assert list(found.wrong) == [field]
    assert words in found.wrong[field]
    if field != "image":
        assert found.spec.image == TEMPLATE.image  # the others are read all the same


@given(st.dictionaries(st.sampled_from([field.id for field in FIELDS]), st.text(max_size=40)))
def test_no_text_is_too_strange_to_be_read(values: dict[str, str]) -> None:
    found = read(values)
    assert set(found.wrong) <= {field.id for field in FIELDS}


def test_lists_are_read_as_people_write_them() -> None:
    spec = read({"image": "x", "ports": "2222:22, 8888", "ulimits": "a=1,b=2"}).spec
    assert spec.ports == (PublishedPort(22, 2222), PublishedPort(8888))
    assert spec.ulimits == ("a=1", "b=2")
    assert read({"image": "x", "env": "export A=1\n\n B=2"}).spec.env == {"A": "1", "B": "2"}


def test_an_image_is_built_only_where_it_is_the_templates() -> None:
    origin = origin_of(TEMPLATE)
    assert origin.build_of("pytorch-ssh:2.8") is TEMPLATE.build
    assert origin.build_of("ubuntu:24.04") is None
    assert Origin().build_of("") is None


# GPUs


@pytest.mark.parametrize(
    "gpus",
    [Gpus(), Gpus(all=True), Gpus(count=2), Gpus(ids=("3",)), Gpus(ids=("0", "3")),
     Gpus(ids=("GPU-00000003",)), Gpus(ids=("MIG-a",)), Gpus(pick=True)],
    ids=str,
)  # fmt: skip
def test_gpus_are_written_so_that_they_are_read_again(gpus: Gpus) -> None:
    assert parse_gpus(gpus_text(gpus)) == gpus


def test_marks_follow_the_choice() -> None:
    def chosen(gpus: Gpus, mark: Mark = Mark.YES) -> list[str]:
        return [identity for identity, each in marks(gpus, GPUS).items() if each is mark]

    assert chosen(Gpus()) == chosen(Gpus(pick=True)) == []
    assert chosen(Gpus(all=True)) == ["0", "1", "2", "3"]
    assert chosen(Gpus(ids=("3", "GPU-00000001"))) == ["1", "3"]
    assert chosen(Gpus(count=2), Mark.FREEST) == ["2", "3"]
    assert chosen(Gpus(count=2)) == []
    assert marks(Gpus(ids=("MIG-b",)), MIG) == {
        "0": Mark.NO, "1": Mark.NO, "MIG-a": Mark.NO, "MIG-b": Mark.YES
    }  # fmt: skip


def test_what_was_given_away_is_not_among_the_freest() -> None:
    found = marks(Gpus(count=1), GPUS, taken=[GPUS[3]])
    assert [identity for identity, mark in found.items() if mark is Mark.FREEST] == ["2"]


def test_toggling() -> None:
    assert toggled(Gpus(), "2", GPUS) == Gpus(ids=("2",))
    assert toggled(Gpus(pick=True), "2", GPUS) == Gpus(ids=("2",))
    assert toggled(Gpus(ids=("2",)), "2", GPUS) == Gpus()
    assert toggled(Gpus(ids=("2",)), "0", GPUS) == Gpus(ids=("0", "2"))
    assert toggled(Gpus(ids=("GPU-00000002",)), "2", GPUS) == Gpus()
    assert toggled(Gpus(all=True), "1", GPUS) == Gpus(ids=("0", "2", "3"))
    assert toggled(Gpus(count=2), "0", GPUS) == Gpus(ids=("0", "2", "3"))
    assert toggled(Gpus(ids=("1",)), "MIG-a", MIG) == Gpus(ids=("1", "MIG-a"))
    assert toggled(Gpus(ids=("1", "MIG-a")), "MIG-a", MIG) == Gpus(ids=("1",))


def test_what_a_choice_comes_to_is_said() -> None:
    assert (
        words(Gpus(count=2), GPUS) == "a count: the 2 freest, now 2, 3; for GPU 2 itself write 2,"
    )
    assert words(Gpus(all=True), GPUS) == "all 4 of the node"
    assert words(Gpus(), GPUS) == "a container without GPUs"
    assert words(Gpus(count=2), None) == ""


# Templates


def test_a_template_is_saved_beside_the_others_and_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '# mine\n[ui]\ntheme = "nord"\n[[templates]]\nname = "a"\nimage = "x"\n'
        '[[templates]]\nname = "b"\nimage = "y"\n'
    )
    table = template_table(from_template(TEMPLATE), "train", TEMPLATE.build)
    saved = save_template(path, table)
    assert load_config(path).templates == (*load_config(path).templates[:2], saved)
    assert from_template(saved) == from_template(TEMPLATE)
    assert saved.build == TEMPLATE.build
    changed = save_template(path, template_table(read({"image": "z"}).spec, "a", None))
    loaded = load_config(path)
    assert [(each.name, each.image) for each in loaded.templates] == [
        ("a", "z"), ("b", "y"), ("train", "pytorch-ssh:2.8")
    ]  # fmt: skip
    assert loaded.ui.theme == "nord"
    assert loaded.templates[0] == changed
    assert "# mine" in (tmp_path / "config.toml.bak").read_text()
    assert [each.image for each in with_template(loaded.templates, changed)] == [
        "z",
        "y",
        "pytorch-ssh:2.8",
    ]
