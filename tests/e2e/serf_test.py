#!/usr/bin/env python3
"""Membership against the real Serf: three agents and three members of ours in one pool, in the clear and encrypted."""

import base64
import os
import re
import signal
import socket
import subprocess

from harness import TestCase, die_with_parent, end_process, eventually, main
from processes import Lines

MEMBER = os.environ.get("SWIM_MEMBER", "")
KEY = bytes(range(32))
PATIENCE = 90  # of the longest: a suspicion that nobody confirms, on a machine that is busy


def free_port(address):
    """A port that is free for both UDP and TCP; the peers want to be told one."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind((address, 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


class Process:
    def __init__(self, name, address, command, **options):
        self.name, self.address = name, address
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        preexec_fn=die_with_parent(), **options)
        self.lines = Lines(self.process.stdout)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        end_process(self.process)
        self.lines.thread.join(PATIENCE)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)


class Agent(Process):
    """Serf's own agent."""

    def __init__(self, name, address, key):
        self.port, rpc = free_port(address), free_port(address)
        self.rpc = f"{address}:{rpc}"
        encrypt = ["-encrypt", base64.b64encode(key).decode()] if key else []
        super().__init__(name, address, ["serf", "agent", "-node", name, "-bind", f"{address}:{self.port}", "-rpc-addr", self.rpc,
                                         "-profile", "lan", "-log-level", "warn", *encrypt], stdin=subprocess.DEVNULL)

    def command(self, *words):
        return subprocess.run(["serf", *words[:1], f"-rpc-addr={self.rpc}", *words[1:]], capture_output=True, text=True, timeout=PATIENCE,
                              check=False)

    def members(self):
        """name -> (state, tags)"""
        rows = (line.split() for line in self.command("members").stdout.splitlines())
        return {row[0]: (row[2], row[3] if len(row) > 3 else "") for row in rows if len(row) > 2}

    def sees(self, name):
        return self.members().get(name, ("unknown", ""))[0]


class Member(Process):
    """One of ours."""

    def __init__(self, name, address, key):
        self.port = free_port(address)
        super().__init__(name, address, [MEMBER, name, address, str(self.port), "sidecar", *([key.hex()] if key else [])],
                         stdin=subprocess.PIPE)
        self.lines.wait("^ready$")

    def say(self, line):
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def members(self):
        start = self.lines.mark()
        self.say("members")
        line = self.lines.wait("^members (.*)", start=start, deadline=PATIENCE)[1]
        return dict(pair.split("=") for pair in line.split())

    def sees(self, name):
        return self.members().get(name, "unknown")

    def close(self):
        self.process.stdin.close()
        super().close()


class Pool(TestCase):
    def pool(self, key=None):
        self.agents, self.ours = [], []
        for i in range(3):
            self.agents.append(self.start(Agent(f"s{i + 1}", f"127.0.0.{11 + i}", key)))
        for i in range(3):
            self.ours.append(self.start(Member(f"m{i + 1}", f"127.0.0.{21 + i}", key)))
        first = self.agents[0]
        for agent in self.agents[1:]:
            eventually(lambda a=agent: a.command("join", f"{first.address}:{first.port}").returncode == 0, f"{agent.name} joins", PATIENCE)
        for member in self.ours:
            member.say(f"join {first.port} {first.address}")
        everybody = {f"s{i}" for i in (1, 2, 3)} | {f"m{i}" for i in (1, 2, 3)}
        for one in self.agents + self.ours:
            eventually(lambda o=one: all(o.sees(name) == "alive" for name in everybody), f"{one.name} sees everybody", PATIENCE)
        self.assertEqual(("alive", "role=sidecar"), self.agents[2].members()["m3"])

    def start(self, process):
        self.addCleanup(process.close)
        return process

    def all_see(self, name, state, but=()):
        for one in self.agents + self.ours:
            if one.name == name or one.name in but:
                continue
            # Ours forgets the dead and those who left after a while; Serf remembers them for a day.
            gone = {"dead": {"failed"} if isinstance(one, Agent) else {"dead", "unknown"}, "left": {"left", "unknown"}}
            if isinstance(one, Agent) and name.startswith("s"):
                # Serf tells Serf of a departure by a message of its own, which a small pool may miss: then it has failed.
                gone["left"] = {"left", "failed"}
            eventually(lambda o=one, e=gone.get(state, {state}): o.sees(name) in e, f"{one.name} sees {name} as {state}", PATIENCE)

    def leave(self):
        """Each kind leaves, and is seen to have left by the other."""
        self.ours[1].say("leave")
        self.assertEqual(0, self.ours[1].process.wait(PATIENCE))
        self.ours.pop(1)
        leaver = self.agents.pop(2)
        self.assertEqual(0, leaver.command("leave").returncode)
        for name in ("m2", "s3"):
            self.all_see(name, "left")

    def test_stopped_for_longer_than_a_suspicion_each_kind_is_dead_and_comes_back(self):
        self.pool()
        # An event of Serf's passes through us and disturbs nobody.
        self.assertEqual(0, self.agents[0].command("event", "deploy", "payload").returncode)
        stopped = (self.ours[0], self.agents[1])
        for one in stopped:
            one.process.send_signal(signal.SIGSTOP)
        for one in stopped:
            self.all_see(one.name, "dead", but=[other.name for other in stopped])
        for one in stopped:
            one.process.send_signal(signal.SIGCONT)
        for one in stopped:
            self.all_see(one.name, "alive")

    def test_killed_each_kind_is_found_by_the_other(self):
        self.pool()
        killed = (self.ours.pop(0), self.agents.pop(2))
        for one in killed:
            one.kill()
        for one in killed:
            self.all_see(one.name, "dead")

    def test_who_leaves_has_left(self):
        self.pool()
        self.leave()

    def test_encrypted_all_the_same(self):
        self.pool(KEY)
        self.leave()

    def test_without_the_key_nobody_gets_in(self):
        self.agents = [self.start(Agent("s1", "127.0.0.11", KEY))]
        stranger = self.start(Member("m1", "127.0.0.21", bytes(32)))
        stranger.say(f"join {self.agents[0].port} 127.0.0.11")
        self.agents[0].lines.wait(re.escape("No installed keys could decrypt"), PATIENCE)
        self.assertEqual({"m1": "alive"}, stranger.members())
        self.assertEqual("unknown", self.agents[0].sees("m1"))


if __name__ == "__main__":
    main()
