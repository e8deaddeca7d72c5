#!/usr/bin/env python3
"""Remora in a pool of the real Serf: three agents and three Remoras, in the clear and encrypted.

With REMORA_SERF_KEY=KEY all of it is encrypted (KEY: the base64 of 32 bytes).
"""

import base64
import json
import os
import re
import signal
import socket
import subprocess

from harness import TestCase, die_with_parent, end_process, eventually, main
from processes import Lines

KEY = base64.b64encode(bytes(range(32))).decode()
CLEAR = os.environ.get("REMORA_SERF_KEY")  # usually none
PATIENCE = 90  # of the longest: a suspicion that nobody confirms, on a machine that is busy


def free_port(address):
    """A port that is free for both UDP and TCP; Serf wants to be told one."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind((address, 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


class Agent:
    """Serf's own agent."""

    def __init__(self, name, address, key, bound=None):
        self.name = name
        self.rpc, self.bound = f"{address}:{free_port(address)}", bound or f"{address}:{free_port(address)}"
        encrypt = ["-encrypt", key] if key else []
        self.process = subprocess.Popen(["serf", "agent", "-node", name, "-bind", self.bound, "-rpc-addr", self.rpc, "-profile", "lan",
                                         "-log-level", "warn", "-tag", "role=web", "-tag", "port=8080", *encrypt],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        preexec_fn=die_with_parent())
        self.lines = Lines(self.process.stdout)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        end_process(self.process)
        self.lines.thread.join(PATIENCE)
        self.process.stdout.close()

    def command(self, *words):
        return subprocess.run(["serf", *words[:1], f"-rpc-addr={self.rpc}", *words[1:]], capture_output=True, text=True, timeout=PATIENCE,
                              check=False)

    def members(self):
        """name -> (state, tags)"""
        rows = (line.split() for line in self.command("members").stdout.splitlines())
        return {row[0]: (row[2], row[3] if len(row) > 3 else "") for row in rows if len(row) > 2}

    def sees(self, name):
        return self.members().get(name, ("unknown", ""))[0]


class Member:
    """One Remora."""

    def __init__(self, test, name, address, join, key, services=0, port=0):
        """`services`: so many that others find; a hundred are more than fit into a member's metadata."""
        self.name, self.address = name, address
        self.remora = test.remora(f"""
[admin]
address = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
[[listener.route]]
respond = {{}}
[[cluster]]
name = "web"
discover = {{ swim = "web" }}
[[cluster]]
name = "many"
discover = {{ swim = "service-99" }}
[mesh]
node = "{name}"
bind = "{address}:{port}"
join = ["{join}"]
{f'key = "{key}"' if key else ''}
{"".join(f'[[mesh.service]]{chr(10)}name = "service-{i}"{chr(10)}port = {i + 1}{chr(10)}' for i in range(services))}
""")
        self.process = self.remora.process

    def agents(self):
        """The addresses of those that a cluster may use by their tags."""
        return self.found("web")

    def found(self, cluster):
        clusters = json.loads(self.remora.admin("/clusters").body)["clusters"]
        return {endpoint["address"] for one in clusters if one["name"] == cluster for endpoint in one["endpoints"]}

    def bound(self):
        return json.loads(self.remora.admin("/members").body)["address"]

    def sees(self, name):
        members = json.loads(self.remora.admin("/members").body)["members"]
        return {member["name"]: member["state"] for member in members}.get(name, "unknown")


