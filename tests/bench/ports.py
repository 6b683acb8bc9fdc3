#!/usr/bin/env python3
"""What a published port costs: connections a second and throughput through 127.0.0.1, against the server reached directly.

Starts one sandbox with a server in it, in a network namespace of its own, and asks it through the published port, on its own address,
and, where socat is installed, through `socat TCP-LISTEN,fork`, in interleaved rounds. Needs root. A benchmark, never a test."""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SERVED, PUBLISHED, SOCAT = 8000, 18000, 18001

# Every connection begins with a letter: "e" sends it back, "s" takes all that comes and says how much it was.
SERVER = """
import socket
with socket.create_server(("0.0.0.0", %d), backlog=1024) as server:
    block = bytearray(1 << 18)
    while True:
        peer = server.accept()[0]
        with peer:
            if peer.recv(1) == b"e":
                peer.sendall(b"e")
                continue
            total = 0
            while got := peer.recv_into(block):
                total += got
            peer.sendall(b"%%d" %% total)
""" % SERVED

PROFILE = """version: 1
name: ports-bench
rootfs: {{host: ro}}
network: {{mode: bridge, ports: ["{published}:{served}"]}}
process: {{command: [python3, {server}]}}
mounts: [{{type: bind, source: {place}, target: {place}, mode: ro}}]
"""


def connections(address, seconds):
    """Connections a second, one after the other, each with one byte there and back."""
    count, end = 0, time.perf_counter() + seconds
    start = time.perf_counter()
    while time.perf_counter() < end:
        with socket.create_connection(address) as peer:
            peer.sendall(b"e")
            if peer.recv(1) != b"e":
                sys.exit(f"ports.py: no answer from {address}")
        count += 1
    return count / (time.perf_counter() - start)


def throughput(address, size):
    """Gigabytes a second into the sandbox over one connection."""
    block = bytes(1 << 18)
    with socket.create_connection(address) as peer:
        peer.sendall(b"s")
        start, sent = time.perf_counter(), 0
        while sent < size:
            peer.sendall(block)
            sent += len(block)
        peer.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: peer.recv(64), b""))
        if int(answer) != sent:
            sys.exit(f"ports.py: {sent} bytes were sent to {address}, {int(answer)} came")
        return sent / (time.perf_counter() - start) / 1e9


def wait_for(address):
    """The server has said that it is there when it takes a connection; until then nobody can be asked but it."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            with socket.create_connection(address, timeout=2) as peer:
                peer.sendall(b"e")
                if peer.recv(1) == b"e":
                    return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"ports.py: nobody answers on {address}")


def address_inside(sandbox):
    """The sandbox's own address, as it sees it."""
    listed = subprocess.run([sandbox, "exec", "ports-bench", "--", "ip", "-4", "-o", "address", "show", "dev", "eth0"], check=True,
                            capture_output=True, text=True).stdout
    return listed.split("inet ")[1].split("/")[0]


def measure(ways, options):
    figures = {name: ([], []) for name in ways}
    for _ in range(options.rounds):
        for name, address in ways.items():
            figures[name][0].append(connections(address, options.seconds))
            figures[name][1].append(throughput(address, options.size << 20))
    base = [statistics.median(part) for part in figures["direct"]]
    for name, parts in figures.items():
        rate, speed = (statistics.median(part) for part in parts)
        print(f"{name:10} {rate:8.0f} connections/s ({rate / base[0]:.2f}) {speed:6.2f} GB/s ({speed / base[1]:.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sandbox", default=os.path.join(os.path.dirname(__file__), "..", "..", "build", "sandbox"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="of connections in a round")
    parser.add_argument("--size", type=int, default=1024, help="MiB of a transfer")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("ports.py: needs root")
    if "PORTS_BENCH_INSIDE" not in os.environ:  # nobody's network is touched
        os.environ["PORTS_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    sandbox = os.path.abspath(options.sandbox)
    with tempfile.TemporaryDirectory(prefix="sandbox-ports-") as place:
        os.chmod(place, 0o755)
        server, profile = os.path.join(place, "server.py"), os.path.join(place, "ports.yaml")
        with open(server, "w", encoding="ascii") as file:
            file.write(SERVER)
        with open(profile, "w", encoding="ascii") as file:
            file.write(PROFILE.format(published=PUBLISHED, served=SERVED, server=server, place=place))
        subprocess.run([sandbox, "up", "-d", profile], check=True)
        socat = None
        try:
            inside = address_inside(sandbox)
            ways = {"direct": (inside, SERVED), "published": ("127.0.0.1", PUBLISHED)}
            if shutil.which("socat"):
                socat = subprocess.Popen(["socat", f"TCP-LISTEN:{SOCAT},bind=127.0.0.1,reuseaddr,fork,backlog=1024,nodelay",
                                          f"TCP:{inside}:{SERVED},nodelay"])
                ways["socat"] = ("127.0.0.1", SOCAT)
            else:
                print("!!! socat is not installed: left out")
            for address in ways.values():
                wait_for(address)
            measure(ways, options)
        finally:
            if socat:
                socat.kill()
                socat.wait()
            subprocess.run([sandbox, "down", "ports-bench"], check=False)


if __name__ == "__main__":
    main()
