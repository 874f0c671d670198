"""Training with 1 and with 2 processes: sentences per second of all of them together.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --processes 1 2 4 --threads 4

Each number of processes is started by torchrun, with gloo between processes on the CPU and NCCL on GPUs. On a CPU the
processes share the threads that one alone has, so 1.0 is what can be hoped for; on GPUs each has one of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch
from common import (
    INTERRUPTED,
    alternate,
    column,
    describe_data,
    device_of,
    load_corpus,
    make_parser,
    missing,
    positive,
    row,
    write_result,
)
from datasets import DatasetDict
from trainers import our_trainer

from hf_tagging.console import plain_errors
from hf_tagging.errors import TaggingError


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--processes", type=positive, nargs="+", default=[1, 2], help="(1 2)")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="of a CPU, in all")
    parser.add_argument("--warm_up", type=int, default=3, help="steps that do not count (3)")
    worker = parser.add_argument_group("one of several processes")
    worker.add_argument("--worker", type=Path, metavar="FILE", help="train, and write the figures there")
    return parser.parse_args(argv)


def work(args: argparse.Namespace) -> None:
    """Trains as one process of several; the first one writes the figures of all."""
    corpus = load_corpus(args)
    with tempfile.TemporaryDirectory() as folder:
        trainer = our_trainer(
            DatasetDict(train=corpus.draw("train", args.sentences, args.seed)),
            corpus.schema,
            model=args.model,
            device=device_of(args),
            seed=args.seed,
            folder=folder,
        )
        figures = trainer.train_timed(args.warm_up)
        if trainer.is_world_process_zero():
            args.worker.write_text(json.dumps(figures), encoding="utf-8")


def start(processes: int, args: argparse.Namespace) -> dict[str, float]:
    """Runs so many processes to their end."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        command += [__file__, "--worker", str(result), "--model", args.model, "--device", device_of(args)]
        command += ["--sentences", str(args.sentences), "--seed", str(args.seed), "--warm_up", str(args.warm_up)]
        command += ["--data", args.data] if args.data else []
        threads = max(1, args.threads // processes)
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_DATASETS_CACHE": f"{folder}/cache"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise TaggingError(
                f"training with {processes} processes ended with code {done.returncode}, and said:\n{done.stderr}"
            )
        return json.loads(result.read_text(encoding="utf-8"))


def main(argv: list[str] | None = None) -> None:
    args = read_flags(argv)
    if args.worker:
        work(args)
        return
    corpus, device = load_corpus(args), device_of(args)
    enough = [n for n in args.processes if device == "cpu" or n <= torch.cuda.device_count()]
    named = {n: f"{n} process{'es' * (n > 1)}" for n in args.processes}
    figures = alternate({named[n]: partial(start, n, args) for n in enough}, args.rounds)
    least, *more = args.processes
    lines = []
    for n in more:
        names = f"training, {named[n]}", named[least]
        if least in enough and n in enough:
            speeds = (column(figures[named[m]], "sentences_per_second") for m in (n, least))
            lines.append(row(*names, *speeds))
        else:
            lines.append(missing(*names, f"not measured ({torch.cuda.device_count()} GPUs)"))
    data = describe_data(corpus, corpus.draw("train", args.sentences, args.seed))
    write_result("scaling", args, lines, figures, data=data)


if __name__ == "__main__":
    with plain_errors(interrupted=INTERRUPTED):
        main()