class Pool(TestCase):
    def agent(self, name, address, key, bound=None):
        agent = Agent(name, address, key, bound)
        self.addCleanup(agent.close)
        return agent

    def pool(self, key=CLEAR, services=0):
        self.agents = [self.agent(f"s{i + 1}", f"127.0.0.{11 + i}", key) for i in range(3)]
        first = self.agents[0]
        for agent in self.agents[1:]:
            eventually(lambda a=agent: a.command("join", first.bound).returncode == 0, f"{agent.name} joins", PATIENCE)
        self.ours = [Member(self, f"m{i + 1}", f"127.0.0.{21 + i}", first.bound, key, services if i == 1 else 0) for i in range(3)]
        everybody = {f"s{i}" for i in (1, 2, 3)} | {f"m{i}" for i in (1, 2, 3)}
        for one in self.agents + self.ours:
            eventually(lambda o=one: all(o.sees(name) == "alive" for name in everybody), f"{one.name} sees everybody", PATIENCE)
        self.assertEqual(("alive", "remora=1"), self.agents[2].members()["m3"])
        self.assertEqual({f"127.0.0.{11 + i}:8080" for i in range(3)}, self.ours[0].agents())

    def all_see(self, name, state, but=()):
        for one in self.agents + self.ours:
            if one.name == name or one.name in but:
                continue
            # Ours forgets the dead and those who left after a while; Serf remembers them for a day.
            gone = {"dead": {"failed"} if isinstance(one, Agent) else {"dead", "unknown"}, "left": {"left", "unknown"}}
            if isinstance(one, Agent):
                # That a member means to leave travels apart from its leaving, and a small pool may miss it: then it has failed.
                gone["left"] = {"left", "failed"}
            eventually(lambda o=one, e=gone.get(state, {state}): o.sees(name) in e, f"{one.name} sees {name} as {state}", PATIENCE)

    def rejoin(self, key, agent, bound=None, port=0):
        """A Remora and that agent come again, with their names."""
        again = self.agent(agent, f"127.0.0.{10 + int(agent[1])}", key, bound)
        eventually(lambda: again.command("join", self.agents[0].bound).returncode == 0, f"{agent} joins", PATIENCE)
        self.agents.append(again)
        name = next(name for name in ("m1", "m2") if name not in [one.name for one in self.ours])
        self.ours.append(Member(self, name, f"127.0.0.{20 + int(name[1])}", self.agents[0].bound, key, port=port))
        for name in (agent, name):
            self.all_see(name, "alive")

    def leave(self):
        """Each kind leaves, and is seen to have left by the other."""
        ours = self.ours.pop(1)
        ours.remora.signal(signal.SIGTERM)
        self.assertEqual(0, ours.remora.wait(PATIENCE))
        leaver = self.agents.pop(2)
        self.assertEqual(0, leaver.command("leave").returncode)
        for name in ("m2", "s3"):
            self.all_see(name, "left")
        eventually(lambda: self.ours[0].agents() == {"127.0.0.11:8080", "127.0.0.12:8080"}, "the endpoint has gone", PATIENCE)
        self.assertIn("left", [agent.sees("m2") for agent in self.agents])

    def test_stopped_for_longer_than_a_suspicion_each_kind_is_dead_and_comes_back(self):
        self.pool()
        # An event of Serf's passes through us and disturbs nobody.
        self.assertEqual(0, self.agents[0].command("event", "deploy", "payload").returncode)
        stopped = (self.ours[0], self.agents[1])
        for one in stopped:
            one.process.send_signal(signal.SIGSTOP)
            self.addCleanup(one.process.send_signal, signal.SIGCONT)
        for one in stopped:
            self.all_see(one.name, "dead", but=[other.name for other in stopped])
        for one in stopped:
            one.process.send_signal(signal.SIGCONT)
        for one in stopped:
            self.all_see(one.name, "alive")

    def test_killed_each_kind_is_found_by_the_other_and_comes_again(self):
        self.pool(KEY)
        # A query passes through us, and is acked by agents only.
        eventually(lambda: "Total Acks: 3" in self.agents[0].command("query", "-timeout=1s", "who").stdout, "all agents ack", PATIENCE)
        port = int(self.ours[0].bound().rsplit(":", 1)[1])
        killed = (self.ours.pop(0), self.agents.pop(2))
        for one in killed:
            one.process.kill()
            one.process.wait(PATIENCE)
        for one in killed:
            self.all_see(one.name, "dead")
        self.rejoin(KEY, "s3", killed[1].bound, port)

    def test_who_leaves_has_left_and_may_come_again_from_elsewhere(self):
        self.pool()
        self.leave()
        self.rejoin(CLEAR, "s3")

    def test_encrypted_all_the_same(self):
        self.pool(KEY, services=100)
        # One of ours serves more than its metadata can say: the others of ours ask it, and the agents are none the worse for it.
        for one in (self.ours[0], self.ours[2]):
            eventually(lambda o=one: o.found("many") == {"127.0.0.22:100"}, f"{one.name} finds the service", PATIENCE)
        self.assertRegex(self.agents[0].members()["m2"][1], r"svc\+=[0-9a-f]{16}")
        self.assertEqual([None] * 3, [agent.process.poll() for agent in self.agents])
        self.leave()
        eventually(lambda: self.ours[0].found("many") == set(), "the service has gone with its member", PATIENCE)

    def test_without_the_key_nobody_gets_in(self):
        self.agents = [self.agent("s1", "127.0.0.11", KEY)]
        eventually(lambda: self.agents[0].command("members").returncode == 0, "the agent answers", PATIENCE)
        stranger = Member(self, "m1", "127.0.0.21", self.agents[0].bound, base64.b64encode(bytes(32)).decode())
        self.agents[0].lines.wait(re.escape("No installed keys could decrypt"), PATIENCE)
        stranger.remora.log.wait("nobody to join in the mesh yet", PATIENCE)
        self.assertEqual("alive", stranger.sees("m1"))
        self.assertEqual("unknown", stranger.sees("s1"))
        self.assertEqual("unknown", self.agents[0].sees("m1"))


if __name__ == "__main__":
    main()
