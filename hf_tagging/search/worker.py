"""One process of several of a search, as `work_in_parallel` starts it: the same arguments, trials alone."""

import sys
from pathlib import Path

from hf_tagging.console import plain_errors
from hf_tagging.search.command import arguments
from hf_tagging.search.config import read_search
from hf_tagging.search.work import work


def main() -> None:
    """Train trials until there are enough."""
    args, flags = arguments(sys.argv[1:])
    work(read_search(Path(args.config), output_dir=args.output_dir, flags=flags))


if __name__ == "__main__":
    with plain_errors(interrupted=""):
        main()
