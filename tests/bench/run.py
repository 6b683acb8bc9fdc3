#!/usr/bin/env python3
"""What a launch costs: the floor, sandbox, bubblewrap and crun on the same jobs, in interleaved rounds.

Prints for each job the medians of wall time, of user and system CPU time, and the peak memory, with ratios to the
floor's medians. Needs root. A benchmark, never a test: it fails only when a launcher does not do its job."""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

CAPABILITIES = """CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP SETFCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
MKNOD AUDIT_WRITE AUDIT_READ""".split()
MASKED = """/proc/kcore /proc/keys /proc/timer_list /proc/interrupts /proc/sysrq-trigger /proc/latency_stats /proc/sched_debug
/proc/scsi /proc/acpi /sys/firmware /sys/devices/virtual/powercap""".split()
FIRST_ID = 1_000_000_000  # far above what subordinate id files hand out


class Job:
    """A row: which parts the launch has."""

    def __init__(self, name, title, seccomp=False, user=False, lowers=0, groups=False):
        self.name, self.title, self.seccomp, self.user, self.lowers, self.groups = name, title, seccomp, user, lowers, groups


JOBS = [
    Job("plain", "namespaces, read-only root, capabilities"),
    Job("cgroup", "and cgroup v1 limits: memory, processes, with a freezer and a counter of processor time", groups=True),
    Job("seccomp", "and the default seccomp filter", seccomp=True),
    Job("idmap", "and a user namespace with an id-mapped root", seccomp=True, user=True),
    Job("overlay1", "an overlay with 1 lower layer", seccomp=True, lowers=1),
    Job("overlay50", "an overlay with 50 lower layers", seccomp=True, lowers=50),
]


class Place:
    """The temporary directory: root tree, layers, filters, and what each launcher wants as its configuration."""

    def __init__(self, build, directory):
        self.build, self.path = build, directory
        self.root = os.path.join(directory, "root")
        for name in ("proc", "sys", "dev", "tmp", "etc"):
            os.makedirs(os.path.join(self.root, name))
        shutil.copy(os.path.join(build, "bench-true"), os.path.join(self.root, "true"))
        self.raw_filter = os.path.join(directory, "filter.bpf")
        self.oci_filter = os.path.join(directory, "filter.json")
        subprocess.run([os.path.join(build, "bench-filter"), self.raw_filter, self.oci_filter], check=True)
        os.chmod(directory, 0o755)

    def layers(self, count):
        """The root and above it layers with one file each; top first."""
        layers = []
        for number in range(count - 1):
            layer = os.path.join(self.path, f"layer{count}-{number}")
            if not os.path.isdir(layer):
                os.makedirs(layer)
                with open(os.path.join(layer, f"file{number}"), "w", encoding="ascii") as file:
                    file.write("layer\n")
            layers.append(layer)
        return layers + [self.root]


def floor(place, job, extra=()):
    words = [os.path.join(place.build, "bench-floor"), "-i", *extra]
    if job.seccomp:
        words += ["-s", place.raw_filter]
    if job.user:
        words += ["-U", str(FIRST_ID)]
    for group in ("memory:memory.limit_in_bytes=67108864", "pids:pids.max=512", "freezer", "cpuacct") if job.groups else ():
        if not os.path.isdir("/sys/fs/cgroup/" + group.partition(":")[0]):
            raise Missing("there is no such tree of cgroup v1: " + group)
        words += ["-g", "/sys/fs/cgroup/" + group]
    if job.lowers:
        for layer in place.layers(job.lowers):
            words += ["-l", layer]
    return lambda number: words + ["-r", place.root, "/true"]


def floor_fork(place, job):
    return floor(place, job, ("-m", "fork"))


