"""Races `ganymede get` against other clients. `run` beside this installs them, builds it, and starts it."""

import argparse
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import files
import report
from contestants import GANYMEDE, GANYMEDE_DRY, Contestant, Job, Tools
from measure import Failure, Sample, measure
from scenarios import SCENARIOS, Scenario
from servers import HERE, Servers, workers

MEMORY = Path("/dev/shm")
OWN = (GANYMEDE, GANYMEDE_DRY)
SMALL_ROUNDS = 2


@dataclass
class Entrant:
    """A contestant in a scenario, and how it did."""

    contestant: Contestant
    command: list[str]
    samples: list[Sample]
    disqualified: str | None = None


def main() -> int:
    arguments = parse()
    # Ended from outside, it still takes its servers and files with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = [scenario for scenario in SCENARIOS if selected(scenario, arguments.scenario)]
    if arguments.small:
        chosen = [reduced(scenario) for scenario in chosen]
    if arguments.rounds:
        chosen = [replace(scenario, rounds=arguments.rounds) for scenario in chosen]
    tools = Tools(arguments.ganymede, arguments.python)
    place, folder = ("disk", arguments.disk.absolute()) if arguments.disk else ("memory", MEMORY)
    stored = arguments.results / ("small.json" if arguments.small else "results.json")
    results = begin(stored, setting(tools), fresh=arguments.small)
    with (
        tempfile.TemporaryDirectory(prefix="ganymede-race-", dir=MEMORY) as work,
        tempfile.TemporaryDirectory(prefix="ganymede-race-", dir=folder) as target,
    ):
        # nginx gives up being root, and must still get at the files.
        Path(work).chmod(0o755)
        for scenario in chosen:
            outcome = run(scenario, place, tools, arguments.delay, Path(work), Path(target))
            results["scenarios"][f"{place} {scenario.key}"] = outcome
            stored.write_text(json.dumps(results, indent=1))
            print(report.section(outcome), flush=True)
    if not arguments.small:
        (HERE / "RESULTS.md").write_text(report.render(results))
    entrants = [entrant for outcome in results["scenarios"].values() for entrant in outcome["entrants"]]
    return int(any(entrant["own"] and entrant["disqualified"] for entrant in entrants))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/peers/run", description="Races ganymede against other clients.")
    parser.add_argument("scenario", nargs="*", help="A to H and L, or E1, E2, H1, H2, L1 to L3; all, unless given")
    parser.add_argument("--small", action="store_true", help="little of everything, to see that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help="how many rounds count")
    parser.add_argument("--disk", type=Path, metavar="FOLDER", help="write to a folder there, not to memory")
    for name in ("ganymede", "python", "delay", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for key in arguments.scenario:
        if not any(selected(scenario, [key]) for scenario in SCENARIOS):
            parser.error(f"there is no scenario {key}")
    return arguments


def selected(scenario: Scenario, keys: list[str]) -> bool:
    return not keys or any(key.upper() in (scenario.key, scenario.key[0]) for key in keys)


def reduced(scenario: Scenario) -> Scenario:
    count, size = scenario.small
    title = f"{scenario.title} (small: {count:,} of {size:,} bytes)"
    return replace(scenario, title=title, count=count, size=size, rounds=SMALL_ROUNDS, limit=60)


def begin(stored: Path, current: dict[str, str], *, fresh: bool) -> dict[str, Any]:
    """The results so far, if they were got with the same programs on the same machine."""
    if not fresh and stored.exists():
        results: dict[str, Any] = json.loads(stored.read_text())
        if results["setting"] == current:
            return results
    return {"setting": current, "scenarios": {}}


def setting(tools: Tools) -> dict[str, str]:
    """The machine and the versions of everything."""
    commands = {
        "ganymede": [str(tools.ganymede), "--version"],
        "nginx": ["nginx", "-v"],
        "curl": ["curl", "--version"],
        "wget2": ["wget2", "--version"],
        "aria2": ["aria2c", "--version"],
        "axel": ["axel", "--version"],
        "Python": [str(tools.python), "--version"],
        "OpenSSL": ["openssl", "version"],
    }
    versions = {name: version(command) for name, command in commands.items()}
    for package in ("requests", "aiohttp"):
        said = f"from importlib.metadata import version; print(version('{package}'))"
        versions[package] = version([str(tools.python), "-c", said])
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    return {
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}",
        "workers of nginx": str(workers()),
        **versions,
    }


def version(command: list[str]) -> str:
    said = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    found = re.search(r"\d+(\.\d+)+\w*", said)
    return found.group() if found else said.splitlines()[0]


def run(scenario: Scenario, place: str, tools: Tools, delay: Path, work: Path, target: Path) -> dict[str, Any]:
    """Races one scenario."""
    print(f"\n== {scenario.key}, to {place}: {scenario.title}", flush=True)
    area, source, home, out = work / scenario.key, work / "files", work / "home", target / "out"
    area.mkdir()
    home.mkdir(exist_ok=True)
    try:
        if scenario.made:
            listed = files.make(source, scenario.count, scenario.size, scenario.algorithms)
        else:
            listed = [files.File(f"f{number:06}", scenario.size, {}) for number in range(scenario.count)]
        with Servers(area, source, delay) as servers:
            bases = [servers.base(kind) for kind in scenario.servers]
            certificate = servers.certificate if bases[0].startswith("https") else None
            job = Job(tools, listed, source, bases, area, out, scenario.connections, certificate)
            entrants = [Entrant(contestant, contestant.command(job), []) for contestant in scenario.contestants]
            # The first round warms up, and does not count.
            for turn in range(scenario.rounds + 1):
                shift = turn % len(entrants)
                for entrant in entrants[shift:] + entrants[:shift]:
                    if "mortal" in scenario.servers:
                        servers.revive(scenario.size // 6)
                    compete(entrant, job, home, scenario.limit, counts=turn > 0)
                print(f"round {turn} of {scenario.rounds}", flush=True)
    finally:
        shutil.rmtree(source, ignore_errors=True)
        shutil.rmtree(area)
    names = {
        str(tools.ganymede): "ganymede",
        str(tools.python): "python",
        str(HERE / "clients"): "clients",
        str(area): "LISTS",
        str(source): "FILES",
        str(out): "OUT",
        **dict.fromkeys(bases, "SERVER"),
    }
    return {
        "key": scenario.key,
        "place": place,
        "title": scenario.title,
        "mark": scenario.mark,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "rounds": scenario.rounds,
        "count": scenario.count,
        "size": scenario.size,
        "cores": os.cpu_count(),
        "entrants": [summary(entrant, names) for entrant in entrants],
    }


def compete(entrant: Entrant, job: Job, home: Path, limit: float, *, counts: bool) -> None:
    """Has a contestant fetch everything once, and compares every byte of it."""
    if entrant.disqualified:
        return
    job.out.mkdir()
    try:
        # Nobody pays for what another has left to be written.
        os.sync()
        sample = measure(entrant.command, job.out, home, limit)
        if entrant.contestant.stores:
            files.compare(job.source, job.out, job.files)
        if counts:
            entrant.samples.append(sample)
    except Failure as failure:
        entrant.disqualified = str(failure)
    finally:
        shutil.rmtree(job.out)


def summary(entrant: Entrant, names: dict[str, str]) -> dict[str, Any]:
    def placeless(text: str) -> str:
        for path, name in names.items():
            text = text.replace(path, name)
        return text

    return {
        "name": entrant.contestant.name,
        "own": entrant.contestant in OWN,
        "verifies": entrant.contestant.verifies,
        "stores": entrant.contestant.stores,
        "command": placeless(shlex.join(entrant.command)),
        "disqualified": entrant.disqualified and placeless(entrant.disqualified),
        "samples": [asdict(sample) for sample in entrant.samples],
    }


if __name__ == "__main__":
    sys.exit(main())
