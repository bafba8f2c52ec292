"""Races `ganymede get` against other clients. `run` beside this installs them, builds it, and starts it."""

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import files
import report
from contestants import Contestant, Job
from measure import Failure, Sample, measure
from outcome import DISQUALIFIED, Entry, Outcome
from scenarios import SCENARIOS, Scenario
from servers import HERE, Servers
from setting import MISSING, setting

MEMORY = Path("/dev/shm")
SMALL_ROUNDS = 1
# Whose first turn takes longer than so many seconds goes on only if it is among so many of the fastest peers.
LONG, FASTEST = 5, 2


@dataclass
class Entrant:
    """A contestant in a scenario, and how it has done so far."""

    contestant: Contestant
    command: list[str]
    out: str | None
    first: Sample | None = None
    samples: list[Sample] = field(default_factory=list)
    slow: bool = False


def main() -> int:
    arguments = parse()
    # Ended from outside, it still takes its servers and files with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    page = arguments.built / "small" if arguments.small else HERE
    page.mkdir(exist_ok=True)
    stored = page / "results.json"
    results = begin(stored, setting(arguments.ganymede), fresh=arguments.small)
    place, folder = ("disk", arguments.disk.absolute()) if arguments.disk else ("memory", MEMORY)
    folder.mkdir(parents=True, exist_ok=True)
    won = True
    with (
        tempfile.TemporaryDirectory(prefix="ganymede-race-", dir=MEMORY) as work,
        tempfile.TemporaryDirectory(prefix="ganymede-race-", dir=folder) as target,
    ):
        # nginx gives up being root, and must still get at the files.
        Path(work).chmod(0o755)
        for scenario in chosen(arguments):
            race = Race(scenario, place, arguments, Path(work), Path(target))
            outcome = race.run(results["setting"])
            results["scenarios"][f"{place} {scenario.key}"] = asdict(outcome)
            store(stored, results)
            print(report.brief(outcome), flush=True)
            won = won and not any(entry.own and entry.disqualified for entry in outcome.entries)
    report.write(page, results)
    return int(not won)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/peers/run", description="Races ganymede against other clients.")
    parser.add_argument("scenario", nargs="*", help="A to H and L, or E1 to E5, H1, H2, L1 to L3; all, unless given")
    parser.add_argument("--small", action="store_true", help="little of everything, to see that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help="how many rounds count")
    parser.add_argument("--disk", type=Path, metavar="FOLDER", help="write to a folder there, not to memory")
    for name in ("ganymede", "delay", "built"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for key in arguments.scenario:
        if not any(selected(scenario, key) for scenario in SCENARIOS):
            parser.error(f"there is no scenario {key}")
    return arguments


def chosen(arguments: argparse.Namespace) -> list[Scenario]:
    keys = arguments.scenario
    if keys:
        scenarios = [scenario for scenario in SCENARIOS if any(selected(scenario, key) for key in keys)]
    else:
        scenarios = [scenario for scenario in SCENARIOS if scenario.disk or not arguments.disk]
    if arguments.small:
        scenarios = [reduced(scenario) for scenario in scenarios]
    if arguments.rounds:
        scenarios = [replace(scenario, rounds=arguments.rounds) for scenario in scenarios]
    return scenarios


def selected(scenario: Scenario, key: str) -> bool:
    return key.upper() in (scenario.key, scenario.key[0])


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


def store(path: Path, results: dict[str, Any]) -> None:
    """Writes a line for each scenario."""
    lines = [f"{json.dumps(name)}: {json.dumps(outcome)}" for name, outcome in sorted(results["scenarios"].items())]
    scenarios = ",\n".join(lines)
    path.write_text(f'{{"setting": {json.dumps(results["setting"])},\n"scenarios": {{\n{scenarios}\n}}}}\n')


class Race:
    """One scenario, from making its files to what came of it."""

    def __init__(self, scenario: Scenario, place: str, arguments: argparse.Namespace, work: Path, target: Path) -> None:
        self.scenario, self.place = scenario, place
        self.ganymede, self.delay = arguments.ganymede, arguments.delay
        self.area, self.source, self.home = work / scenario.key, work / "files", work / "home"
        self.target = target / "out"

    def run(self, versions: dict[str, str]) -> Outcome:
        begun = time.monotonic()
        scenario = self.scenario
        print(f"\n== {scenario.key}, to {self.place}: {scenario.title}", flush=True)
        self.area.mkdir()
        self.home.mkdir(exist_ok=True)
        try:
            listed = self.make()
            with Servers(self.area, self.source, scenario.servers, self.delay) as servers:
                bases = [servers.base(kind) for kind in scenario.servers]
                certificate = servers.certificate if bases[0].startswith("https") else None
                job = Job(
                    self.ganymede, listed, self.source, bases, self.area, self.target, scenario.connections, certificate
                )
                entrants = [self.enter(contestant, job, versions) for contestant in scenario.contestants]
                # The first round warms up, and does not count.
                for turn in range(scenario.rounds + 1):
                    self.round(entrants, turn, job, servers)
                    print(f"round {turn} of {scenario.rounds}, {time.monotonic() - begun:.0f} s", flush=True)
                servers.check()
        finally:
            shutil.rmtree(self.source, ignore_errors=True)
            shutil.rmtree(self.area)
        return self.outcome(entrants, bases)

    def make(self) -> list[files.File]:
        scenario = self.scenario
        if scenario.made:
            return files.make(self.source, scenario.count, scenario.size, scenario.algorithms)
        return [files.File(f"f{number:06}", scenario.size, {}) for number in range(scenario.count)]

    def enter(self, contestant: Contestant, job: Job, versions: dict[str, str]) -> Entrant:
        out = MISSING if versions[contestant.program] == MISSING else None
        return Entrant(contestant, contestant.command(job), out)

    def round(self, entrants: list[Entrant], turn: int, job: Job, servers: Servers) -> None:
        shift = turn % len(entrants)
        for entrant in entrants[shift:] + entrants[:shift]:
            if entrant.out or entrant.slow:
                continue
            if "mortal" in self.scenario.servers:
                servers.revive(self.scenario.size // 6)
            try:
                sample = self.turn(entrant, job)
            except Failure as failure:
                entrant.out = f"{DISQUALIFIED}: {failure}"
                continue
            if turn == 0:
                entrant.first = sample
            else:
                entrant.samples.append(sample)
        if turn == 0:
            release_slow(entrants)

    def turn(self, entrant: Entrant, job: Job) -> Sample:
        """Has a contestant fetch everything once, and compares every byte of it."""
        job.out.mkdir()
        try:
            # Nobody pays for what another has left to be written.
            os.sync()
            sample = measure(entrant.command, job.out, self.home, self.scenario.limit)
            if entrant.contestant.stores:
                files.compare(job.source, job.out, job.files)
            return sample
        finally:
            shutil.rmtree(job.out)

    def outcome(self, entrants: list[Entrant], bases: list[str]) -> Outcome:
        scenario = self.scenario
        names = {
            str(self.ganymede): "ganymede",
            sys.executable: "python",
            str(HERE / "clients"): "clients",
            str(self.area): "LISTS",
            str(self.source): "FILES",
            str(self.target): "OUT",
            **dict.fromkeys(bases, "SERVER"),
        }
        return Outcome(
            key=scenario.key,
            place=self.place,
            label=scenario.label,
            title=scenario.title,
            date=time.strftime("%Y-%m-%d", time.gmtime()),
            rounds=scenario.rounds,
            count=scenario.count,
            size=scenario.size,
            bound=scenario.bound,
            cores=os.cpu_count() or 1,
            entries=[entry(entrant, names) for entrant in entrants],
        )


def release_slow(entrants: list[Entrant]) -> None:
    """Lets those go whose turns take long and who are not among the fastest."""
    peers = [
        (entrant.first.wall, entrant)
        for entrant in entrants
        if entrant.first and entrant.contestant.stores and not entrant.contestant.own
    ]
    peers.sort(key=lambda peer: peer[0])
    for wall, entrant in peers[FASTEST:]:
        entrant.slow = wall > LONG


def entry(entrant: Entrant, names: dict[str, str]) -> Entry:
    def placeless(text: str) -> str:
        for path, name in names.items():
            text = text.replace(path, name)
        return text

    contestant = entrant.contestant
    samples = [entrant.first] if entrant.slow and entrant.first else entrant.samples
    return Entry(
        name=contestant.name,
        own=contestant.own,
        verifies=contestant.verifies,
        stores=contestant.stores,
        command=placeless(shlex.join(entrant.command)),
        out=entrant.out and placeless(entrant.out),
        slow=entrant.slow,
        samples=[] if entrant.out else samples,
    )


if __name__ == "__main__":
    sys.exit(main())
