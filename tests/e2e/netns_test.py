#!/usr/bin/env python3
"""A mesh of five hosts, each in a network namespace of its own, joined by a bridge: a partition in one direction, a full one
and its end, packets that are lost, late, and out of order. Where namespaces may not be made it exits with 77, and says why.

REMORA_NETNS_SECONDS=300 goes on with partitions drawn at random (REMORA_NETNS_SEED) for so long, half of them in a slow
network.
"""

import ctypes
import fcntl
import heapq
import itertools
import json
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import threading
import time

from harness import TestCase, die_with_parent, eventually, fetch, main, metric_sum
from processes import LIBC

PATIENCE = 60
SECONDS = float(os.environ.get("REMORA_NETNS_SECONDS", "0"))
SEED = int(os.environ.get("REMORA_NETNS_SEED", "1"))
CLONE_NEWNET = 0x40000000
HOSTS = range(1, 6)
NET = "10.77.0."

CONFIG = """
[admin]
address = "{me}:9901"
[[listener]]
name = "in"
address = "{me}:8080"
[[listener.route]]
respond = {{ body = "{number}" }}
[[listener]]
name = "out"
address = "{me}:8081"
direction = "outbound"
[[listener.route]]
cluster = "orders"
[[cluster]]
name = "orders"
slow_start = "0s"
discover = {{ swim = "orders" }}
timeouts = {{ connect = "200ms" }}
[cluster.retry]
attempts = 8
on = ["connect-failure", "refused", "reset", "timeout"]
per_try_timeout = "200ms"
backoff = {{ base = "1ms" }}
budget = {{ min_per_second = 1000 }}
[cluster.breaker]
enabled = false
[mesh]
node = "n{number}"
bind = "{me}:7946"
join = ["{net}1:7946"]
[[mesh.service]]
name = "orders"
port = 8080
[mesh.protocol]
probe_interval = "200ms"
probe_timeout = "100ms"
suspicion_max_mult = 3
gossip_interval = "50ms"
reconnect_interval = "1s"
"""


def new_network():
    """Gives this process, or the child that calls it, a network namespace of its own: "", or why not."""
    return "" if LIBC.unshare(CLONE_NEWNET) == 0 else os.strerror(ctypes.get_errno())


