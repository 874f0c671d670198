"""`report`, `push`, `demo`: evaluate and publish a tagger."""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_tagging.cli.answers import Answer, show_table
from hf_tagging.cli.command import Command, add_json, add_model_options
from hf_tagging.cli.quiet import quiet_libraries
from hf_tagging.console import working
from hf_tagging.errors import ConfigError


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="output folder of a run")
    parser.add_argument("--split", choices=("test", "validation"), help="default: test, else validation")
    add_model_options(parser)
    add_json(parser)


def _report(args: argparse.Namespace) -> Answer:
    from hf_tagging.publishing.report.write import write_report

    quiet_libraries()
    with working("Writing the report"):
        path = write_report(args.folder, split=args.split, device=args.device, trust_remote_code=args.trust_remote_code)
    return Answer({"report": str(path)}, lambda: print(f"Written to {path}"))


def _add_push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a run, of an export, or of any saved model")
    parser.add_argument("name", metavar="NAME", help="repository on the Hub: user/model")
    parser.add_argument("--public", action="store_true", help="make a new repository public; default: private")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to push to; default: main")
    parser.add_argument("--dry_run", action="store_true", help="list the files that would be sent, and send nothing")
    add_json(parser)


def _push(args: argparse.Namespace) -> Answer:
    from hf_tagging.publishing.hub.push import push_folder

    with working("Checking the folder" if args.dry_run else f"Pushing to {args.name}"):
        pushed = push_folder(
            args.folder, args.name, private=not args.public, revision=args.revision, dry_run=args.dry_run
        )
    data = {
        "name": pushed.name,
        "address": pushed.address,
        "private": pushed.private,
        "dry_run": args.dry_run,
        "files": [{"path": path, "bytes": size} for path, size in pushed.files.items()],
        "bytes": pushed.bytes,
    }

    def show() -> None:
        if not args.dry_run:
            print(f"Pushed {len(pushed.files)} files, {pushed.bytes:,} bytes, to {pushed.address}")
            return
        show_table(("file", "bytes"), [(path, f"{size:,}") for path, size in pushed.files.items()], right=[1])
        print(f"\n{len(pushed.files)} files, {pushed.bytes:,} bytes would go to {pushed.name}; nothing was sent.")

    return Answer(data, show)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", metavar="DIR", help="folders of taggers, or names on the Hub")
    parser.add_argument(
        "--space", type=Path, metavar="FOLDER", help="write the demo there as a Space, and start nothing"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier Space in the folder of --space")
    parser.add_argument("--host", help="address to listen on; default: 127.0.0.1, this machine only")
    parser.add_argument("--port", type=int, help="port to listen on; default: the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="create a public link through the servers of Gradio")
    parser.add_argument("--no_browser", action="store_true", help="do not open a browser")
    add_model_options(parser)


def _demo(args: argparse.Namespace) -> None:
    if args.space is not None:
        idle = [n for n in ("host", "port", "share", "no_browser", "device", "trust_remote_code") if getattr(args, n)]
        if idle:
            raise ConfigError(f"--{', --'.join(idle)}: has no effect with --space, which starts nothing. Leave it out.")
        from hf_tagging.publishing.demo.space import write_space

        written = write_space(args.models, args.space, overwrite=args.overwrite)
        print(f"Wrote {len(written)} files to {args.space}")
        return
    if args.overwrite:
        raise ConfigError("--overwrite: only with --space. Leave it out.")
    from hf_tagging.publishing.demo.app import launch_demo

    quiet_libraries()
    launch_demo(
        args.models,
        host=args.host or "127.0.0.1",
        port=args.port,
        share=args.share,
        device=args.device,
        trust_remote_code=args.trust_remote_code,
        open_browser=not args.no_browser,
    )


COMMANDS = (
    Command(
        name="report",
        summary="Write report.html into the folder of a run: scores, errors, confusion matrix, calibration.",
        add=_add_report,
        run=_report,
        examples=("hf-tagging report runs/ner", "hf-tagging report runs/ner --split validation --json"),
    ),
    Command(
        name="push",
        summary="Push a folder to the Hub: model, card, report, predictions and results.",
        details="A new repository is private unless --public is given; an existing one keeps its visibility. Files "
        "with secrets or paths of this machine are refused. The token is that of `hf auth login`, or HF_TOKEN.",
        add=_add_push,
        run=_push,
        examples=(
            "hf-tagging push runs/ner user/my-tagger --dry_run",
            "hf-tagging push runs/ner user/my-tagger",
            "hf-tagging push runs/ner user/my-tagger --public --revision v1",
        ),
    ),
    Command(
        name="demo",
        summary="Open taggers in a browser: type text, see tags and entities, compare models side by side.",
        details="Needs gradio: pip install 'hf-tagging[demo]'.",
        add=_add_demo,
        run=_demo,
        examples=(
            "hf-tagging demo runs/ner",
            "hf-tagging demo runs/ner runs/ner-2 --port 8080 --no_browser",
            "hf-tagging demo runs/ner --space my-space",
        ),
    ),
)
