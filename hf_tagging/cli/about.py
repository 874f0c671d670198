"""`env` and `completion`: about this installation, and for the shell."""

from __future__ import annotations

import argparse

from hf_tagging.cli.answers import Answer
from hf_tagging.cli.command import Command, add_json

# Beside those that a figure depends on.
_OPTIONAL = (
    "cleanlab",
    "gensim",
    "gradio",
    "huggingface_hub",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "rich",
    "trackio",
)
_FILES = ("FILE", "CONFIG", "DIR", "FOLDER", "TARGET", "NAME|PATH", "[RECIPE] CONFIG")


def _env(args: argparse.Namespace) -> Answer:
    from importlib import metadata

    from hf_tagging.training.environment import describe_environment, git_revision

    found = describe_environment()
    if revision := git_revision():  # of a source tree; an installed package has its version
        found["git_revision"] = revision
    for name in _OPTIONAL:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return Answer(found, lambda: print(_fenced(found)))


def _fenced(found: dict[str, object]) -> str:
    lines = [f"{name}: {_value(value)}" for name, value in found.items()]
    return "\n".join(["```text", *lines, "```"])


def _value(value: object) -> str:
    if value is None:
        return "not installed"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that it is for")


def _completion(args: argparse.Namespace) -> None:
    import shtab

    parser: argparse.ArgumentParser = args.whole
    commands = next(action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for action in (action for command in commands.values() for action in command._actions):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # how shtab is told
    print(shtab.complete(parser, shell=args.shell))


COMMANDS = (
    Command(
        name="env",
        summary="Print a block for a bug report: versions and hardware, nothing private.",
        add=add_json,
        run=_env,
        examples=("hf-tagging env", "hf-tagging env --json"),
    ),
    Command(
        name="completion",
        summary="Print a script that lets the shell complete commands, flags and files.",
        details='bash: add the line `eval "$(hf-tagging completion bash)"` to ~/.bashrc. zsh: write it to a file '
        "_hf-tagging in a folder of $fpath. fish: write it to ~/.config/fish/completions/hf-tagging.fish.",
        add=_add_completion,
        run=_completion,
        examples=("hf-tagging completion bash", "hf-tagging completion zsh > _hf-tagging"),
    ),
)