def sandbox(place, job):
    profile = {"version": 1, "name": "bench", "process": {"command": ["/true"]}}
    if job.lowers:
        profile["rootfs"] = {"overlay": {"lower": place.layers(job.lowers), "upper": "tmpfs"}}
    else:
        profile["rootfs"] = {"path": place.root, "readonly": True}
    if job.groups:
        profile["resources"] = {"memory": {"max": "64Mi", "swap": "infinity"}, "pids": 512}
    else:
        profile["cgroup"] = {"manager": "none"}
    if not job.user:
        profile["id_map"] = "host"
    if not job.seccomp:
        profile["security"] = {"seccomp": {"profile": "none"}}
    path = os.path.join(place.path, f"bench-{job.name}.yaml")
    with open(path, "w", encoding="ascii") as file:
        json.dump(profile, file)  # JSON is YAML
    binary = os.environ.get("SANDBOX_BINARY", os.path.join(place.build, "sandbox"))
    if not os.path.exists(binary):
        raise Missing(f"{binary} is not built")
    return lambda number: [binary, "up", path]


def bubblewrap(place, job):
    if job.user or job.lowers or job.groups:
        return None  # it maps one id only, and has no overlays in Debian 12's version
    words = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup", "--die-with-parent",
             "--clearenv", "--hostname", "bench", "--ro-bind", place.root, "/", "--proc", "/proc", "--dev", "/dev"]
    words += ["--cap-drop", "ALL"]
    for name in CAPABILITIES:
        words += ["--cap-add", "CAP_" + name]
    if job.seccomp:
        # The shell opens the filter for it; its start is a part of what is measured, so it is dash with an exec.
        quoted = " ".join(words)
        return lambda number: ["/bin/sh", "-c", f"exec {quoted} --seccomp 9 /true 9<{place.raw_filter}"]
    return lambda number: words + ["/true"]


def crun_config(place, job):
    safe = ["nosuid", "noexec", "nodev"]
    namespaces = [{"type": kind} for kind in ("pid", "mount", "uts", "ipc", "network", "cgroup")]
    linux = {
        "namespaces": namespaces, "maskedPaths": MASKED, "readonlyPaths": ["/proc/sys"],
        "resources": {"devices": [{"allow": True, "access": "rwm"}]},
    }
    if job.user:
        namespaces.append({"type": "user"})
        mapping = [{"containerID": 0, "hostID": FIRST_ID, "size": 65536}]
        linux["uidMappings"] = linux["gidMappings"] = mapping
    if job.seccomp:
        with open(place.oci_filter, encoding="ascii") as file:
            linux["seccomp"] = json.load(file)
    names = ["CAP_" + name for name in CAPABILITIES]
    return {
        "ociVersion": "1.0.2", "hostname": "bench", "root": {"path": place.root, "readonly": True},
        "process": {
            "args": ["/true"], "cwd": "/", "env": [], "user": {"uid": 0, "gid": 0}, "noNewPrivileges": True,
            "capabilities": {"bounding": names, "effective": names, "permitted": names},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": safe},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": safe + ["ro"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": safe + ["mode=1777", "size=64m"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": safe},
        ],
        "linux": linux,
    }


def crun(place, job):
    if job.lowers:
        return None  # an OCI runtime is handed a mounted overlay
    if job.groups:
        return None  # its groups would be the machine's: see the design's table for what they cost it
    bundle = os.path.join(place.path, f"bundle-{job.name}")
    os.makedirs(bundle)
    with open(os.path.join(bundle, "config.json"), "w", encoding="ascii") as file:
        json.dump(crun_config(place, job), file)
    # Without cgroups: the other rows have none, and a frozen one left by somebody else would hang it.
    words = ["crun", "--root", os.path.join(place.path, "crun"), "--cgroup-manager=disabled", "run", "--bundle", bundle]
    return lambda number: words + [f"bench-{job.name}-{number}"]


class Missing(Exception):
    pass


class PureCgroups:
    """A mount namespace without the unified tree of a hybrid host, which crun refuses whether it uses cgroups or not."""

    def __init__(self):
        self.path = None
        try:
            with open("/sys/fs/cgroup/unified/cgroup.controllers", encoding="ascii") as file:
                hybrid = file.read().strip() != ""
        except OSError:
            hybrid = False
        self.holder = None
        if hybrid:
            script = "umount /sys/fs/cgroup/unified && echo ready && exec cat"
            self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if self.holder.stdout.readline() == b"ready\n":
                self.path = f"/proc/{self.holder.pid}/ns/mnt"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.holder is not None:
            self.holder.stdin.close()
            self.holder.wait()


