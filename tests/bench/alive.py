#!/usr/bin/env python3
"""Many sandboxes alive at once: what each supervisor costs, and whether the next launch and `ps` get slower.

Starts COUNT sandboxes in the background and measures, interleaved with them, the launch of one more that ends at once; then `ps`
and the supervisors' memory. Needs root. A benchmark, never a test."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time


def timed(*words):
    start = time.perf_counter()
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


def memory_of(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        fields = dict(line.split(":") for line in file if ":" in line and "rollup" not in line)
    return tuple(int(fields[name].split()[0]) for name in ("Anonymous", "Pss"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sandbox", default=os.path.join(os.path.dirname(__file__), "..", "..", "build", "sandbox"))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("alive.py: needs root")
    sandbox = os.path.abspath(options.sandbox)
    with tempfile.TemporaryDirectory(prefix="sandbox-alive-") as place:
        profile = os.path.join(place, "alive.yaml")
        with open(profile, "w", encoding="ascii") as file:
            file.write("version: 1\nname: alive\nrootfs: {host: ro}\nprocess: {command: [sleep, infinity]}\n")
        launch = lambda: timed(sandbox, "up", profile, "--name", "alive-next", "--", "true")
        names = [f"alive-{number}" for number in range(options.count)]
        first = [launch() for _ in range(options.rounds)]
        try:
            started = [timed(sandbox, "up", "-d", profile, "--name", name) for name in names]
            last = [launch() for _ in range(options.rounds)]
            listed = [timed(sandbox, "ps") for _ in range(options.rounds)]
            memory = []
            for name in names:
                with open(f"/run/sandbox/{name}/status", encoding="utf-8") as file:
                    memory.append(memory_of(json.load(file)["supervisor"]))
        finally:
            subprocess.run([sandbox, "down", "--all"], check=False)
    alone, crowded = statistics.median(first), statistics.median(last)
    print(f"a launch beside none {alone:.2f} ms, beside {options.count} {crowded:.2f} ms: {crowded / alone:.2f} times")
    print(f"up -d: the first twenty {statistics.median(started[:20]):.2f} ms, the last twenty {statistics.median(started[-20:]):.2f} ms")
    print(f"ps of {options.count}: {statistics.median(listed):.1f} ms (at least {min(listed):.1f})")
    print(f"a supervisor's memory: {statistics.median(m[0] for m in memory)} KiB of its own, {statistics.median(m[1] for m in memory)} KiB PSS")


if __name__ == "__main__":
    main()
