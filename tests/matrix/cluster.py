"""A Slurm cluster of two nodes on this machine, with nothing outside a folder and the namespaces of whoever starts it."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time

CONFIGURATION = """ClusterName=test
SlurmctldHost=cluster(127.0.0.1)
SlurmctldPort=17000
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/slurmctld
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=0
KillWait=30
MaxArraySize=8
MessageTimeout=5
NodeName=n1 NodeHostname=cluster NodeAddr=127.0.0.1 Port=17001 CPUs=2 RealMemory=1000
NodeName=n2 NodeHostname=cluster NodeAddr=127.0.0.1 Port=17002 CPUs=2 RealMemory=1000
PartitionName=all Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""


class Failure(Exception):
    """What a test did not find as it should be."""


def eventually(what, condition, seconds=60):
    """Polls until the condition gives something, and returns it."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def enter_own_machine():
    """Executes itself again in namespaces of its own, with an empty /run, /var/log and /dev/shm. The process-id namespace takes with it whatever
    is left at the end; what waits there for orphans is not the test itself."""
    if os.environ.get("CLUSTER_INSIDE") != "1":
        os.environ["CLUSTER_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                              "--propagation", "private", sys.executable, *sys.argv])
    for place, mode in (("/run", "0755"), ("/var/log", "0755"), ("/dev/shm", "1777")):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode={mode}", "cluster", place], check=True)
    # An address besides 127.0.0.1: without one, getaddrinfo(3) takes the machine for one without IPv4 (AI_ADDRCONFIG).
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", "192.0.2.1/32", "dev", "lo"], check=True)
    subprocess.run(["hostname", "cluster"], check=True)
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        return
    while True:
        ended, status = os.wait()
        if ended == child:
            sys.exit(os.waitstatus_to_exitcode(status) & 127)


class Cluster:
    """Daemons in the foreground, each with what it says in a file of the folder."""

    def __init__(self, folder):
        self.folder = folder
        self.daemons = {}
        for name in ("slurmctld", "n1", "n2", "munge"):
            os.makedirs(f"{folder}/{name}", mode=0o755)
        with open(f"{folder}/slurm.conf", "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(folder=folder))
        with open(os.open(f"{folder}/munge/key", os.O_WRONLY | os.O_CREAT, 0o400), "wb") as file:
            file.write(os.urandom(1024))
        os.environ["SLURM_CONF"] = f"{folder}/slurm.conf"

    def start(self):
        munge = f"{self.folder}/munge"
        self.run("munged", ["munged", "--foreground", f"--socket={munge}/socket", f"--key-file={munge}/key", f"--pid-file={munge}/pid",
                            f"--log-file={munge}/log", f"--seed-file={munge}/seed"])
        eventually("munged answers", lambda: os.path.exists(f"{munge}/socket"))
        self.start_controller()
        for node in ("n1", "n2"):
            self.start_node(node)
        for node in ("n1", "n2"):
            eventually(f"{node} is idle", lambda node=node: self.state(node) == "IDLE")

    def run(self, name, words):
        with open(f"{self.folder}/{name}.output", "a", encoding="utf-8") as output:
            self.daemons[name] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)

    def start_controller(self):
        self.run("slurmctld", ["slurmctld", "-D"])
        eventually("slurmctld answers", self.answers)

    def answers(self):
        if self.daemons["slurmctld"].poll() is not None:
            raise Failure(f"slurmctld: {read(f'{self.folder}/slurmctld.output').splitlines()[-1]}")
        return subprocess.run(["scontrol", "show", "nodes"], capture_output=True, check=False).returncode == 0

    def start_node(self, node):
        self.run(node, ["slurmd", "-D", "-N", node])

    def end(self, name, number=signal.SIGTERM):
        daemon = self.daemons.pop(name)
        daemon.send_signal(number)
        daemon.wait(30)

    def stop(self):
        for name in reversed(list(self.daemons)):
            self.end(name)

    def scontrol(self, *words):
        done = subprocess.run(["scontrol", *words], capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise Failure(f"scontrol {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def state(self, node):
        return re.search(r"State=(\S+)", self.scontrol("show", "node", node)).group(1)

    def drain(self, *nodes):
        for node in nodes:
            self.scontrol("update", f"nodename={node}", "state=drain", "reason=the test's")

    def resume(self, *nodes):
        for node in nodes:
            self.scontrol("update", f"nodename={node}", "state=resume")
            eventually(f"{node} is there again", lambda node=node: self.state(node) in ("IDLE", "MIXED", "ALLOCATED"))

    def queue(self, *states):
        """The tasks that are in the queue, in these states or any."""
        done = subprocess.run(["squeue", "--noheader", "--array", "--format=%i", *(f"--states={state}" for state in states)],
                              capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.split()

    def fail(self, node):
        """As if its power failed: the daemon and everything that it started, the guardians of jobs before the jobs."""
        self.end(node, signal.SIGKILL)
        jobs = [pid for pid in processes() if node_of(pid) == node]
        for pid in {parent(pid) for pid in jobs} - {None, 0, 1} - set(jobs):
            if name_of(pid) == "slurmstepd":
                os.kill(pid, signal.SIGKILL)
        for pid in jobs:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.scontrol("update", f"nodename={node}", "state=down", "reason=the test's")

    def repair(self, node):
        self.start_node(node)
        self.resume(node)


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def node_of(pid):
    found = re.search(r"(?:^|\0)SLURMD_NODENAME=([^\0]*)", read(f"/proc/{pid}/environ"))
    return found and found.group(1)


def parent(pid):
    found = re.search(r"^PPid:\s*(\d+)$", read(f"/proc/{pid}/status"), re.MULTILINE)
    return found and int(found.group(1))


def name_of(pid):
    return read(f"/proc/{pid}/comm").strip()
