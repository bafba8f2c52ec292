"""What the race has measured, as a page with plots; run on its own, it makes the page anew from the stored samples."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from marks import LINEAR, Mark, growth
from outcome import Entry, Outcome, fastest
from scenarios import SCENARIOS
from servers import HERE

GIB, MIB = 1024**3, 1024**2
FIRST_ONLY = "\\*"
MARKS = {scenario.key: scenario.marks for scenario in SCENARIOS}
# The scenarios whose plot stands after them, when it was drawn.
PLOTS = {"B": "small", "D": "large", "E5": "far", "G": "segments", "H2": "memory", "L3": "growth"}

HEAD = """# The race

`benches/peers/run` wrote this; [README.md](README.md) says how it is measured, and [results.json](results.json) has
every sample. Compare times within a table only: the ratios are what counts. *Ratio* is the median of the wall time over
that of the fastest peer, whether it verifies or not; *least* and *most* are the range of all rounds. CPU is the
client's own processor time in seconds, also for a GiB and for 1,000 files, and MiB are its peak memory. Every file of
everybody was compared byte for byte.
"""


def write(folder: Path, results: dict[str, Any]) -> None:
    """Writes the page and its plots into a folder."""
    outcomes = sorted((Outcome.read(stored) for stored in results["scenarios"].values()), key=order)
    plots = folder / "plots"
    try:
        from drawing import draw
    except ModuleNotFoundError as missing:
        print(f"no plots are drawn: {missing.name} is not installed")
    else:
        plots.mkdir(exist_ok=True)
        draw(outcomes, plots)
    drawn = {path.stem for path in plots.glob("*.svg")}
    (folder / "RESULTS.md").write_text(render(outcomes, results["setting"], drawn))


def order(outcome: Outcome) -> tuple[bool, str]:
    return outcome.place != "memory", outcome.key


def render(outcomes: list[Outcome], setting: dict[str, str], drawn: set[str]) -> str:
    """Makes the page; `drawn` are the names of the plots there are."""
    parts = [HEAD, "## At a glance\n", glance(outcomes), *plot("overview", drawn), *plot("overview-disk", drawn)]
    parts += [*note("overview"), "\n## Where, and who\n"]
    parts += [f"- {name}: {value}" for name, value in setting.items()]
    for outcome in outcomes:
        disk = "" if outcome.place == "memory" else f", to {outcome.place}"
        parts += [f"\n## {outcome.key}{disk}: {outcome.title}\n", section(outcome)]
        parts += note(outcome.key if not disk else f"{outcome.key}-{outcome.place}")
        if not disk:
            if outcome.key == "L3":
                parts += ["", growth_table(outcomes)]
            parts += plot(PLOTS.get(outcome.key, ""), drawn)
    return "\n".join(parts) + "\n"


def plot(name: str, drawn: set[str]) -> list[str]:
    return [f"\n![{name}](plots/{name}.svg)"] if name in drawn else []


def note(name: str) -> list[str]:
    """What somebody has written about a scenario."""
    path = HERE / "notes" / f"{name}.md"
    return ["", path.read_text().strip()] if path.exists() else []


def glance(outcomes: list[Outcome]) -> str:
    """Makes a table of the marks, and whether they are reached."""
    lines = ["| | what | mark | measured | reached |", "| --- | --- | --- | --- | --- |"]
    for outcome in outcomes:
        disk = "" if outcome.place == "memory" else f", to {outcome.place}"
        for mark in MARKS[outcome.key]:
            lines.append(f"| {outcome.key}{disk} | {outcome.title} | {' | '.join(judged(mark, outcome))} |")
    ratio = growth(outcomes)
    if ratio is not None:
        reached = "yes" if ratio <= LINEAR else "**no**"
        lines.append(f"| L | 1,000 to 100,000 files | ≤ {LINEAR:.2f} in time for a file | {ratio:.2f} | {reached} |")
    return "\n".join(lines)


def judged(mark: Mark, outcome: Outcome) -> tuple[str, str, str]:
    """A mark, what was measured, and whether that reaches it."""
    figures = 2 if mark.limit < 10 else 1
    wanted = f"≤ {mark.limit:.{figures}f}{mark.unit} {mark.what}"
    measured = mark.measured(outcome)
    if measured is None:
        return wanted, "nothing", "**no**"
    return wanted, f"{measured:.{figures}f}{mark.unit}", "yes" if measured <= mark.limit else "**no**"


def section(outcome: Outcome) -> str:
    """Makes the part about a scenario: what came of it, a table, and the command lines."""
    best = fastest(outcome.peers)
    few = any(entry.slow for entry in outcome.entries)
    rounds = f"{outcome.rounds} round{'s' if outcome.rounds > 1 else ''}"
    lines = [f"Measured on {outcome.date}, {rounds}.", ""]
    lines += [f"- {said}" for said in verdicts(outcome)]
    lines += [
        "",
        "| | verifies | rounds | wall, s | least | most | ratio | CPU, s | CPU / GiB | CPU / 1,000 | MiB |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
        *(row(entry, outcome, best) for entry in outcome.entries),
    ]
    if few:
        lines += ["", f"{FIRST_ONLY} Too slow to go on after the first round: that is its time."]
    lines += ["", "<details><summary>Command lines</summary>", "", "```sh"]
    lines += [f"# {entry.name}\n{entry.command}" for entry in outcome.entries]
    return "\n".join([*lines, "```", "", "</details>"])


def brief(outcome: Outcome) -> str:
    """Makes a line for each: what whoever waits for it wants to see."""
    best = fastest(outcome.peers)
    lines = []
    for entry in outcome.entries:
        ratio = f"{entry.wall / best.wall:8.2f}" if best and not entry.out and entry.stores else ""
        lines.append(f"{entry.name:<30} {entry.out or f'{entry.wall:9.3f} s{ratio}'}")
    return "\n".join(lines)


def row(entry: Entry, outcome: Outcome, best: Entry | None) -> str:
    name = f"**{entry.name}**" if entry.own else entry.name
    verifies = "yes" if entry.verifies else "no"
    if entry.out:
        return f"| {name} | {verifies} | | {entry.out.replace('|', '&#124;')} | | | | | | | |"
    size = outcome.count * outcome.size
    cells = [
        name,
        verifies,
        f"{len(entry.samples)}{FIRST_ONLY if entry.slow else ''}",
        f"{entry.wall:.3f}",
        f"{min(entry.walls):.3f}",
        f"{max(entry.walls):.3f}",
        f"{entry.wall / best.wall:.2f}" if best and entry.stores else "",
        f"{entry.cpu:.2f}",
        f"{entry.cpu / size * GIB:.2f}" if size >= GIB / 20 else "",
        f"{entry.cpu / outcome.count * 1000:.3f}" if outcome.count >= 1000 else "",
        f"{entry.memory / MIB:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def verdicts(outcome: Outcome) -> list[str]:
    """What a scenario says about ganymede, a sentence each."""
    said = [f"{entry.name}: {entry.out}" for entry in outcome.entries if entry.out]
    for mark in MARKS[outcome.key]:
        wanted, measured, reached = judged(mark, outcome)
        said.append(f"mark: {wanted}; measured: {measured}; reached: {reached}")
    best = fastest(outcome.peers)
    own = outcome.own
    if own and best:
        said.append(f"{own.name} : {best.name}, the fastest peer, = {own.wall / best.wall:.2f}{paired(own, best)}")
    checked = fastest([peer for peer in outcome.peers if peer.verifies])
    if own and checked and checked is not best:
        said.append(f"{own.name} : {checked.name}, the fastest that verifies, = {own.wall / checked.wall:.2f}")
    if outcome.bound:
        times = [f"{entry.name} takes {entry.wall / outcome.bound:.2f} of it" for entry in (own, best) if entry]
        said.append("; ".join([f"the servers alone make it last {outcome.bound:.3f} s", *times]))
    return said


def paired(own: Entry, other: Entry) -> str:
    """The range of the ratios within a round, which what else the machine did has less of a part in."""
    if len(own.samples) != len(other.samples) or len(own.samples) < 2:
        return ""
    ratios = [one / two for one, two in zip(own.walls, other.walls, strict=True)]
    return f" (round by round {min(ratios):.2f} to {max(ratios):.2f}, median {median(ratios):.2f})"


def growth_table(outcomes: list[Outcome]) -> str:
    """Makes a table of what a file takes in scenarios of different length."""
    steps = [outcome for outcome in outcomes if outcome.place == "memory" and outcome.key.startswith("L")]
    lines = [
        "| per 1,000 files | " + " | ".join(f"of {outcome.count:,}: wall, s | CPU, s" for outcome in steps) + " |",
        "| --- |" + " --: |" * (2 * len(steps)),
    ]
    for name in dict.fromkeys(entry.name for outcome in steps for entry in outcome.ran):
        cells = []
        for outcome in steps:
            entry = outcome.find(name)
            share = 1000 / outcome.count
            cells += [f"{entry.wall * share:.3f}", f"{entry.cpu * share:.3f}"] if entry else ["", ""]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    write(HERE, json.loads((HERE / "results.json").read_text()))
