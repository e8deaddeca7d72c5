#!/usr/bin/env python3
"""Runs the image that scripts/image has built as an operator would: read-only, no capabilities, not root.

    tests/image_test.py      after scripts/image [--prebuilt]; needs root, podman and runc

Exit status 77, with the reason, where no container can be started at all.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from harness import OK, TestCase, eventually, fetch, request_bytes, simple_config  # noqa: E402
from processes import Lines, die_with_parent  # noqa: E402
from wire import parse_address  # noqa: E402

WORK = ROOT / "build" / "image"
IMAGE = "localhost/remora:latest"
MOST = 15 << 20  # bytes, the image unpacked
USER = 65532

# Limits that the container's runtime would otherwise raise beyond what this machine may allow; runc, since crun refuses some
# arrangements of cgroups.
CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
AS_IN_PRODUCTION = ["--rm", "--network=host", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges",
                    "--no-healthcheck"]


def podman(*arguments):
    return ["podman", "--root", str(WORK / "storage"), "--runroot", str(WORK / "run"), "--storage-driver", "vfs",
            *arguments]


def run(*arguments, deadline=120):
    return subprocess.run(podman(*arguments), capture_output=True, text=True, timeout=deadline,
                          env={**os.environ, "CONTAINERS_CONF": str(WORK / "containers.conf")})


class Container:
    """The image with a configuration mounted where it looks for one."""

    def __init__(self, toml, name, *options):
        self.directory = tempfile.mkdtemp(prefix="remora-image-")
        os.chmod(self.directory, 0o755)
        path = pathlib.Path(self.directory, "remora.toml")
        path.write_text(toml)
        path.chmod(0o644)
        self.name = name
        self.process = subprocess.Popen(
            podman("run", "--name", name, *AS_IN_PRODUCTION, *options, "--volume", f"{self.directory}:/etc/remora:ro", IMAGE),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent(),
            env={**os.environ, "CONTAINERS_CONF": str(WORK / "containers.conf")})
        self.log, self.access = Lines(self.process.stderr), Lines(self.process.stdout)

    def address(self, listener):
        return parse_address(self.log.wait(rf"(?<!admin) listening\b.*\blistener={listener} .*?\baddress=(\S+)", 60)[1])

    def admin(self, path):
        address = parse_address(self.log.wait(r"\badmin listening\b.*\baddress=(\S+)", 60)[1])
        return fetch(address, path)

    def pid(self):
        """Of Remora, as this side of the container sees it."""
        return int(run("inspect", "--format", "{{.State.Pid}}", self.name).stdout)

    def close(self):
        run("rm", "--force", "--time", "1", self.name)
        self.process.wait(60)
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        shutil.rmtree(self.directory)


class Content(unittest.TestCase):
    """What is in the image, from its only layer."""

    @classmethod
    def setUpClass(cls):
        with tarfile.open(WORK / "remora.tar") as archive:
            manifest = json.load(archive.extractfile("manifest.json"))[0]
            cls.config = json.load(archive.extractfile(manifest["Config"]))
            cls.files = {}
            for layer in manifest["Layers"]:
                with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                    cls.files.update({f"/{member.name.strip('/')}": member for member in files})

    def test_size(self):
        size = sum(member.size for member in self.files.values())
        print(f"\nimage: {size / 1048576:.1f} MiB in {len(self.files)} files and directories", file=sys.stderr)
        self.assertLess(size, MOST)

    def test_nothing_to_run_but_remora(self):
        programs = [name for name, member in self.files.items()
                    if member.isfile() and member.mode & 0o111 and ".so" not in name]
        self.assertEqual(["/usr/bin/remora"], programs)
        for name in ("/bin/sh", "/bin/bash", "/usr/bin/dpkg", "/usr/bin/apt-get", "/usr/bin/env"):
            self.assertNotIn(name, self.files)

    def test_nothing_may_be_written_or_raised(self):
        for name, member in self.files.items():
            if not member.issym():  # Linux knows no mode of a link
                self.assertFalse(member.mode & 0o7022, f"{name}: {member.mode:o}")
            self.assertEqual((0, 0), (member.uid, member.gid), name)

    def test_certificates_and_names(self):
        self.assertGreater(self.files["/etc/ssl/certs/ca-certificates.crt"].size, 100_000)
        for name in ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/os-release",
                     "/usr/share/doc/remora/copyright", "/usr/share/doc/libc6/copyright", "/var/lib/dpkg/status.d/libc6"):
            self.assertGreater(self.files[name].size, 0, name)

    def test_settings(self):
        config = self.config["config"]
        self.assertEqual(f"{USER}:{USER}", config["User"])
        self.assertEqual(["/usr/bin/remora"], config["Entrypoint"])
        self.assertEqual(["run", "--config", "/etc/remora/remora.toml"], config["Cmd"])
        self.assertEqual("SIGTERM", config["StopSignal"])
        self.assertEqual(["CMD", "/usr/bin/remora", "ready"], config["Healthcheck"]["Test"])
        self.assertEqual("Remora", config["Labels"]["org.opencontainers.image.title"])
        self.assertRegex(config["Labels"]["org.opencontainers.image.version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual({"8080/tcp", "9000/tcp", "9902/tcp"}, set(config["ExposedPorts"]))
        self.assertFalse([line for line in config["Env"] if not line.startswith("PATH=")])


class Running(TestCase):
    def container(self, toml, *options):
        container = Container(toml, f"remora-test-{os.getpid()}-{self.id().rpartition('.')[2]}", *options)
        self.addCleanup(container.close)
        return container

    def test_other_commands(self):
        version = run("run", *AS_IN_PRODUCTION, IMAGE, "--version")
        self.assertEqual(0, version.returncode, version.stderr)
        self.assertRegex(version.stdout, r"^remora \d+\.\d+\.\d+$")
        missing = run("run", *AS_IN_PRODUCTION, IMAGE)
        self.assertEqual(1, missing.returncode, missing.stderr)
        self.assertIn("/etc/remora/remora.toml", missing.stderr)
        shell = run("run", *AS_IN_PRODUCTION, "--entrypoint", "/bin/sh", IMAGE)
        self.assertIn(shell.returncode, (126, 127), shell.stderr)

    def test_serves_as_an_unprivileged_user_and_writes_nothing(self):
        backend = self.backend()
        container = self.container(simple_config([backend.endpoint]))
        reply = fetch(container.address("in"), "/hello")
        self.assertEqual((200, b"ok"), (reply.status, reply.body))
        eventually(lambda: container.admin("/readyz").status == 200, "ready", 60)
        container.access.wait(r"/hello")

        status = pathlib.Path(f"/proc/{container.pid()}/status").read_text()
        self.assertEqual({str(USER)}, set(re.search(r"^Uid:\s+(.*)$", status, re.MULTILINE)[1].split()))
        self.assertEqual({str(USER)}, set(re.search(r"^Gid:\s+(.*)$", status, re.MULTILINE)[1].split()))
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertRegex(status, rf"(?m)^{capabilities}:\s+0+$")
        self.assertRegex(status, r"(?m)^NoNewPrivs:\s+1$")
        mounts = pathlib.Path(f"/proc/{container.pid()}/mounts").read_text()
        self.assertRegex(mounts, r"(?m)^\S+ / \S+ ro\b")

    def test_sigterm_finishes_what_is_in_flight_and_exits_0(self):
        arrived, go_on = threading.Event(), threading.Event()

        def slow(upstream, request):
            upstream.body(request)
            arrived.set()
            go_on.wait(60)
            upstream.send(OK)

        backend = self.backend(slow)
        container = self.container(simple_config([backend.endpoint]))
        client = self.client(container.address("in"))
        client.send(request_bytes("GET", "/"))
        self.assertTrue(arrived.wait(60))
        self.assertEqual(0, run("kill", "--signal", "TERM", container.name).returncode)
        container.log.wait(r"drain", 60)
        go_on.set()
        self.assertEqual(200, client.response().status)
        self.assertEqual(0, container.process.wait(60))

    def test_names_resolve(self):
        # c-ares reads /etc/hosts and /etc/nsswitch.conf of the container itself; there is no getaddrinfo and no NSS module.
        backend = self.backend()
        port = backend.endpoint.rpartition(":")[2]
        container = self.container(simple_config([f"app.test:{port}"]), "--add-host", "app.test:127.0.0.1")
        eventually(lambda: container.admin("/readyz").status == 200, "the name has its first answer", 60)
        self.assertEqual(200, fetch(container.address("in"), "/").status)


APP = """[admin]
address = "127.0.0.1:3901"
[[listener]]
address = "127.0.0.1:3000"
[[listener.route]]
respond = { body = "the app" }
"""


def pod_of_the_deployment(name):
    """The pod of deploy/kubernetes with its ConfigMap, as far as podman can play it: it knows no native sidecars, its probes need
    a shell, and a network without an outside has no ports. A second Remora that answers by itself stands for the application."""
    kubernetes = ROOT / "deploy" / "kubernetes"
    pod = yaml.safe_load((kubernetes / "deployment.yaml").read_text())["spec"]["template"]
    config = yaml.safe_load((kubernetes / "configmap.yaml").read_text())
    sidecar, app = pod["spec"].pop("initContainers")[0], pod["spec"]["containers"][0]
    del sidecar["restartPolicy"]
    for container in (sidecar, app):
        for key in ("ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "resources"):
            container.pop(key, None)
        container.update(image=IMAGE, imagePullPolicy="Never")
    app.update(args=["run", "--config", "/etc/app/remora.toml"],
               volumeMounts=[{"name": "app", "mountPath": "/etc/app", "readOnly": True}])
    pod["spec"]["volumes"].append({"name": "app", "configMap": {"name": "app"}})
    pod["spec"]["containers"] = [sidecar, app]
    pod.update(apiVersion="v1", kind="Pod")
    pod["metadata"]["name"] = name
    backend = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"remora.toml": APP}}
    return yaml.safe_dump_all([config, backend, pod])


class Pod(TestCase):
    """The pod of deploy/kubernetes, with its own configuration, users, capabilities and mounts."""

    def setUp(self):
        self.name = f"remora-test-pod-{os.getpid()}"
        self.file = pathlib.Path(self.directory(), "pod.yaml")
        self.file.write_text(pod_of_the_deployment(self.name))
        self.addCleanup(run, "kube", "down", str(self.file))
        played = run("kube", "play", "--network", "none", str(self.file))
        self.assertEqual(0, played.returncode, played.stdout + played.stderr)
        self.pid = int(run("inspect", "--format", "{{.State.Pid}}", f"{self.name}-remora").stdout)

    def get(self, url, *arguments):
        """(status, body) of a request made inside the pod's network."""
        done = subprocess.run(["nsenter", f"--net=/proc/{self.pid}/ns/net", "curl", "--silent", "--max-time", "20",
                               "--write-out", "\n%{http_code}", *arguments, url], capture_output=True, text=True, timeout=60)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def test_it_serves_and_shows_only_what_it_should(self):
        # Names cannot be resolved in here: that too is a first answer.
        eventually(lambda: self.get("http://127.0.0.1:9902/readyz")[0] == 200, "ready", 60)
        self.assertEqual(0, run("exec", f"{self.name}-remora", "/usr/bin/remora", "ready").returncode)
        self.assertEqual((200, "the app"), self.get("http://127.0.0.1:8080/anything"))
        self.assertEqual(503, self.get("http://127.0.0.1:9000/orders/1")[0])
        status, metrics = self.get("http://127.0.0.1:9902/metrics")
        self.assertEqual(200, status)
        self.assertIn('remora_requests_total{listener="inbound",cluster="app"', metrics)
        self.assertEqual(404, self.get("http://127.0.0.1:9902/clusters")[0])
        self.assertEqual(404, self.get("http://127.0.0.1:9902/readyz", "--request", "POST")[0])

        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        self.assertRegex(status, rf"(?m)^Uid:\s+{USER}\s")
        self.assertRegex(status, r"(?m)^CapBnd:\s+0+$")
        self.assertRegex(status, r"(?m)^NoNewPrivs:\s+1$")
        self.assertRegex(status, r"(?m)^Seccomp:\s+2$")
        mounts = pathlib.Path(f"/proc/{self.pid}/mounts").read_text()
        for point in ("/", "/etc/remora"):
            self.assertRegex(mounts, rf"(?m)^\S+ {point} \S+ ro\b")


def why_not():
    """Why no container can be started here, or nothing."""
    for tool in ("podman", "runc", "conmon"):
        if not shutil.which(tool):
            return f"{tool} is missing: scripts/setup image"
    if os.getuid() != 0:
        return "starting containers in a storage of their own needs root"
    if not (WORK / "remora.tar").exists():
        return None  # a mistake of the caller: the tests say so
    (WORK / "containers.conf").write_text(CONTAINERS_CONF)
    done = run("run", *AS_IN_PRODUCTION, IMAGE, "--version")
    # 125: podman or the runtime could not; anything else comes from Remora itself.
    return done.stderr.strip() if done.returncode == 125 else None


if __name__ == "__main__":
    reason = why_not()
    if reason:
        print(f"image_test: no container can be started here: {reason}", file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=1)
