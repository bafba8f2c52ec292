"""Compares caches: rounds of everything for each in turn, medians, and a table of ratios to nginx."""

import argparse
import resource
import signal
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from contestants import HERE, Server, Stage
from measures import Wrong, compare, files_of, large, rate, slow_clients, together

# Beside the other benchmark's, to which that has led the way.
from files import make, make_one  # noqa: E402
from setting import processor, version  # noqa: E402

MEMORY = Path("/dev/shm")
PROGRAMS = {
    "nginx": ("nginx", "-v"),
    "squid": ("squid", "-v"),
    "varnish": ("varnishd", "-V"),
    "wrk": ("wrk", "-v"),
    "curl": ("curl", "--version"),
}
MIB = 1 << 20


@dataclass(frozen=True)
class Measure:
    """What is measured, its unit, what a number of it is divided by, and whether more is better."""

    name: str
    unit: str
    scale: float
    more: bool


MEASURES = {
    "misses": Measure("misses of 16 KiB", "1/s", 1, True),
    "miss cpu": Measure("processor time of one", "µs", 1e-3, False),
    "far misses": Measure("misses of 16 KiB, origin 40 ms away", "1/s", 1, True),
    "large": Measure("a miss of 1 GiB", "MiB/s", MIB, True),
    "hits": Measure("hits of 1 KiB", "1/s", 1, True),
    "hit cpu": Measure("processor time of one", "µs", 1e-3, False),
    "hits of 1 MiB": Measure("hits of 1 MiB", "1/s", 1, True),
    "slow": Measure("memory for 1,000 slow clients", "MiB", MIB, False),
    "upstream": Measure("requests to the origin for 50 simultaneous misses", "", 1, False),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="benches/caches/run", description="Compares ganymede with other caches.")
    parser.add_argument("--small", action="store_true", help="little of everything, to see that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help="how many rounds count")
    parser.add_argument("--only", metavar="NAME", action="append", help="one cache (repeatable)")
    parser.add_argument("--ganymede", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--delay", type=Path, required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # Ended from outside, it still takes its servers and files with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    rounds = arguments.rounds or (1 if arguments.small else 7)
    with tempfile.TemporaryDirectory(prefix="ganymede-caches-", dir=MEMORY) as folder:
        results, wrong = compete(Path(folder), arguments, rounds)
    page = table(results, wrong, rounds, arguments)
    print(page)
    if not arguments.small and not arguments.only:
        (HERE / "RESULTS.md").write_text(page)
    return int("ganymede" in wrong)


def compete(work: Path, arguments: argparse.Namespace, rounds: int) -> tuple[dict, dict[str, str]]:
    work.chmod(0o755)
    files, small = work / "files", arguments.small
    files.mkdir()
    count, size = (100, 8 * MIB) if small else (1000, 1024 * MIB)
    make(files / "small", count, 16 << 10, ())
    (files / "hot").mkdir()
    (files / "counted").mkdir()
    for name, length in (("hot/k", 1 << 10), ("hot/m", MIB), ("large", size), ("counted/c", 4 * MIB)):
        make_one(files / name, length, 7, ())
    expected = dict(files_of(files))
    digests = work / "SHA256SUMS"
    digests.write_text("".join(f"{digest}  {path}\n" for path, digest in expected.items()))
    stage = Stage(work, files, arguments.ganymede, digests, arguments.delay)
    results: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    wrong: dict[str, str] = {}
    with stage.origin(), stage.distance():
        for number in range(rounds + 1):
            for name, server in stage.contestants(stage.origin_port).items():
                if name in wrong or (arguments.only and name not in arguments.only):
                    continue
                try:
                    with server:
                        seen = one(server, stage, expected, count, size, small, first=number == 0)
                    with stage.contestants(stage.far_port)[name] as far:
                        seen["far misses"], _ = rate(far, "misses.lua", "/", 1 if small else 3, str(count))
                except (Wrong, RuntimeError, OSError) as error:
                    wrong[name] = str(error)
                    print(f"{name}: {error}", flush=True)
                    continue
                # The first round warms everything up.
                if number > 0:
                    for key, value in seen.items():
                        results[name][key].append(value)
            print(f"round {number} of {rounds}", flush=True)
    return results, wrong


def one(
    server: Server, stage: Stage, expected: dict[str, str], count: int, size: int, small: bool, first: bool
) -> dict[str, float]:
    """One round of one cache, which begins empty."""
    seconds = 1 if small else 3
    seen: dict[str, float] = {}
    seen["misses"], seen["miss cpu"] = rate(server, "misses.lua", "/", seconds, str(count))
    seen["large"] = large(server, "/large", size)
    if first:
        compare(server, {f"/{path}": digest for path, digest in expected.items() if not path.startswith("counted")})
    else:
        compare(server, {f"/{path}": expected[path] for path in ("hot/k", "hot/m")})
    seen["hits"], seen["hit cpu"] = rate(server, "hits.lua", "/hot/k", seconds)
    seen["hits of 1 MiB"], _ = rate(server, "hits.lua", "/hot/m", seconds)
    seen["slow"] = slow_clients(server, "/large")
    counted = stage.work / "counted.log"
    seen["upstream"] = together(server, "/counted/c", 50, counted, expected["counted/c"])
    return seen


def table(results: dict, wrong: dict[str, str], rounds: int, arguments: argparse.Namespace) -> str:
    names = list(results)
    lines = ["# Caches, side by side", ""]
    versions = [f"ganymede {version((str(arguments.ganymede), '--version'))}"]
    versions += [f"{name} {version(command)}" for name, command in PROGRAMS.items()]
    lines += [f"{processor()}; {', '.join(versions)}. Medians of {rounds} rounds, in turn; in brackets, the ratio to nginx.", ""]
    lines += ["| | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for key, measure in MEASURES.items():
        cells = []
        for name in names:
            value = statistics.median(results[name][key])
            base = statistics.median(results["nginx"][key]) if "nginx" in results else 0
            ratio = f" ({value / base:.2f})" if base and name != "nginx" and measure.unit else ""
            number = value / measure.scale
            cells.append(f"{number:,.0f}{ratio}" if number >= 10 or number == int(number) else f"{number:.1f}{ratio}")
        title = f"{measure.name}, {measure.unit}" if measure.unit else measure.name
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += [""] + [f"{name} is disqualified: {reason}" for name, reason in wrong.items()]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
