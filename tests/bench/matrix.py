#!/usr/bin/env python3
"""What a matrix costs beside its launches: N cells of /bin/true by `sandbox matrix`, against as many `sandbox up` of the same profile,
as many at a time (xargs -P). Interleaved rounds; prints the medians of wall and CPU time, the ratio of each round, and how much memory and
how many descriptors the matrix has in its course. Run as root on a quiet machine.

    sudo tests/bench/matrix.py [--build build] [--cells 1000] [--rounds 5] [--jobs 2]
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

PROFILE = """version: 1
name: bench
rootfs: {host: ro}
process: {command: [/bin/true]}
lifecycle: {timeout: 1h}
"""


def axes(cells):
    """Two axes that make so many cells, rounded up to the next square."""
    side = int(cells ** 0.5 + 0.999)
    values = ", ".join(f"v{i}" for i in range(side))
    return side * side, f"matrix:\n  a: [{values}]\n  b: [{values}]\n"


def watch(pid, samples):
    """One look at the memory of its own and the descriptors of a living process."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            memory = next(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))
        samples.append((memory, len(os.listdir(f"/proc/{pid}/fd"))))
    except (OSError, StopIteration):
        pass


def timed(argv, stdin=None, samples=None):
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, text=True)
    if stdin:
        process.stdin.write(stdin)
        process.stdin.close()
    while samples is not None and process.poll() is None:
        watch(process.pid, samples)
        time.sleep(0.1)  # between samples; nothing waits for it
    if process.wait() != 0:
        sys.exit(f"matrix.py: failed: {argv}")
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    launcher = os.path.abspath(f"{options.build}/sandbox")
    cells, matrix = axes(options.cells)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("one.yaml", PROFILE), ("many.yaml", PROFILE + matrix)):
            with open(f"{folder}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        numbers = "".join(f"{i}\n" for i in range(cells))
        ways = {
            "launches": lambda: timed(["xargs", "-P", str(options.jobs), "-I{}", launcher, "up", "--name", "bench-{}", f"{folder}/one.yaml"], numbers),
            "matrix": lambda: timed([launcher, "matrix", "-q", "-j", str(options.jobs), "--output", f"{folder}/out", f"{folder}/many.yaml"]),
        }
        figures = {name: [] for name in ways}
        for number in range(options.rounds):
            for name in sorted(ways, reverse=number % 2 == 1):
                figures[name].append(ways[name]())
        samples = []
        timed([launcher, "matrix", "-q", "-j", str(options.jobs), "--output", f"{folder}/out", f"{folder}/many.yaml"], samples=samples)
    for name, runs in figures.items():
        wall, processor = (statistics.median(column) for column in zip(*runs))
        print(f"{name:9} {cells} cells, {options.jobs} at a time: {wall:.2f} s, {1000 * wall / cells:.2f} ms each; CPU {processor:.2f} s")
    for index, what in enumerate(("wall", "CPU")):
        ratios = [m[index] / l[index] for m, l in zip(figures["matrix"], figures["launches"])]
        print(f"matrix / launches, {what}: " + " ".join(f"{ratio:.2f}" for ratio in ratios) + f", median {statistics.median(ratios):.2f}")
    later = samples[len(samples) // 10:] or samples
    print(f"matrix: memory of its own {later[0][0]} KiB at first, {later[-1][0]} at last, {max(s[0] for s in later)} at most; "
          f"descriptors {min(s[1] for s in later)} to {max(s[1] for s in later)}")


if __name__ == "__main__":
    main()
