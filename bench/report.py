"""What was measured, for people: printed row by row, and as `RESULTS.md`."""

import os
import platform
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from rows import IDEAL, ROWS, Row, Samples, Spread, Target

LABELS = {
    "cpu": "CPU",
    "wall": "wall",
    "bytes": "bytes",
    "p50": "p50",
    "p99": "p99",
    "wakeups_per_s": "wake-ups/s",
    "cpu_ms_per_s": "CPU ms/s",
    "setup": "set-up",
}
NS_PER_US = 1000


class Report:
    def __init__(self, *, quick: bool, skipped: dict[str, str]):
        self.quick, self.skipped = quick, skipped
        self.rows: list[tuple[Row, Samples]] = []

    def add(self, row: Row, samples: Samples) -> None:
        """Notes a row and prints it."""
        self.rows.append((row, samples))
        if self.quick:
            print(f"{row.name}: {', '.join(samples) or 'nobody is here to run it'}", flush=True)
        else:
            print("\n".join(section(row, samples)), flush=True)

    def write(self, path: Path) -> None:
        lines = [
            "# Results",
            "",
            "Written by `bench/run.py --write`; README.md beside it says what is measured, and how.",
            "",
            *machine(),
            *(f"- skipped: {engine}: {reason}" for engine, reason in self.skipped.items()),
            "",
            *summary(self.rows),
            "",
            "## Targets",
            "",
            "| row | figure | median | spread | wanted | |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for row, samples in self.rows:
            for target in row.targets:
                lines.append(f"| {row.name} | {' | '.join(verdict(target, samples))} |")
        lines += ["", "## Rows", ""]
        for row, samples in self.rows:
            lines += section(row, samples)
        path.write_text("\n".join(lines).rstrip() + "\n")


def summary(rows: list[tuple[Row, Samples]]) -> list[str]:
    """One table of all that is measured per item."""
    rows = [(row, samples) for row, samples in rows if "per item" in row.unit]
    engines = list(dict.fromkeys(name for _, samples in rows for name in samples))
    lines = ["## CPU ns per item, medians", "", f"| row | {' | '.join(engines)} |"]
    lines.append("| --- |" + " ---: |" * len(engines))
    for row, samples in rows:
        cells = [
            shown(Spread.of([sample["cpu"] for sample in samples[name]]), row.digits)[0] if name in samples else "-"
            for name in engines
        ]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return lines


def section(row: Row, samples: Samples) -> list[str]:
    """One row as Markdown: a line for each engine, then the targets."""
    against = IDEAL if IDEAL in samples and "cpu" in row.metrics else None
    heads = [f"{LABELS[metric]} | least .. most" for metric in row.metrics]
    if against:
        heads.append("share of ideal's speed | least .. most")
    columns = sum(head.count("|") + 1 for head in heads)
    lines = [f"### {row.name}", "", f"In {row.unit}.", "", f"| engine | {' | '.join(heads)} | turns |"]
    lines.append("| --- |" + " ---: |" * (columns + 1))
    for name, taken in samples.items():
        cells = []
        for metric in row.metrics:
            scale = NS_PER_US if metric.startswith("p") else 1
            cells += shown(Spread.of([sample[metric] / scale for sample in taken]), row.digits)
        if against:
            share = Target("", (name, against), lambda one, ideal: ideal["cpu"] / one["cpu"]).measure(samples)
            cells += shown(share, 2)
        lines.append(f"| {name} | {' | '.join(cells)} | {len(taken)} |")
    lines.append("")
    for target in row.targets:
        text, middle, spread, wanted, judged = verdict(target, samples)
        lines.append(f"- {text}: {middle} ({spread}), {wanted}: **{judged}**")
    return [*lines, ""]


def shown(spread: Spread, digits: int) -> list[str]:
    return [f"{spread.middle:,.{digits}f}", f"{spread.least:,.{digits}f} .. {spread.most:,.{digits}f}"]


def verdict(target: Target, samples: Samples) -> list[str]:
    """Text, median, spread, what is wanted, and whether it was reached."""
    at_least = target.at_least is not None
    wanted = f"at least {target.at_least}" if at_least else f"at most {target.at_most}"
    wanted = f"wished for {wanted}" if target.is_wish else f"target {wanted}"
    spread = target.measure(samples)
    if spread is None:
        return [target.text, "-", "-", wanted, "not measured"]
    judged = "reached" if target.is_met_by(spread.middle) else "not reached"
    return [target.text, *shown(spread, target.digits), wanted, judged]


def version(program: str) -> str:
    """The first line of what it says about itself."""
    if shutil.which(program) is None:
        return f"no {program}"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return said.partition("\n")[0]


def timely_version() -> str:
    lock = (Path(__file__).parent / "timely" / "Cargo.lock").read_text()
    return lock.split('name = "timely"\nversion = "')[1].partition('"')[0]


def machine() -> list[str]:
    """Where and when."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line for line in lines if "model name" in line), ": a CPU without a name")
    system = " ".join([platform.system(), platform.release().split("-")[0], *platform.libc_ver()])
    today = datetime.now(timezone.utc)
    return [
        f"- {today:%Y-%m-%d}, {cpu.split(':')[1].strip()}, {os.cpu_count()} CPUs, {system}",
        f"- {platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}",
        f"- the engine, ideal and the C programs: {version('cc')}; timely {timely_version()}: {version('rustc')}",
        f"- load average at the end: {os.getloadavg()[0]:.1f} (each measurement makes about 1)",
    ]


assert len({row.name for row in ROWS}) == len(ROWS), "a row is chosen by its name"
