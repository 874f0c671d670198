"""Writes the table of benchmarks in README.md from what is in benchmarks/results.

    python benchmarks/render.py
    python benchmarks/render.py --readme README.md --results benchmarks/results

The table stands between `<!-- benchmarks -->` and `<!-- /benchmarks -->`; the rest of the page stays as it is, and a
second call changes nothing. What no machine of a kind has measured says so.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from common import NOT_MEASURED, RESULTS, cells

from hf_tagging import markdown
from hf_tagging.atomic import whole_file
from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError

BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
DEVICES = {"cpu": "CPU", "cuda": "GPU"}
# Each benchmark and the kinds of devices that it is about, in the order of the table.
BENCHMARKS = {
    "training": tuple(DEVICES),
    "quality": tuple(DEVICES),
    "tagging": tuple(DEVICES),
    "alignment": ("cpu",),
    "memory": tuple(DEVICES),
    "packing": tuple(DEVICES),
    "scaling": tuple(DEVICES),
}
_PACKAGES = ("torch", "transformers")  # whose versions are said
Result = dict[str, Any]


def read_results(folder: Path) -> dict[tuple[str, str], Result]:
    """The results by benchmark and device.

    Raises:
        ConfigError: For a file that is none.
    """
    results = {}
    for path in sorted(folder.glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            results[result["benchmark"], result["device"]] = result
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}: is no result of a benchmark ({error!r}). Move it away or run it again."
            ) from error
    return results


def describe_machine(result: Result) -> str:
    """The processor that a result is of, and the versions, in a few words."""
    machine, versions = result["machine"], result["versions"]
    gpus, threads = machine["gpus"], machine["threads"]
    processor = f"{machine['processor']}, {threads} thread{'s' * (threads != 1)}"
    packages = ", ".join(f"{name} {versions[name]}" for name in _PACKAGES)
    return f"{gpus[0] if result['device'] == 'cuda' else processor}; {packages}"


def describe_run(result: Result) -> str:
    """What a result was measured on, in a few words."""
    arguments, data = result["arguments"], result["data"]
    rounds = f"{arguments['rounds']} rounds of " if "rounds" in arguments else ""
    return f"{result['benchmark']} ({rounds}{data['sentences']:,} sentences of {data['name']})"


def render(results: dict[tuple[str, str], Result]) -> str:
    """The table and, below it, the machines."""
    rows: list[tuple[str, ...]] = []
    for name, devices in BENCHMARKS.items():
        for device in devices:
            result = results.get((name, device))
            lines = [cells(line) for line in result["lines"]] if result else [(name, "", "", "", NOT_MEASURED)]
            rows += [(what, DEVICES[device], *rest) for what, *rest in lines]
    machines: dict[str, list[str]] = defaultdict(list)
    for result in results.values():
        machines[f"{DEVICES[result['device']]}: {describe_machine(result)}"].append(describe_run(result))
    notes = [f"- {markdown.text(where)}: {', '.join(map(markdown.text, runs))}." for where, runs in machines.items()]
    table = markdown.table(("", "device", "against", "ours", "the peer's", "ratio"), rows)
    return "\n".join([table, *(["", *notes] if notes else [])])


def put(page: str, content: str, path: Path) -> str:
    """A page with the content between the two marks.

    Raises:
        ConfigError: If it has not each of them once, in order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise ConfigError(f"{path}: expected a line {BEGIN} and below it a line {END}, once each, for the table.")
    return f"{before}{BEGIN}\n{content}\n{END}{after}"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readme", type=Path, default=RESULTS.parent.parent / "README.md", help="(README.md)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="(benchmarks/results)")
    args = parser.parse_args(argv)
    if not args.readme.is_file():
        raise ConfigError(f"--readme {args.readme}: there is no such file.")
    results = read_results(args.results)
    page = put(args.readme.read_text(encoding="utf-8"), render(results), args.readme)
    with whole_file(args.readme) as file:
        file.write(page)
    print(f"{len(results)} result{'s' * (len(results) != 1)} of {args.results} in {args.readme}")


if __name__ == "__main__":
    with plain_errors(interrupted="The page is as it was."):
        main()
