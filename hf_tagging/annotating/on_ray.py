"""Engine of a cluster: Ray Data hands the numbers of shards to actors, each with a tagger of its own.

An actor reads the rows of its shard and writes the file itself, so rows never travel between nodes. What a lost node
had not finished, Ray gives to another actor; a file that is written twice in this way is the same file.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from hf_tagging.annotating.work import GO_ON, Job, Outcome, ShardWorker
from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.hub import first_line
from hf_tagging.problems import argument

_OUTCOME, _SHARD = "outcome", "shard"


class _Actor:
    """What Ray Data calls with batches of one shard."""

    def __init__(self, job: Job):
        self._worker = ShardWorker(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {_OUTCOME: [pickle.dumps(self._worker(int(number))) for number in batch[_SHARD]]}


def run_ray(job: Job, shards: Sequence[int], workers: int) -> Iterator[Outcome | None]:
    """Annotate shards by Ray Data.

    Args:
        job: What to do; its folders are the same on every node.
        shards: Numbers of the shards.
        workers: Number of actors.

    Yields:
        The outcome of each shard as it comes.

    Raises:
        ConfigError: Ray is not installed.
        TaggingError: Ray gives up.
    """
    ray = _ray()
    _connect(ray, job.request.ray_address)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False  # there is a line of our own
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        found = ray.data.from_items([{_SHARD: number} for number in shards], override_num_blocks=len(shards))
        on_gpu = ray.cluster_resources().get("GPU", 0) > 0 and job.request.device in (None, "cuda")
        done = found.map_batches(
            _Actor,
            fn_constructor_args=(job,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=None if on_gpu else job.threads,
            num_gpus=1 if on_gpu else None,
        )
        for row in done.iter_rows():
            yield pickle.loads(row[_OUTCOME])  # of our own actors
            yield None
    except ray.exceptions.RayError as error:
        raise TaggingError(f"Ray has given up ({first_line(error)}). {GO_ON}") from error
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    try:
        # Left without an address, Ray looks for a cluster of this machine, and finds those that are long gone.
        found = address or os.environ.get("RAY_ADDRESS") or "local"
        ray.init(address=found, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        token = " The cluster wants a token: set RAY_AUTH_MODE=token." if "Token" in str(error.__cause__) else ""
        raise ConfigError(
            f"{argument('ray_address', address or 'local')}: Ray does not answer ({first_line(error)}).{token} Its own "
            "view: ray status."
        ) from error


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what it says of lost nodes, it deals with
    try:
        import ray
        import ray.data
    except ImportError as error:
        missing = "Ray is not installed. Type: pip install 'hf-tagging[ray]', or leave it out"
        raise ConfigError(f"{argument('engine', 'ray')}: {missing}.") from error
    return ray
