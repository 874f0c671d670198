"""Write the tables of figures in README.md and docs/ from the JSON in benchmarks/results.

    python benchmarks/render.py
    python benchmarks/render.py --page docs/benchmarks.md --results benchmarks/results

A table goes between `<!-- NAME -->` and `<!-- /NAME -->`. NAME is `benchmarks` (all lines of all benchmarks),
`highlights` (five of them), `annotate` (rounds of annotation), `serving` (servers under load) or the name of a file in
benchmarks/results/comparisons.
The rest of the page is kept, and a second call changes nothing. A benchmark that has not been measured on a kind of
device says so.

A file of benchmarks/results/comparisons has the rows of a `comparison.json`, as `recipes/compare.py` writes it, and the
`command` that produces them. `source` says where the figures come from if they were not written by that command itself.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any, TypeAlias

from common import NOT_MEASURED, RESULTS, cells

from hf_tagging import markdown
from hf_tagging.atomic import whole_file
from hf_tagging.comparison.result import short
from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError

ROOT = RESULTS.parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs/results.md", ROOT / "docs/benchmarks.md", ROOT / "docs/annotate.md",
         ROOT / "docs/serving.md")  # fmt: skip
DEVICES = {"cpu": "CPU", "cuda": "GPU"}
# Each benchmark and the kinds of devices that it is about, in the order of the table.
BENCHMARKS = {
    "training": tuple(DEVICES),
    "compact": tuple(DEVICES),
    "levers": tuple(DEVICES),
    "quality": tuple(DEVICES),
    "tagging": tuple(DEVICES),
    "annotating": ("cpu",),
    "alignment": ("cpu",),
    "loading": ("cpu",),
    "memory": tuple(DEVICES),
    "packing": tuple(DEVICES),
    "scaling": tuple(DEVICES),
    "streaming": ("cpu",),
    "small": ("cpu",),
    "rules": ("cpu",),
    "suspects": ("cpu",),
    "peers": ("cpu",),
    "serving": ("cpu",),
}
# Lines of the table that README.md repeats: benchmark, what is measured, the peer.
HIGHLIGHTS = (
    ("training", "training", "stock Trainer, batch 8"),
    ("quality", "training until the final validation F1 of the peer", "stock Trainer, first evaluation with it"),
    ("quality", "NER, test F1, 5 seeds", "stock Trainer"),
    ("tagging", "tagging", "pipeline at its default"),
    ("tagging", "tagging, exported model", "pipeline at its default"),
    ("serving", "serving, exported model, 64 clients", "FastAPI and pipeline"),
    ("memory", "memory, evaluation, 500 tags", "stock Trainer"),
)
RANDOM = "random"  # as in annotate.py
_HEADER = ("", "device", "against", "ours", "the peer's", "ratio")
_PACKAGES = ("torch", "transformers")  # the versions that are listed
Result: TypeAlias = dict[str, Any]


def read_results(folder: Path) -> dict[tuple[str, str], Result]:
    """Return the results by benchmark and device.

    Raises:
        ConfigError: If a file is not a result.
    """
    results = {}
    for path in sorted(folder.glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            results[result["benchmark"], result["device"]] = result
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}: is not a result of a benchmark ({error!r}). Move it away or run it again."
            ) from error
    return results


def describe_machine(result: Result) -> str:
    """Return the processor and the package versions of a result in a few words."""
    machine, versions = result["machine"], result["versions"]
    gpus, threads = machine["gpus"], machine["threads"]
    processor = f"{machine['processor']}, {threads} thread{'s' * (threads != 1)}"
    packages = ", ".join(f"{name} {versions[name]}" for name in _PACKAGES)
    return f"{gpus[0] if result['device'] == 'cuda' else processor}; {packages}"


def describe_run(result: Result) -> str:
    """Return the data and the number of rounds of a result in a few words."""
    arguments, data = result["arguments"], result["data"]
    rounds = f"{arguments['rounds']} rounds of " if "rounds" in arguments else ""
    return f"{result['benchmark']} ({rounds}{data['sentences']:,} sentences of {data['name']})"


def render(results: dict[tuple[str, str], Result]) -> str:
    """Return the table of all benchmarks and, below it, the machines."""
    rows: list[tuple[str, ...]] = []
    for name, devices in BENCHMARKS.items():
        for device in devices:
            result = results.get((name, device))
            lines = [cells(line) for line in result["lines"]] if result else [(name, "", "", "", NOT_MEASURED)]
            rows += [(what, DEVICES[device], *rest) for what, *rest in lines]
    machines: dict[str, list[str]] = defaultdict(list)
    for result in (results[key] for key in results if key[0] in BENCHMARKS):
        machines[f"{DEVICES[result['device']]}: {describe_machine(result)}"].append(describe_run(result))
    notes = [f"- {markdown.text(where)}: {', '.join(map(markdown.text, runs))}." for where, runs in machines.items()]
    table = _text_to_the_left(markdown.table(_HEADER, rows))
    return "\n".join([table, *(["", *notes] if notes else [])])


def render_highlights(results: dict[tuple[str, str], Result]) -> str:
    """Return the table of the lines in `HIGHLIGHTS`, measured on a CPU; a line that no result has is left out."""
    rows = [
        (what, "CPU", against, *cells(line)[2:])
        for name, what, against in HIGHLIGHTS
        for line in results.get((name, "cpu"), {"lines": []})["lines"]
        if (line["what"], line["against"]) == (what, against)
    ]
    return _text_to_the_left(markdown.table(_HEADER, rows))


def render_annotating(result: Result) -> str:
    """Return the table of rounds of annotation: F1 and words after each, at random and by suggestions."""
    ways = [name for name in result["figures"] if name != RANDOM]
    header = ["sentences", f"F1, {RANDOM}", "words"]
    for name in ways:
        header += [f"F1, by {name}", "words", "difference", "by seed"]
    rows = [_round(result["figures"], ways, number) for number in range(len(result["figures"][RANDOM][0]))]
    return markdown.table(header, rows)


def _round(figures: dict[str, list[list[dict[str, float]]]], ways: Sequence[str], number: int) -> list[str]:
    """Return a row of rounds: means over seeds, with the deviation of F1."""
    chance = [seed[number] for seed in figures[RANDOM]]
    row = [f"{chance[0]['sentences']:,}", *_mean_of_seeds(chance)]
    for name in ways:
        ours = [seed[number] for seed in figures[name]]
        apart = [one["f1"] - other["f1"] for one, other in zip(ours, chance, strict=True)]
        row += [*_mean_of_seeds(ours), f"{mean(apart):+.3f}", ", ".join(f"{difference:+.3f}" for difference in apart)]
    return row


def _mean_of_seeds(points: Sequence[dict[str, float]]) -> list[str]:
    scores = [point["f1"] for point in points]
    deviation = f" ± {stdev(scores):.3f}" if len(scores) > 1 else ""
    return [f"{mean(scores):.3f}{deviation}", f"{mean(point['words'] for point in points):,.0f}"]


def render_serving(result: Result) -> str:
    """Return the table of servers under load: medians over rounds for each number of clients."""
    header = ("server", "clients", "words a second", "p50", "p99", "refused with 429", "failed")
    rows = []
    for side, rounds in result["figures"].items():
        if isinstance(rounds, list):  # the look at the memory has no rounds
            name, _, clients = side.rpartition(", ")
            found = {figure: median(one[figure] for one in rounds) for figure in rounds[0]}
            times = (f"{found[name]:,.1f} ms" for name in ("p50_ms", "p99_ms"))
            counts = (f"{sum(one[name] for one in rounds):,.0f}" for name in ("refused", "failed"))
            rows.append((name, clients, f"{found['words_per_second']:,.0f}", *times, *counts))
    return _text_to_the_left(markdown.table(header, rows))


def render_comparison(comparison: Result) -> str:
    """Return the table of a comparison of runs: score, interval, difference from the reference, costs."""
    header = (
        "run", comparison["metric"], f"{comparison['level']:.0%} interval", f"against {comparison['reference']}", "p",
        "parameters", "training", "words/s",
    )  # fmt: skip
    return _without_empty_columns(header, [_comparison_row(row) for row in comparison["rows"]])


def _comparison_row(row: Result) -> tuple[str, ...]:
    cost = row.get("cost", {})
    deviation, difference = row.get("deviation"), row.get("difference")
    p = f"{row['p_value']:.2g}" if row.get("p_value") is not None else f"< {row.get('p_value_below', '')}"
    return (
        row["name"],
        f"{row['score']:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}"),
        "{:.4f} to {:.4f}".format(*row["interval"]),
        "" if difference is None else f"{difference:+.4f}",
        markdown.Markup(p.removesuffix("< ")),
        short(cost.get("parameters")),
        "" if cost.get("training_seconds") is None else f"{cost['training_seconds']:g} s",
        "" if cost.get("words_per_second") is None else f"{cost['words_per_second']:,.0f}",
    )


def render_runs(runs: Result) -> str:
    """Return the table of single runs and, below it, the command of each."""
    header = ("run", "task", "model", "figure", "validation", "test", "test, by seed")
    commands = list(dict.fromkeys(map(_command, runs["rows"])))
    rows = [(str(1 + commands.index(_command(row))), *_run_row(row)) for row in runs["rows"]]
    listed = [f"{number}. {command}" for number, command in enumerate(commands, 1)]
    return "\n".join([_text_to_the_left(markdown.table(header, rows)), "", "The commands of the runs:", "", *listed])


def _command(row: Result) -> str:
    part_of = row.get("part_of")
    text = f"`{row['command']}`" + "".join(f", {seed}" for seed in row["seeds"][1:])
    return text + (f" (also in `benchmarks/results/{part_of}`)" if part_of else "")


def _run_row(row: Result) -> tuple[str, ...]:
    figures = (NOT_MEASURED if row[split] is None else f"{row[split]:.4f}" for split in ("validation", "test"))
    by_seed = ", ".join(f"{figure:.4f}" for figure in row.get("test_by_seed", ()))
    return (row["task"], row["model"], row["figure"], *figures, by_seed)


def render_averaging(averaging: Result) -> str:
    """Return the table of validation F1 with averaged weights and with those of the last step."""
    rows = [[markdown.Markup(f"{r['epochs']:g}"), r["averaged"], r["last_step"]] for r in averaging["rows"]]
    return markdown.table(("epochs", "averaged weights", "weights of the last step"), rows)


def _text_to_the_left(table: str) -> str:
    return table.replace("---:", "---")


def _without_empty_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    return markdown.table([header[i] for i in kept], [[row[i] for i in kept] for row in rows])


def render_all(folder: Path) -> dict[str, str]:
    """Return every table by its name.

    Args:
        folder: `benchmarks/results`, or one like it.

    Raises:
        ConfigError: If a file in it is not a result.
    """
    results = read_results(folder)
    tables = {"benchmarks": render(results), "highlights": render_highlights(results)}
    if ("annotate", "cpu") in results:
        tables["annotate"] = render_annotating(results["annotate", "cpu"])
    tables["serving"] = render_serving(results["serving", "cpu"]) if ("serving", "cpu") in results else NOT_MEASURED
    kinds = {"runs": render_runs, "rates": render_runs, "averaging": render_averaging}
    for path in sorted(folder.glob("comparisons/*.json")):
        try:
            comparison = json.loads(path.read_text(encoding="utf-8"))
            if path.stem in kinds or "metric" in comparison:
                tables[path.stem] = kinds.get(path.stem, render_comparison)(comparison)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: is not a comparison ({error!r}). Move it away or write it again.") from error
    return tables


def put(page: str, tables: dict[str, str], path: Path) -> str:
    """Return a page with the tables between its marks.

    Args:
        page: Text of the page.
        tables: Text of each table, by name.
        path: The file of the page, for the message.

    Raises:
        ConfigError: If no table has its pair of marks in the page, or a mark is there twice or alone.
    """
    found = 0
    for name, content in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if not (page.count(begin) or page.count(end)):
            continue
        if (page.count(begin), page.count(end)) != (1, 1) or page.index(begin) > page.index(end):
            raise ConfigError(f"{path}: expected {begin} once and {end} once below it.")
        page = f"{page.partition(begin)[0]}{begin}\n{content}\n{end}{page.partition(end)[2]}"
        found += 1
    if not found:
        raise ConfigError(f"{path}: expected at least one table between <!-- NAME --> and <!-- /NAME -->.")
    return page


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shown = ", ".join(str(page.relative_to(ROOT)) for page in PAGES)
    parser.add_argument("--page", type=Path, nargs="+", default=PAGES, help=f"pages to write ({shown})")
    parser.add_argument("--results", type=Path, default=RESULTS, help="(benchmarks/results)")
    args = parser.parse_args(argv)
    for page in args.page:
        if not page.is_file():
            raise ConfigError(f"--page {page}: there is no such file.")
    tables = render_all(args.results)
    texts = {page: put(page.read_text(encoding="utf-8"), tables, page) for page in args.page}
    for page, text in texts.items():
        with whole_file(page) as file:
            file.write(text)
        print(page)


if __name__ == "__main__":
    with plain_errors(interrupted="The pages are as they were."):
        main()
