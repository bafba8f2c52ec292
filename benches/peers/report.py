"""What a run has measured, as text."""

from statistics import median
from typing import Any

GIB, MIB = 1024**3, 1024**2

HEAD = """# The race

`benches/peers/run` wrote this; [README.md](README.md) says how it is measured. Compare times within a table only: the
ratios are what counts. In brackets is the range of all rounds. *Ratio* is the median of the wall time over that of the
fastest peer, whether it verifies or not.
"""


def render(results: dict[str, Any]) -> str:
    """Makes the page of results."""
    parts = [HEAD, "## Where, and who\n"]
    parts += [f"- {name}: {value}" for name, value in results["setting"].items()]
    for scenario in sorted(results["scenarios"].values(), key=order):
        parts.append(f"\n## {scenario['key']}, to {scenario['place']}: {scenario['title']}\n")
        parts.append(section(scenario))
    return "\n".join(parts) + "\n"


def order(scenario: dict[str, Any]) -> tuple[bool, str]:
    return scenario["place"] != "memory", scenario["key"]


def section(scenario: dict[str, Any]) -> str:
    """Makes the part about a scenario: what came of it, a table, and the command lines."""
    entrants = scenario["entrants"]
    best = fastest(peers(entrants))
    lines = [f"Mark: {scenario['mark']}. Measured on {scenario['date']}, {scenario['rounds']} rounds.", ""]
    lines += [f"- {verdict}" for verdict in verdicts(scenario)]
    lines += [
        "",
        "| | verifies | wall, s | ratio | CPU, s | CPU, s per GiB | CPU, s per 1,000 files | peak memory, MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(row(entrant, scenario, best) for entrant in entrants),
        "",
        "```sh",
        *(f"# {entrant['name']}\n{entrant['command']}" for entrant in entrants),
        "```",
    ]
    return "\n".join(lines)


def row(entrant: dict[str, Any], scenario: dict[str, Any], best: dict[str, Any] | None) -> str:
    verifies = "yes" if entrant["verifies"] else "no"
    if entrant["disqualified"]:
        return f"| {entrant['name']} | {verifies} | disqualified: {cell(entrant['disqualified'])} | | | | | |"
    walls = [sample["wall"] for sample in entrant["samples"]]
    cpu = middle(entrant, "cpu")
    size = scenario["count"] * scenario["size"]
    cells = [
        entrant["name"],
        verifies,
        f"{median(walls):.3f} ({min(walls):.3f} to {max(walls):.3f})",
        f"{median(walls) / middle(best, 'wall'):.2f}" if best and entrant["stores"] else "",
        f"{cpu:.2f}",
        f"{cpu / size * GIB:.2f}" if size >= GIB / 10 else "",
        f"{cpu / scenario['count'] * 1000:.3f}" if scenario["count"] >= 1000 else "",
        f"{middle(entrant, 'memory') / MIB:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def verdicts(scenario: dict[str, Any]) -> list[str]:
    """What a scenario says about ganymede, a sentence each."""
    entrants = scenario["entrants"]
    own = next(entrant for entrant in entrants if entrant["own"])
    out = [entrant for entrant in entrants if entrant["disqualified"]]
    said = [f"{entrant['name']} is disqualified: {entrant['disqualified']}" for entrant in out]
    if own["disqualified"]:
        return said
    wall = middle(own, "wall")
    best = fastest(peers(entrants))
    if best:
        said.append(f"{own['name']} : {best['name']}, the fastest peer = {wall / middle(best, 'wall'):.2f}")
    checked = fastest([entrant for entrant in peers(entrants) if entrant["verifies"]])
    if checked and checked is not best:
        said.append(
            f"{own['name']} : {checked['name']}, the fastest that verifies = {wall / middle(checked, 'wall'):.2f}"
        )
    for entrant in entrants:
        if not entrant["own"] and not entrant["stores"] and not entrant["disqualified"]:
            bound = middle(entrant, "cpu") / scenario["cores"]
            said.append(
                f"{own['name']} : processor time of {entrant['name']} (OpenSSL's) over {scenario['cores']} cores"
                f" = {wall / bound:.2f}"
            )
    said.append(f"peak memory of {own['name']}: {middle(own, 'memory') / MIB:.1f} MiB")
    return said


def peers(entrants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entrant for entrant in entrants if entrant["stores"] and not entrant["own"]]


def fastest(entrants: list[dict[str, Any]]) -> dict[str, Any] | None:
    ran = [entrant for entrant in entrants if not entrant["disqualified"]]
    return min(ran, key=lambda entrant: middle(entrant, "wall"), default=None)


def middle(entrant: dict[str, Any], quantity: str) -> float:
    return float(median(sample[quantity] for sample in entrant["samples"]))


def cell(text: str) -> str:
    return text.replace("|", "\\|")
