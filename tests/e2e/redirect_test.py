#!/usr/bin/env python3
"""Connections that nftables redirects to Remora go where they were going, in a network namespace of this process's own.

Where namespaces may not be made it exits with 77, and says why.
"""

import json
import socket
import subprocess
import sys

from harness import TestCase, answer, fetch, main, metric_sum, show_address
from netns_test import command, new_network
from tcp_backends import TcpBackend

USER = 65534
PLAIN, WEB, MIXED, SIX = "10.88.0.9", "10.88.1.9", "10.88.2.9", "fd88::9"

CONFIG = """
[admin]
address = "127.0.0.1:0"
[runtime]
workers = 1
user = "{user}:{user}"
[log.access]
format = "json"
[[listener]]
name = "tcp"
address = "127.0.0.1:0"
direction = "outbound"
protocol = "tcp"
original_destination = true
cluster = "away"
[[listener]]
name = "six"
address = "[::1]:0"
protocol = "tcp"
original_destination = true
cluster = "away"
[[listener]]
name = "web"
address = "127.0.0.1:0"
original_destination = true
[[listener.route]]
host = "known.example"
cluster = "known"
[[listener.route]]
cluster = "away"
[[listener]]
name = "mixed"
address = "127.0.0.1:0"
protocol = "detect"
original_destination = true
cluster = "away"
timeouts = {{ detect = "300ms" }}
[[listener.route]]
cluster = "away"
[[cluster]]
name = "away"
discover = {{ original_destination = true }}
[[cluster]]
name = "known"
endpoints = ["{known}"]
"""

RULES = """
flush ruleset
table inet remora {{
  chain outbound {{
    type nat hook output priority -100;
    {exempt}
    ip daddr {PLAIN} meta l4proto tcp redirect to :{tcp}
    ip daddr {WEB} meta l4proto tcp redirect to :{web}
    ip daddr {MIXED} meta l4proto tcp redirect to :{mixed}
    ip6 daddr {SIX} meta l4proto tcp redirect to :{six}
  }}
}}
"""


def nft(rules):
    done = subprocess.run(["nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"nft: {done.stderr}")


def prepare():
    """"": this process has a network of its own. Or why not."""
    try:
        if why := new_network():
            return f"no network namespace: {why}"
        command("ip", "link", "set", "lo", "up")
        for address in PLAIN, WEB, MIXED:
            command("ip", "address", "add", f"{address}/32", "dev", "lo")
        command("ip", "address", "add", f"{SIX}/128", "dev", "lo", "nodad")
        nft(RULES.format(exempt="", PLAIN=PLAIN, WEB=WEB, MIXED=MIXED, SIX=SIX, tcp=1, web=2, mixed=3, six=4))
        nft("flush ruleset")
    except (AssertionError, FileNotFoundError) as error:
        return str(error)
    return ""


def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)


class RedirectTest(TestCase):
    def setUp(self):
        super().setUp()
        self.known = self.backend(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nknown"))
        self.proxy = self.remora(CONFIG.format(user=USER, known=self.known.endpoint))
        self.ports = {name: self.proxy.address(name)[1] for name in ("tcp", "six", "web", "mixed")}
        self.redirect(f"meta skuid {USER} accept")

    def redirect(self, exempt):
        nft(RULES.format(exempt=exempt, PLAIN=PLAIN, WEB=WEB, MIXED=MIXED, SIX=SIX, **self.ports))
        self.addCleanup(nft, "flush ruleset")

    def serve(self, address):
        backend = TcpBackend(echo, (address, 0))
        self.addCleanup(backend.close)
        return backend.listener.getsockname()[:2]

    def exchange(self, address):
        client = self.client(address)
        client.send(b"as if nobody stood between")
        self.assertEqual(b"as if nobody stood between", client.source.exactly(26))
        client.half_close()
        self.assertEqual(b"", client.closed())

    def assert_reset(self, address):
        with self.assertRaises(ConnectionResetError):
            client = self.client(address)
            client.sock.sendall(b"x")
            while client.sock.recv(100):
                pass
            self.fail("closed as if that were all")

    def test_connections_go_where_they_were_going(self):
        for address, listener in (PLAIN, "tcp"), (PLAIN, "tcp"), (SIX, "six"), (MIXED, "mixed"):
            there = self.serve(address)
            self.exchange(there)
            self.proxy.access.wait(f'"listener":"{listener}".*"cluster":"away","upstream":"{show_address(there)}"'
                                   .replace("[", "\\["))
        away = json.loads(self.proxy.admin("/stats").body)["clusters"][0]
        self.assertEqual((True, 4, []), (away["anywhere"], len(away["endpoints"]),
                                         [e for e in away["endpoints"] if "why" in e]))
        with socket.socket() as nobody:
            nobody.bind((PLAIN, 0))
            self.assert_reset(nobody.getsockname())
        self.proxy.access.wait('"flag":"UF"')

    def test_requests_go_by_their_host_or_where_they_were_going(self):
        for address in WEB, MIXED:
            away = self.backend(address=(address, 0))
            there = away.listener.getsockname()
            for _ in range(2):
                self.assertEqual(200, fetch(there).status)
        self.assertEqual(b"known", fetch(there if address == WEB else (WEB, 80), host="known.example").body)
        self.assertEqual(4, metric_sum(self.proxy.metrics(), "remora_requests_total", cluster="away", code="2xx"))

    def test_who_was_not_redirected_is_refused(self):
        for name in "tcp", "web":
            self.assert_reset(self.proxy.address(name))
            self.proxy.access.wait(f'"listener":"{name}".*"flag":"LD"')
        self.proxy.log.wait("it was not redirected here")
        self.assertEqual(1, metric_sum(self.proxy.metrics(), "remora_local_replies_total", listener="tcp", flag="LD"))

    def test_a_firewall_that_sends_back_its_own_makes_no_loop(self):
        there = self.serve(PLAIN)
        self.redirect("")
        self.assert_reset(there)
        self.proxy.log.wait("it is this proxy's own")
        # The client's, and the two that the proxy has opened to be reset: the connect is tried twice.
        self.assertEqual(3, metric_sum(self.proxy.metrics(), "remora_connections_total", side="downstream", listener="tcp"))


if __name__ == "__main__":
    if reason := prepare():
        print(f"skipped: {reason}")
        sys.exit(77)
    main()