CONTENDERS = [("floor", floor), ("floor, fork", floor_fork), ("sandbox", sandbox), ("bubblewrap", bubblewrap), ("crun", crun)]
PROGRAMS = {"bubblewrap": "bwrap", "crun": "crun"}


def measure(meter, command):
    done = subprocess.run([*meter, *command], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the meter failed: {done.stderr.strip()}")
    wall, user, system, memory, status = map(int, done.stdout.split())
    if status != 0:
        raise RuntimeError(f"exit code {status}: {done.stderr.strip()}")
    return wall / 1e6, (user + system) / 1e3, memory / 1024


def collect(place, job, rounds, only, crun_mounts, pause):
    """Samples by contender; every round runs each of them once, in an order of its own: nobody always runs after crun."""
    chance = random.Random(1)
    commands = {}
    for name, make in CONTENDERS:
        if only and name not in only and name != "floor":
            continue
        try:
            if name in PROGRAMS and shutil.which(PROGRAMS[name]) is None:
                raise Missing(f"{PROGRAMS[name]} is not installed")
            command = make(place, job)
        except Missing as reason:
            print(f"!!! {job.name}: {name} LEFT OUT: {reason}", file=sys.stderr)
            continue
        if command is not None:
            commands[name] = command
    meters = {name: [os.path.join(place.build, "bench-meter")] for name in commands}
    if "crun" in meters and crun_mounts is not None:
        meters["crun"] += ["-m", crun_mounts]
    samples = {name: [] for name in commands}
    for number in range(-2, rounds):  # two rounds to warm up
        for name in chance.sample(list(commands), len(commands)):
            time.sleep(pause)
            try:
                sample = measure(meters[name], commands[name](number + 2))
            except (RuntimeError, subprocess.TimeoutExpired) as reason:
                print(f"!!! {job.name}: {name} FAILED and is left out: {reason}", file=sys.stderr)
                del commands[name], samples[name]
                continue
            if number >= 0:
                samples[name].append(sample)
    return samples


def summary(samples):
    wall, cpu, memory = (list(column) for column in zip(*samples))
    return {"wall_ms": statistics.median(wall), "wall_min_ms": min(wall), "cpu_ms": statistics.median(cpu),
            "peak_mib": statistics.median(memory), "rounds": len(samples)}


def print_table(job, results):
    base = results.get("floor")
    print(f"\n### {job.title} (`{job.name}`)\n")
    print("| launcher | wall ms (min) | to floor | user+system ms | to floor | peak MiB |")
    print("|---|---|---|---|---|---|")
    for name, one in results.items():
        wall = f"{one['wall_ms'] / base['wall_ms']:.2f}" if base else "–"
        cpu = f"{one['cpu_ms'] / base['cpu_ms']:.2f}" if base and base["cpu_ms"] else "–"
        print(f"| {name} | {one['wall_ms']:.2f} ({one['wall_min_ms']:.2f}) | {wall} | {one['cpu_ms']:.2f} | {cpu} | {one['peak_mib']:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.path.join(os.path.dirname(__file__), "..", "..", "build"))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--jobs", default=",".join(job.name for job in JOBS), help="comma separated: %(default)s")
    parser.add_argument("--only", default="", help="launchers to compare with the floor, comma separated")
    parser.add_argument("--pause", type=float, default=0,
                        help="ms before each launch: the kernel goes on taking namespaces apart after a launcher has returned (%(default)s)")
    parser.add_argument("--json", help="write all figures to this file")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("run.py: needs root")
    chosen = options.jobs.split(",")
    unknown = set(chosen) - {job.name for job in JOBS}
    if unknown:
        sys.exit(f"run.py: no such job: {', '.join(sorted(unknown))}")
    results = {}
    with tempfile.TemporaryDirectory(prefix="sandbox-bench-") as directory, PureCgroups() as crun_mounts:
        place = Place(os.path.abspath(options.build), directory)
        for job in JOBS:
            if job.name not in chosen:
                continue
            samples = collect(place, job, options.rounds, [name for name in options.only.split(",") if name], crun_mounts.path, options.pause / 1e3)
            results[job.name] = {name: summary(list_) for name, list_ in samples.items() if list_}
            print_table(job, results[job.name])
            sys.stdout.flush()
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
