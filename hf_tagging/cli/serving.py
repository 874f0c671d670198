"""`serve`: taggers over HTTP."""

from __future__ import annotations

import argparse
from dataclasses import fields

from hf_tagging.cli.command import Command, add_model_options
from hf_tagging.cli.quiet import quiet_libraries
from hf_tagging.inference.command import add_rules, rules_of
from hf_tagging.serving.limits import Limits


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="folder of a tagger or an export, or a name on the Hub; NAME=MODEL gives it another name. The "
        "first one is the default",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; default: 127.0.0.1, this machine only"
    )
    parser.add_argument("--port", type=int, default=8000, help="port to listen on, 0 for any free one; default: 8000")
    parser.add_argument(
        "--token_file",
        metavar="FILE",
        help="file with the token that requests must carry; default: HF_TAGGING_SERVE_TOKEN of the environment",
    )
    parser.add_argument(
        "--root_path", default="", metavar="PATH", help="prefix that a proxy removes from paths, such as /tagger"
    )
    parser.add_argument("--revision", help="branch, tag or commit of a model on the Hub")
    add_model_options(parser)
    add_rules(parser)
    parser.add_argument(
        "--precision", choices=("exact", "fast", "bfloat16"), help="of requests that ask for none; default: exact"
    )
    group = parser.add_argument_group("limits")
    for limit in fields(Limits):
        kind = float if isinstance(limit.default, float) else int
        text = f"{limit.metadata['help']}; default: {limit.default:,g}".replace("%", "%%")
        group.add_argument(f"--{limit.name}", type=kind, default=limit.default, metavar="N", help=text)


def _serve(args: argparse.Namespace) -> None:
    from hf_tagging.serving.server import serve

    quiet_libraries()
    serve(
        args.models,
        host=args.host,
        port=args.port,
        token_file=args.token_file,
        root_path=args.root_path,
        limits=Limits(**{limit.name: getattr(args, limit.name) for limit in fields(Limits)}),
        device=args.device,
        precision=args.precision,
        trust_remote_code=args.trust_remote_code,
        revision=args.revision,
        rules=rules_of(args.rules),
    )


COMMANDS = (
    Command(
        name="serve",
        summary="Serve taggers over HTTP: POST /tag, /models, /health, /ready, /metrics, and a page at /docs.",
        details="Requests that wait are tagged together. After SIGTERM, those that were accepted are answered. Needs "
        "fastapi and uvicorn: pip install 'hf-tagging[serve]'.",
        add=_add_serve,
        run=_serve,
        examples=(
            "hf-tagging serve runs/ner",
            "hf-tagging serve ner=runs/ner pos=runs/pos --port 8080",
            "hf-tagging serve runs/ner-int8 --host 0.0.0.0 --token_file token.txt --root_path /tagger",
        ),
    ),
)