def command(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: {done.stderr}")


class Host:
    """A namespace, as long as the process in it waits for its input to end, and the Remora in it."""

    def __init__(self, test, number):
        self.number, self.address = number, f"{NET}{number}"
        self.holder = subprocess.Popen(["cat"], stdin=subprocess.PIPE, preexec_fn=die_with_parent(new_network))
        test.addCleanup(self.close)
        outer, inner = f"out{number}", "in"
        command("ip", "link", "add", "name", outer, "type", "veth", "peer", "name", inner, "netns", str(self.holder.pid))
        command("ip", "link", "set", outer, "master", "bridge", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", inner)
        self.run("ip", "link", "set", inner, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.remora = test.remora(CONFIG.format(me=self.address, net=NET, number=number), preexec=self.enter)

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()

    def enter(self):
        file = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)
        if LIBC.setns(file, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(file)

    def run(self, *words):
        command("nsenter", "-t", str(self.holder.pid), "-n", *words)

    def silence(self, *others, change="add"):
        """From now on, or ("del") no longer, nothing of this host reaches those."""
        for other in others:
            self.run("ip", "route", change, "blackhole", f"{other.address}/32")

    def states(self):
        return {m["name"]: m["state"] for m in json.loads(self.remora.admin("/members").body)["members"]}

    def alive(self):
        return {int(name[1:]) for name, state in self.states().items() if state == "alive"}

    def found(self):
        endpoints = json.loads(self.remora.admin("/clusters").body)["clusters"][0]["endpoints"]
        return {e["address"] for e in endpoints if e["member"] == "alive"}

    def number_of(self, metric, **labels):
        return metric_sum(self.remora.metrics(), metric, **labels)

    def ask(self, times=8):
        """Who answers; every request must be answered."""
        answers = [fetch((self.address, 8081)) for _ in range(times)]
        bad = [a for a in answers if a.status != 200]
        if bad:
            raise AssertionError(f"{len(bad)} of {times} requests of n{self.number} failed, the first with {bad[0].status} {bad[0].body!r}")
        return {int(a.body) for a in answers}


def cut(few, many, change="add"):
    """Separates those from these, or ("del") joins them again."""
    for here, there in ((few, many), (many, few)):
        for host in here:
            host.silence(*there, change=change)


def prepare():
    """A bridge in a namespace of this process's own. "", or why not."""
    for tool in ("ip", "nsenter", "nft"):
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    if why := new_network():
        return f"no network namespace: {why}"
    try:
        command("ip", "link", "add", "name", "bridge", "type", "bridge")
        command("ip", "address", "add", f"{NET}254/24", "dev", "bridge")
        command("ip", "link", "set", "bridge", "up")
        command("ip", "link", "add", "name", "probe", "type", "veth", "peer", "name", "other")
        command("ip", "link", "delete", "probe")
        command("nft", "add", "table", "inet", "lossy")
    except AssertionError as error:
        return str(error)
    return ""


class SlowNetwork:
    """Another way between the hosts, beside the bridge: each has a TUN device, and a thread carries the packets, each as
    late as it draws. (Not every kernel has netem.) From now on, what they send to each other goes this way."""

    LEAST, MOST = 0.005, 0.02  # seconds, one way
    TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000

    def __init__(self, test, hosts):
        self.hosts, self.devices = hosts, {}  # the last byte of an address -> its device
        self.draw, self.stopped = random.Random(SEED), False
        test.addCleanup(self.close)
        for host in hosts:
            name = f"slow{host.number}"
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            self.devices[host.number] = device
            fcntl.ioctl(device, self.TUNSETIFF, struct.pack("16sH", name.encode(), self.IFF_TUN | self.IFF_NO_PI))
            command("ip", "link", "set", name, "netns", str(host.holder.pid))
            host.run("ip", "link", "set", name, "up")
        self.carried = 0
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()
        for host in hosts:
            for other in hosts:
                if other is not host:
                    host.run("ip", "route", "add", f"{other.address}/32", "dev", f"slow{host.number}", "src", host.address, "metric", "50")

    def carry(self):
        late, order = [], itertools.count()
        while not self.stopped:
            wait = min(max(late[0][0] - time.monotonic(), 0), 0.1) if late else 0.1
            ready, _, _ = select.select(list(self.devices.values()), [], [], wait)
            for device in ready:
                try:
                    packet = os.read(device, 65536)
                except OSError:
                    continue
                if packet[0] >> 4 == 4 and packet[19] in self.devices:  # IPv4, to one of them
                    heapq.heappush(late, (time.monotonic() + self.draw.uniform(self.LEAST, self.MOST), next(order), packet))
            while late and late[0][0] <= time.monotonic():
                packet = heapq.heappop(late)[2]
                try:
                    os.write(self.devices[packet[19]], packet)
                    self.carried += 1
                except OSError:
                    pass  # its host has gone

    def close(self):
        self.stopped = True
        if hasattr(self, "thread"):
            self.thread.join()
        for device in self.devices.values():
            os.close(device)
        self.devices = {}


class Namespaces(TestCase):
    def all_find(self, hosts, numbers):
        for host in hosts:
            eventually(lambda h=host: h.alive() == numbers and h.found() == {f"{NET}{n}:8080" for n in numbers - {h.number}},
                       f"n{host.number} finds {numbers}", PATIENCE)

    def some_probes_later(self, host, probes):
        before = host.number_of("remora_mesh_probes_total")
        eventually(lambda: host.number_of("remora_mesh_probes_total") >= before + probes, "probes", PATIENCE)

    def failures(self, hosts):
        return [h.number_of("remora_mesh_failures_total") for h in hosts]

    def lose_packets(self, hosts):
        """One of ten on its way in."""
        for host in hosts:
            host.run("nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; "
                            f"add rule inet t in ip saddr != {NET}254 numgen random mod 10 < 1 drop")

    def make_late(self, hosts):
        """None where there is no /dev/net/tun: then no packet is late, and the rest is as it is."""
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            print("no packet is late: there is no /dev/net/tun")
            return None
        slow = SlowNetwork(self, hosts)
        begun = time.monotonic()
        hosts[0].ask(1)
        self.assertGreater(time.monotonic() - begun, 2 * slow.LEAST)
        return slow

    def test_partitions_cost_no_request_and_heal(self):
        hosts = [Host(self, number) for number in HOSTS]
        everybody = set(HOSTS)
        self.all_find(hosts, everybody)
        self.assertEqual(everybody - {1}, hosts[0].ask())  # the others: a request that came back to its sidecar would be a loop
        failures = self.failures(hosts)

        # One way: n5 gets what n1 says, and its answers are lost. Others speak for it, so nobody declares anybody dead.
        hosts[4].silence(hosts[0])
        answered = hosts[0].ask()
        self.assertLessEqual({2, 3, 4}, answered)
        self.assertNotIn(5, answered)
        self.some_probes_later(hosts[0], 8)
        states = hosts[0].states()
        self.assertEqual({f"n{n}" for n in HOSTS}, {name for name, state in states.items() if state in ("alive", "suspect")})
        self.assertEqual(failures, self.failures(hosts))
        hosts[4].silence(hosts[0], change="del")

        # Both ways, between two and three: each side goes on alone.
        few, many = hosts[:2], hosts[2:]
        cut(few, many)
        self.assertEqual(({2}, {4, 5}), (few[0].ask(4), many[0].ask(4)))
        self.all_find(few, {1, 2})
        self.all_find(many, {3, 4, 5})
        self.assertEqual(({2}, {4, 5}), (few[0].ask(4), many[0].ask(4)))
        cut(few, many, change="del")
        self.all_find(hosts, everybody)
        for host in hosts:
            eventually(lambda h=host: h.ask() == everybody - {h.number}, "all are asked again", PATIENCE)

        # Packets that are late and lost are no death, and no lost request.
        slow = self.make_late(hosts)
        self.lose_packets(hosts)
        failures = self.failures(hosts)
        self.some_probes_later(hosts[0], 10)
        self.assertEqual(failures, self.failures(hosts))
        hosts[0].ask()
        if slow:
            self.assertGreater(slow.carried, 100)

    def partitions_drawn_at_random(self):
        draw = random.Random(SEED)
        hosts = [Host(self, number) for number in HOSTS]
        self.all_find(hosts, set(HOSTS))
        end, rounds, late, slow = time.monotonic() + SECONDS, 0, False, None
        while time.monotonic() < end:
            rounds += 1
            if not late and time.monotonic() > end - SECONDS / 2:
                late, slow = True, self.make_late(hosts)
            draw.shuffle(hosts)
            size = draw.choice((1, 2))
            few, many = hosts[:size], hosts[size:]
            one_way = draw.random() < 0.3
            with self.subTest(round=rounds, few=[h.number for h in few], one_way=one_way):
                if one_way:
                    for host in few:
                        host.silence(*many)
                else:
                    cut(few, many)
                for host in many + (few if size > 1 and not one_way else []):
                    host.ask()
                if not one_way:
                    self.all_find(many, {h.number for h in many})
                    self.all_find(few, {h.number for h in few})
                    many[0].ask()
                if one_way:
                    for host in few:
                        host.silence(*many, change="del")
                else:
                    cut(few, many, change="del")
                self.all_find(hosts, set(HOSTS))
        print(f"{rounds} partitions in {SECONDS:.0f} s, seed {SEED}, {slow.carried if slow else 0} packets late")

    if SECONDS:
        test_partitions_drawn_at_random = partitions_drawn_at_random


if __name__ == "__main__":
    if reason := prepare():
        print(f"skipped: {reason}")
        sys.exit(77)
    main()
