r"""Serve taggers by Ray Serve: replicas on one machine or on a cluster, with the requests of `hf-tagging serve`.

    python recipes/serve_ray.py --model runs/ner --replicas 2
    python recipes/serve_ray.py --model /shared/runs/ner --replicas 8 --ray_address HOST:6379 --host 0.0.0.0 \
        --token_file token.txt
    cd recipes && serve run serve_ray:app model=/shared/runs/ner replicas=8

Every replica loads the models and has a queue of its own, in which requests that wait are tagged together. Needs the
extras ray and serve. Models are read by each machine: give a folder that all of them have, or a name on the Hub. The
token that requests must carry comes from --token_file or the environment variable HF_TAGGING_SERVE_TOKEN.
"""

import argparse
import os
from typing import TypedDict

import ray
from fastapi import FastAPI
from ray import serve
from ray.serve import Application

from hf_tagging.console import plain_errors
from hf_tagging.serving.app import build_app
from hf_tagging.serving.models import load_models, named_models
from hf_tagging.serving.server import read_token, warn_if_open

ONGOING = 256  # requests that a replica holds at once, so that they can be tagged together; Ray's default is 5


class Settings(TypedDict, total=False):
    """Arguments of `app`; those of `serve run` are strings."""

    model: str
    replicas: int | str
    cpus: float | str
    gpus: float | str
    token_file: str


def app(settings: Settings) -> Application:
    """Return the application for Ray Serve.

    Args:
        settings: `model`, several with commas between them; `replicas`, `cpus` and `gpus` of each, and `token_file`,
            a file with the token that requests must carry. Default: the environment variable HF_TAGGING_SERVE_TOKEN;
            without either, none.
    """
    models, token = named_models(settings["model"].split(",")), read_token(settings.get("token_file"))

    def build() -> FastAPI:
        return build_app(load_models(models.items()), token=token)

    deployment = serve.deployment(
        name="tagger",
        num_replicas=int(settings.get("replicas", 1)),
        max_ongoing_requests=ONGOING,
        ray_actor_options={"num_cpus": float(settings.get("cpus", 1)), "num_gpus": float(settings.get("gpus", 0))},
    )
    return deployment(serve.ingress(build)()).bind()


def main() -> None:
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--model", required=True, nargs="+", help="folders of taggers, or names on the Hub; NAME=MODEL names one"
    )
    parser.add_argument("--replicas", type=int, default=1, help="processes that tag; default: 1")
    parser.add_argument("--cpus", type=float, default=1, help="cores of each replica; default: 1")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each replica; default: 0")
    parser.add_argument("--ray_address", metavar="HOST:PORT", help="cluster; default: RAY_ADDRESS, else this machine")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; default: 8000")
    parser.add_argument(
        "--token_file",
        metavar="FILE",
        help="file with the token that requests must carry; default: HF_TAGGING_SERVE_TOKEN of the environment",
    )
    args = parser.parse_args()
    settings = Settings(model=",".join(args.model), replicas=args.replicas, cpus=args.cpus, gpus=args.gpus)
    if args.token_file is not None:
        settings["token_file"] = args.token_file
    application = app(settings)
    warn_if_open(args.host, read_token(args.token_file))
    # Left without an address, Ray looks for a cluster of this machine, and finds those that are long gone.
    ray.init(address=args.ray_address or os.environ.get("RAY_ADDRESS") or "local", namespace="serve")
    serve.start(http_options={"host": args.host, "port": args.port})
    serve.run(application, blocking=True)


if __name__ == "__main__":
    with plain_errors(interrupted="The server has stopped."):
        main()
