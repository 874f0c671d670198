"""What recipes/serving/ says to Docker: files that are there, a command line that parses, a user without rights."""

import re
import shlex
import tomllib
from pathlib import Path

import yaml

from hf_tagging.cli import make_parser
from hf_tagging.serving.limits import Limits
from hf_tagging.serving.server import TOKEN

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "recipes/serving"


def instructions():
    """The stages of the Dockerfile: instructions as (name, text), continued lines joined."""
    lines = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE)
    found = [line.partition(" ")[::2] for line in lines.replace("\\\n", " ").splitlines() if line.strip()]
    starts = [i for i, (name, _) in enumerate(found) if name == "FROM"]
    return [found[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]


def listed(stage, name):
    return [text for other, text in stage if other == name]


def test_the_stages_copy_what_is_there():
    build, final = instructions()
    sources = [source for text in listed(build, "COPY") for source in shlex.split(text)[:-1]]
    assert len(sources) >= 8
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert {"hf_tagging", "recipes", "accelerate_configs", "setup.py"} <= {*sources}  # setup.py reads these folders
    assert listed(final, "COPY") == ["--from=build /opt/venv /opt/venv"]
    assert listed(build, "FROM")[0].endswith(" AS build")


def test_the_package_is_installed_with_extras_that_it_has():
    build, _ = instructions()
    torch, package = [shlex.split(text) for text in listed(build, "RUN") if text.startswith("pip install")]
    assert torch[-1] == "torch"
    (extras,) = re.findall(r"^/src\[(.*)\]$", next(word for word in package if word.startswith("/src[")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"serve"} <= {*extras.split(",")} <= project["optional-dependencies"].keys()


def test_the_container_serves_as_a_user_without_rights():
    _, final = instructions()
    names = [name for name, _ in final]
    (user,) = listed(final, "USER")
    assert int(user) > 0
    assert names.index("USER") < names.index("ENTRYPOINT")
    (entry,), (command,) = (map(yaml.safe_load, listed(final, name)) for name in ("ENTRYPOINT", "CMD"))
    program, *words = [*entry, *command]
    args = make_parser().parse_args(words)
    assert (program, args.command.name, args.host, args.models) == (
        "hf-tagging",
        "serve",
        "0.0.0.0",
        ["/models/tagger"],
    )
    assert listed(final, "EXPOSE") == [str(args.port)]
    (check,) = listed(final, "HEALTHCHECK")
    assert f"127.0.0.1:{args.port}/ready" in check
    assert listed(final, "STOPSIGNAL") == ["SIGTERM"]


def test_the_compose_file_is_about_the_same():
    _, final = instructions()
    (service,) = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"].values()
    context = (FOLDER / service["build"]["context"]).resolve()
    assert (context, (context / service["build"]["dockerfile"]).is_file()) == (ROOT, True)
    (port,) = listed(final, "EXPOSE")
    assert service["ports"] == [f"127.0.0.1:8000:{port}"]
    assert service["environment"].keys() == {TOKEN}
    (command,) = map(yaml.safe_load, listed(final, "CMD"))
    assert service["volumes"][0].endswith(f":{command[0]}:ro")
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    limits = Limits()
    assert int(service["stop_grace_period"].rstrip("s")) > limits.drain_seconds + limits.max_seconds
