#!/usr/bin/env python3
"""What a network costs a launch: `sandbox` with a bridge against the same without, and against systemd-nspawn's bridge.

All in a network namespace of its own, in interleaved rounds, each in an order of its own. `bridge` comes to a bridge that another
sandbox uses; `bridge-first` makes the bridge and removes it again. Needs root. A benchmark, never a test."""

import argparse
import glob
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PROFILE = """version: 1
name: {name}
rootfs: {{path: {root}}}
id_map: host
network: {network}
process: {{command: [{command}]}}
"""
NETWORKS = {
    "none": "{mode: none}",
    "bridge": "{mode: bridge}",
    "bridge-plain": "{mode: bridge, bridge: {nat: false}}",
    "bridge-port": '{mode: bridge, ports: ["18000:80"]}',
    "bridge-egress": "{mode: bridge, egress: deny}",
    "bridge-first": "{mode: bridge, bridge: {name: sandbox1, subnet: 10.89.0.0/24}}",
}


def jobs_of(arguments, place):
    """By name: the command of one launch."""
    root = os.path.join(place, "root")
    for folder in ("bin", "etc", "proc", "sys", "dev", "run", "tmp", "usr", "var"):
        os.makedirs(os.path.join(root, folder))
    shutil.copy(os.path.join(arguments.build, "bench-true"), os.path.join(root, "bin/true"))
    for name in ("etc/os-release", "etc/hosts", "etc/hostname", "etc/resolv.conf"):
        open(os.path.join(root, name), "w", encoding="utf-8").close()
    jobs = {}
    sandbox = os.path.join(arguments.build, "sandbox")
    for name, network in NETWORKS.items():
        profile = os.path.join(place, name + ".yaml")
        with open(profile, "w", encoding="utf-8") as file:
            file.write(PROFILE.format(name="bench-" + name, root=root, network=network, command="/bin/true"))
        jobs[name] = [sandbox, "up", profile]
    if shutil.which("systemd-nspawn"):
        nspawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--directory", root]
        jobs["nspawn"] = nspawn + ["--private-network", "/bin/true"]
        jobs["nspawn-bridge"] = nspawn + ["--network-bridge=bench0", "/bin/true"]
        subprocess.run(["ip", "link", "add", "bench0", "type", "bridge"], check=True)
        subprocess.run(["ip", "link", "set", "bench0", "up"], check=True)
    return jobs


def netlink_calls(command):
    """System calls of the launcher on netlink sockets, by strace."""
    if not shutil.which("strace"):
        return None
    run = subprocess.run(["strace", "-yy", "-e", "trace=network,close"] + command, stderr=subprocess.PIPE, text=True, check=False)
    return sum("NETLINK:" in line or "AF_NETLINK" in line for line in run.stderr.splitlines())


def nspawn_groups():
    """systemd-nspawn leaves two control groups below the caller's own."""
    return {path for name in ("payload", "supervisor") for path in glob.glob("/sys/fs/cgroup/**/" + name, recursive=True)}


def measure(jobs, rounds):
    times = {name: [] for name in jobs}
    for _ in range(rounds):
        for name in random.sample(list(jobs), len(jobs)):
            start = time.perf_counter()
            code = subprocess.run(jobs[name], stderr=subprocess.DEVNULL, check=False).returncode
            times[name].append((time.perf_counter() - start) * 1000)
            if code != 0:
                sys.exit(f"network.py: {name} failed: {' '.join(jobs[name])}")
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--build", default=os.path.join(os.path.dirname(__file__), "../../build"))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        os.execvp("unshare", ["unshare", "--net", sys.executable, os.path.abspath(__file__), "--inside"] + sys.argv[1:])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    arguments.build = os.path.abspath(arguments.build)
    sandbox = os.path.join(arguments.build, "sandbox")
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        jobs = jobs_of(arguments, place)
        other = os.path.join(place, "other.yaml")
        with open(other, "w", encoding="utf-8") as file:
            file.write("version: 1\nname: bench-other\nrootfs: {host: ro}\nnetwork: {mode: bridge}\n"
                       "process: {command: [sleep, infinity]}\n")
        subprocess.run([sandbox, "up", "-d", other], check=True, stdout=subprocess.DEVNULL)
        before = nspawn_groups()
        try:
            times = measure(jobs, arguments.rounds)
            calls = {name: netlink_calls(jobs[name]) for name in NETWORKS}
        finally:
            subprocess.run([sandbox, "down", "bench-other"], check=True)
            for group in nspawn_groups() - before:
                os.rmdir(group)
    base = statistics.median(times["none"])
    print(f"{'job':16}{'median ms':>10}{'ratio':>8}{'added ms':>10}{'netlink calls':>15}")
    for name, all_times in times.items():
        median = statistics.median(all_times)
        print(f"{name:16}{median:10.2f}{median / base:8.2f}{median - base:10.2f}{calls.get(name) if name in calls else '-':>15}")


if __name__ == "__main__":
    main()
