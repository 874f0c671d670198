"""Search for the best arguments of a run: learning rate, sizes, dropout, anything that a tagger is trained with.

    python recipes/search.py recipes/configs/search/quickstart.yaml
    python recipes/search.py recipes/configs/search/ner_minilm_conll2003.yaml --dataset PATH --workers 2
    python recipes/search.py recipes/configs/search/quickstart.yaml --dry_run

The file is the YAML of a run with a section `search`, whose keys recipes/configs/search/quickstart.yaml explains. Every
value of the space is checked before anything is loaded. A further flag, such as --dataset, is an argument of every run.

Trials are scored on the validation split and see nothing of the test split. Those that fall behind are stopped early.
The best are trained again with further seeds, and only the winner is scored on the test split. The same command goes on
with what was interrupted; finished trials are never repeated. Several such commands, or --workers N, share one search;
with --engine ray, Ray Tune places the trials on the cores and GPUs of a machine or a cluster.

Left in the output folder: best.yaml, a run with the best values; search.html, what mattered; search.json; the study of
Optuna, study.db; trials/ and finalists/, whose runs have their models.
"""

import os
import sys

from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError
from hf_tagging.search.command import GO_ON, arguments, describe_search, require
from hf_tagging.search.config import read_search


def main() -> None:
    args, flags = arguments(sys.argv[1:], __doc__)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("Each of these processes would search alone. Start it with python, and give --workers N.")
    search = read_search(args.config, output_dir=args.output_dir, flags=flags)
    if args.dry_run:
        print(describe_search(search))
        return
    require(args.engine)
    from hf_tagging.search.finish import finish
    from hf_tagging.search.work import work, work_in_parallel

    if args.engine == "ray":
        from hf_tagging.search.ray_tune import work_with_ray

        work_with_ray(search, args.workers, sys.argv[1:])
    elif args.workers == 1:
        work(search)
    else:
        work_in_parallel(search, args.workers, sys.argv[1:])
    finish(search, parallel=args.workers)


if __name__ == "__main__":
    with plain_errors(interrupted=GO_ON):
        main()
