"""What deploy/ ships: every configuration is valid, the files agree with each other, the systemd unit is sound.

Long because it compares many small files with each other, and each is told from the others by its class.
"""

import ctypes
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tomllib

import yaml

from certificates import Authority, TlsClient, client_context
from harness import (BINARY, TestCase, eventually, fetch, is_sanitized, main, refused_address,
                     run_remora, show_address, simple_config)
from processes import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPOSE = ROOT / "deploy" / "compose" / "compose.yaml"
SYSTEMD = ROOT / "deploy" / "systemd"
NOBODY = 65532  # the image's user


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", str(text))[1])


def mebibytes(text):
    return int(re.fullmatch(r"(\d+)(Mi|MiB|m)", text)[1])


def documents():
    """{kind: document} of the Kubernetes files."""
    found = [part for path in sorted(KUBERNETES.glob("*.yaml")) for part in yaml.safe_load_all(path.read_text())]
    assert len({part["kind"] for part in found}) == len(found)
    return {part["kind"]: part for part in found}


def calls(group):
    """The system calls of one of systemd's groups, and of the groups in it."""
    found = set()
    text = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True, timeout=60,
                          env={**os.environ, "SYSTEMD_COLORS": "0"}).stdout
    for name in text.splitlines()[1:]:
        name = name.strip()
        if name and not name.startswith("#"):
            found |= calls(name) if name.startswith("@") else {name}
    return found


class Configuration:
    """One remora.toml: its listeners and clusters by name."""

    def __init__(self, text):
        self.text = text
        self.parsed = tomllib.loads(text)
        self.listeners = {listener["name"]: listener for listener in self.parsed["listener"]}
        self.clusters = {cluster["name"]: cluster for cluster in self.parsed["cluster"]}

    def port(self, listener):
        return int(self.listeners[listener]["address"].rpartition(":")[2])

    def paths(self, listener):
        return {route.get("path") for route in self.listeners[listener]["route"]}


def configurations():
    return {
        "kubernetes": Configuration(documents()["ConfigMap"]["data"]["remora.toml"]),
        "compose": Configuration((COMPOSE.parent / "remora" / "remora.toml").read_text()),
        "systemd": Configuration((SYSTEMD / "remora.toml").read_text()),
    }


class Configurations(TestCase):
    def test_remora_accepts_each(self):
        for name, configuration in configurations().items():
            path = pathlib.Path(self.directory(), "remora.toml")
            path.write_text(configuration.text)
            done = run_remora("check", "--config", str(path))
            self.assertEqual((0, ""), (done.returncode, done.stderr), name)

    def test_the_admin_server_is_never_beyond_loopback(self):
        for name, configuration in configurations().items():
            self.assertTrue(configuration.parsed["admin"]["address"].startswith("127.0.0.1:"), name)

    def test_what_is_observed_from_outside_shows_and_changes_nothing_else(self):
        """The pod's configuration at work, on ports that are free."""
        text = configurations()["kubernetes"].text
        backend = self.backend()
        admin = "unix:" + os.path.join(self.directory(), "admin.sock")  # a port could be taken
        for written, used in (("127.0.0.1:9901", admin), ("127.0.0.1:3000", backend.endpoint),
                              ("orders-headless.default.svc.cluster.local:8080", backend.endpoint),
                              ("0.0.0.0:8080", "127.0.0.1:0"), ("0.0.0.0:9902", "127.0.0.1:0"),
                              ("127.0.0.1:9000", "127.0.0.1:0"), ('format = "json"', 'format = "text"')):
            self.assertIn(written, text)
            text = text.replace(written, used)
        proxy = self.remora(text)
        observed = proxy.address("observed")
        eventually(lambda: fetch(observed, "/readyz").status == 200, "/readyz through the listener `observed`")
        self.assertEqual(200, fetch(observed, "/healthz").status)
        metrics = fetch(observed, "/metrics")
        self.assertEqual(200, metrics.status)
        self.assertIn(b"remora_build_info", metrics.body)
        for path in ("/", "/clusters", "/config", "/log", "/reload", "/drain", "/quit"):
            self.assertEqual(404, fetch(observed, path).status, path)
        for path in ("/readyz", "/healthz", "/metrics", "/drain", "/quit"):
            self.assertEqual(404, fetch(observed, path, method="POST").status, path)
        self.assertEqual(200, fetch(proxy.address("inbound"), "/").status)
        self.assertEqual(200, fetch(proxy.address("outbound"), "/orders/1").status)
        self.assertEqual(404, fetch(proxy.address("outbound"), "/other").status)


class Kubernetes(TestCase):
    def setUp(self):
        self.documents = documents()
        self.configuration = configurations()["kubernetes"]
        self.pod = self.documents["Deployment"]["spec"]["template"]
        self.sidecar = self.pod["spec"]["initContainers"][0]
        self.app = self.pod["spec"]["containers"][0]
        self.ports = {port["name"]: port["containerPort"] for port in self.sidecar["ports"]}

    def test_the_kustomization_has_every_file(self):
        files = {path.name for path in KUBERNETES.iterdir()} - {"kustomization.yaml"}
        self.assertEqual(files, set(self.documents["Kustomization"]["resources"]))
        self.assertEqual([self.sidecar["image"]], [image["name"] for image in self.documents["Kustomization"]["images"]])

    def test_labels_select_the_pods(self):
        labels = self.pod["metadata"]["labels"]
        self.assertEqual(labels, self.documents["Deployment"]["spec"]["selector"]["matchLabels"])
        self.assertEqual(labels, self.documents["Service"]["spec"]["selector"])
        self.assertEqual(labels, self.documents["PodMonitor"]["spec"]["selector"]["matchLabels"])

    def test_ports_are_those_of_the_listeners(self):
        self.assertEqual({name: self.configuration.port(name) for name in self.ports}, self.ports)
        self.assertEqual({"inbound", "observed"}, set(self.ports))
        self.assertIn(self.documents["Service"]["spec"]["ports"][0]["targetPort"], self.ports)
        monitored = self.documents["PodMonitor"]["spec"]["podMetricsEndpoints"][0]
        self.assertIn(monitored["port"], self.ports)
        self.assertIn(monitored["path"], self.configuration.paths(monitored["port"]))

    def test_probes_point_at_what_is_served(self):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            get = self.sidecar[probe]["httpGet"]
            self.assertIn(get["port"], self.ports, probe)
            self.assertIn(get["path"], self.configuration.paths(get["port"]), probe)

    def test_the_application_agrees_with_the_configuration(self):
        environment = {entry["name"]: entry["value"] for entry in self.app["env"]}
        self.assertEqual([f"127.0.0.1:{environment['PORT']}"], self.configuration.clusters["app"]["endpoints"])
        outbound = self.configuration.listeners["outbound"]
        prefix = outbound["route"][0]["prefix"]
        self.assertEqual(f"http://{outbound['address']}{prefix}", environment["ORDERS_URL"])

    def test_remora_reads_the_config_map(self):
        volume = self.pod["spec"]["volumes"][0]
        mount = self.sidecar["volumeMounts"][0]
        self.assertEqual(self.documents["ConfigMap"]["metadata"]["name"], volume["configMap"]["name"])
        self.assertEqual(volume["name"], mount["name"])
        self.assertNotIn("subPath", mount)
        self.assertEqual(["run", "--config", f"{mount['mountPath']}/remora.toml"], self.sidecar["args"])

    def test_it_is_a_native_sidecar_that_has_the_time_to_drain(self):
        self.assertEqual("Always", self.sidecar["restartPolicy"])
        drain = seconds(self.configuration.parsed["runtime"]["drain_timeout"])
        before = self.app["lifecycle"]["preStop"]["sleep"]["seconds"]
        self.assertLess(before + drain, self.pod["spec"]["terminationGracePeriodSeconds"])

    def test_inbound_is_drained_while_the_application_still_answers(self):
        binary, *hook = self.sidecar["lifecycle"]["preStop"]["exec"]["command"]
        self.assertEqual("/usr/bin/remora", binary)
        held, address = refused_address()  # 3 is "nobody there", 2 would be bad usage
        self.addCleanup(held.close)
        self.assertEqual(3, run_remora(*hook, "--admin", show_address(address)).returncode)
        self.assertEqual("127.0.0.1:9901", self.configuration.parsed["admin"]["address"])
        delay = seconds(self.configuration.parsed["runtime"]["drain_delay"])
        self.assertLessEqual(delay, self.app["lifecycle"]["preStop"]["sleep"]["seconds"])
        directions = {name: listener.get("direction", "inbound") for name, listener in self.configuration.listeners.items()}
        self.assertEqual({"inbound": "inbound", "outbound": "outbound", "observed": "outbound"}, directions)

    def test_the_memory_of_overload_is_below_the_limit(self):
        memory = mebibytes(self.configuration.parsed["overload"]["memory"])
        self.assertLess(memory, mebibytes(self.sidecar["resources"]["limits"]["memory"]))

    def test_nothing_is_privileged(self):
        pod = self.pod["spec"]["securityContext"]
        self.assertEqual((True, NOBODY, "RuntimeDefault"),
                         (pod["runAsNonRoot"], pod["runAsUser"], pod["seccompProfile"]["type"]))
        for container in (self.sidecar, self.app):
            context = container["securityContext"]
            self.assertEqual((False, True, ["ALL"]), (context["allowPrivilegeEscalation"],
                                                      context["readOnlyRootFilesystem"], context["capabilities"]["drop"]))


class Compose(TestCase):
    def setUp(self):
        self.services = yaml.safe_load(COMPOSE.read_text())["services"]
        self.remora, self.app = self.services["remora"], self.services["app"]
        self.configuration = configurations()["compose"]

    def test_ports_and_addresses_agree(self):
        published = {int(port.rpartition(":")[2]) for port in self.remora["ports"]}
        self.assertEqual({self.configuration.port("inbound"), self.configuration.port("observed")}, published)
        self.assertEqual([f"127.0.0.1:{self.app['environment']['PORT']}"], self.configuration.clusters["app"]["endpoints"])
        outbound = self.configuration.listeners["outbound"]
        self.assertEqual(f"http://{outbound['address']}{outbound['route'][0]['prefix']}",
                         self.app["environment"]["ORDERS_URL"])

    def test_the_application_lives_in_the_namespace_of_remora_and_starts_later(self):
        self.assertEqual("service:remora", self.app["network_mode"])
        self.assertNotIn("ports", self.app)
        self.assertEqual({"condition": "service_healthy"}, self.app["depends_on"]["remora"])

    def test_the_health_check_is_a_command_of_remora(self):
        kind, binary, *arguments = self.remora["healthcheck"]["test"]
        self.assertEqual(("CMD", "/usr/bin/remora"), (kind, binary))
        self.assertEqual("127.0.0.1:9901", self.configuration.parsed["admin"]["address"])
        # 1 is "not ready"; 2 would be bad usage. Nobody listens where it asks.
        held, address = refused_address()
        self.addCleanup(held.close)
        waits = ["0" if argument == "5s" else argument for argument in arguments]
        self.assertEqual(1, run_remora(*waits, "--admin", show_address(address)).returncode)

    def test_the_configuration_is_mounted_as_a_directory(self):
        source, target, mode = self.remora["volumes"][0].split(":")
        self.assertTrue((COMPOSE.parent / source / "remora.toml").is_file())
        self.assertEqual("ro", mode)
        self.assertEqual(["run", "--config", f"{target}/remora.toml"], self.remora["command"])

    def test_limits_and_privileges(self):
        self.assertEqual((True, f"{NOBODY}:{NOBODY}", ["ALL"], ["no-new-privileges:true"]),
                         (self.remora["read_only"], self.remora["user"], self.remora["cap_drop"], self.remora["security_opt"]))
        drain = seconds(self.configuration.parsed["runtime"]["drain_timeout"])
        self.assertLess(drain, seconds(self.remora["stop_grace_period"]))
        memory = mebibytes(self.configuration.parsed["overload"]["memory"])
        self.assertLess(memory, mebibytes(self.remora["mem_limit"]))


class Unit(TestCase):
    """deploy/systemd/remora.service, judged by systemd itself; it need not be running for that."""

    def analyze(self, *arguments):
        text = (SYSTEMD / "remora.service").read_text()
        self.assertIn("/usr/bin/remora", text)
        path = pathlib.Path(self.directory(), "remora.service")
        path.write_text(text.replace("/usr/bin/remora", str(pathlib.Path(BINARY).resolve())))
        return subprocess.run(["systemd-analyze", *arguments, path], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "SYSTEMD_COLORS": "0"})

    def test_it_is_sound(self):
        done = self.analyze("verify", "--man=no", "--recursive-errors=no")
        self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_it_is_confined(self):
        done = self.analyze("security", "--offline=true", "--threshold=20")  # 2.0 of 10, less is better
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_it_waits_for_the_drain_and_does_not_restart_into_the_same_error(self):
        unit = (SYSTEMD / "remora.service").read_text()
        stop = int(re.search(r"(?m)^TimeoutStopSec=(\d+)$", unit)[1])
        default = re.search(r'\| `drain_timeout` \|[^|]*\| `"(\d+)s"` \|', (ROOT / "docs/configuration.md").read_text())
        self.assertGreater(stop, int(default[1]))
        self.assertRegex(unit, r"(?m)^RestartPreventExitStatus=1 2$")

    def test_it_is_told_of_readiness_and_watches(self):
        unit = (SYSTEMD / "remora.service").read_text()
        self.assertRegex(unit, r"(?m)^Type=notify$")
        self.assertRegex(unit, r"(?m)^WatchdogSec=\d+$")
        self.assertRegex(unit, r"(?m)^Restart=on-failure$")  # which a watchdog that bites is

    def test_a_reload_checks_the_file_first(self):
        commands = re.findall(r"(?m)^ExecReload=(.*)$", (SYSTEMD / "remora.service").read_text())
        proxy = self.remora(simple_config([self.backend().endpoint], extra="[runtime]\nwatch = false"))

        def reload():
            """As systemd does it: one after the other, until one fails."""
            for command in commands:
                words = [{"/usr/bin/remora": BINARY, "/etc/remora/remora.toml": proxy.config,
                          "$MAINPID": str(proxy.process.pid)}.get(word, word) for word in command.split()]
                done = subprocess.run(words, capture_output=True, text=True, timeout=60)
                if done.returncode != 0:
                    return done
            return done
        file = pathlib.Path(proxy.config)
        good = file.read_text()
        file.write_text(good + "[nonsense]\n")
        bad = reload()
        self.assertEqual(1, bad.returncode)
        self.assertIn("nonsense", bad.stderr)
        file.write_text(good.replace('"info"', '"debug"'))
        self.assertEqual(0, reload().returncode)
        proxy.log.wait("reloaded trigger=SIGHUP")
        self.assertNotIn("rejected", proxy.log.text())

    def test_it_allows_every_system_call_that_a_run_makes(self):
        """One that is missing would fail with EPERM in production only."""
        if is_sanitized():
            return  # LeakSanitizer does not work under ptrace, and has calls of its own
        trace = os.path.join(self.directory(), "trace")
        backend = self.backend()
        # -D: the tracer is the grandchild, so that ours is Remora itself, which takes signals and is never left behind.
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(os.path.join(self.directory(), "notify.sock"))
        proxy = self.remora(simple_config([backend.endpoint], extra=f'[runtime]\nexit_with = "{os.getpid()}"\n[overload]\nmemory = "1GiB"\n',
                                          cluster='[cluster.health_check]\nprotocol = "tcp"\n'),
                            env={"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1000000"},
                            command=["strace", "-D", "-f", "-qq", "-o", trace, BINARY])
        self.assertEqual(200, fetch(proxy.address("in"), "/").status)
        for path in ("/metrics", "/clusters", "/readyz"):
            proxy.admin(path)
        path = pathlib.Path(proxy.config)
        path.write_text(path.read_text().replace('"info"', '"debug"'))
        proxy.log.wait("reloaded trigger")
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.wait())
        eventually(lambda: "exit_group(" in pathlib.Path(trace).read_text(), "the tracer has written everything")

        lines = pathlib.Path(trace).read_text()
        used = set(re.findall(r"(?m)^\d+ +(\w+)\(", lines))
        self.assertLessEqual({"execve", "accept4", "epoll_wait", "pidfd_open", "sendto"}, used)
        unit = (SYSTEMD / "remora.service").read_text()
        allowed = calls("@default")
        for sign, groups in re.findall(r"(?m)^SystemCallFilter=(~?)(.*)$", unit):
            for group in groups.split():
                named = calls(group) if group.startswith("@") else {group}
                allowed = allowed - named if sign else allowed | named
        self.assertEqual(set(), used - allowed)
        families = re.search(r"(?m)^RestrictAddressFamilies=(.*)$", unit)[1].split()
        self.assertLessEqual(set(re.findall(r"\bsocket\((AF_\w+)", lines)), set(families))
        self.assertNotRegex(lines, r"PROT_WRITE\|PROT_EXEC")  # MemoryDenyWriteExecute=yes


class SeccompArgument(ctypes.Structure):
    """libseccomp's scmp_arg_cmp."""
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("value", ctypes.c_uint64), ("value_two", ctypes.c_uint64)]


class Seccomp(TestCase):
    """The profile for containers, on the real binary: what it does not name kills instead of being refused."""

    ACTIONS = {"SCMP_ACT_ALLOW": 0x7FFF0000, "SCMP_ACT_ERRNO": 0x00050000}
    COMPARISONS = {"SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}
    KILL = 0x80000000

    def load(self, without=()):
        """For the child alone, before it becomes Remora."""
        library = ctypes.CDLL("libseccomp.so.2")
        library.seccomp_init.restype = ctypes.c_void_p
        context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(self.KILL)))
        own = {"names": ["close_range"], "action": "SCMP_ACT_ALLOW"}  # of Python's, on its way to become Remora
        for rule in json.loads((ROOT / "deploy" / "seccomp.json").read_text())["syscalls"] + [own]:
            arguments = [SeccompArgument(each["index"], self.COMPARISONS[each["op"]], each["value"], each.get("valueTwo", 0))
                         for each in rule.get("args", [])]
            action = self.ACTIONS[rule["action"]] | rule.get("errnoRet", 0)
            for name in set(rule["names"]) - set(without):
                number = library.seccomp_syscall_resolve_name(name.encode())
                assert number != -1, f"the profile names {name}, which nobody knows"
                added = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(arguments),
                                                       (SeccompArgument * len(arguments))(*arguments))
                assert added == 0, (name, added)
        assert library.seccomp_load(context) == 0

    def test_remora_does_everything_under_it(self):
        if is_sanitized():
            return  # sanitizers have calls of their own
        directory = self.directory()
        authority = Authority(directory)
        certificate, key = authority.issue("server", "DNS:localhost")
        os.chmod(directory, 0o755)
        os.chmod(key, 0o644)
        backend = self.backend()
        user = '[runtime]\nuser = "65532:65532"\ndrain_delay = "100ms"\n' if os.getuid() == 0 else ""
        proxy = self.remora(simple_config([backend.endpoint], extra=f"""
{user}
[mesh]
node = "a"
bind = "127.0.0.1:0"
[[listener]]
name = "tls"
address = "127.0.0.1:0"
[listener.tls]
certificate = "{certificate}"
key = "{key}"
[[listener.route]]
cluster = "app"
""", cluster='[cluster.health_check]\nprotocol = "tcp"\n'), preexec=self.load)
        self.assertEqual(200, fetch(proxy.address("in"), "/").status)
        with TlsClient(proxy.address("tls"), client_context(authority)) as client:
            self.assertEqual(200, client.get("/").status)
        for path in ("/metrics", "/clusters", "/readyz", "/members", "/config"):
            self.assertEqual(200, proxy.admin(path).status, path)
        path = pathlib.Path(proxy.config)
        os.chmod(path.parent, 0o755)
        path.write_text(path.read_text().replace('"info"', '"debug"'))
        proxy.signal(signal.SIGHUP)
        proxy.log.wait("reloaded trigger=SIGHUP")
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.wait())

    def test_a_call_that_is_missing_is_noticed(self):
        with self.assertRaises(AssertionError):
            self.remora(simple_config(["127.0.0.1:9"]), preexec=lambda: self.load(without=["epoll_ctl"]))


class Hardening(TestCase):
    def test_the_binary_is_linked_as_debian_links_its_own(self):
        if is_sanitized():
            return  # built to find mistakes, not to ship
        read = subprocess.run(["readelf", "-hldW", BINARY], capture_output=True, text=True, check=True, timeout=60).stdout
        for mark in (r"Type: +DYN \(Position-Independent Executable", r"GNU_RELRO", r"FLAGS_1.*\bNOW\b.*\bPIE\b", r"GNU_STACK .* RW +0x"):
            self.assertRegex(read, mark)
        names = subprocess.run(["nm", "-D", BINARY], capture_output=True, text=True, check=True, timeout=60).stdout
        for name in ("__stack_chk_fail", "_chk@"):  # stack protector, fortified calls
            self.assertIn(name, names)


class Image(TestCase):
    """The Dockerfile's first stage is built by hand, not in CI: at least it gets everything it compiles."""

    def test_it_copies_every_folder_of_the_build(self):
        build = (ROOT / "CMakeLists.txt").read_text()
        needed = {folder.split("/")[0] for folder in re.findall(r"(?m)^remora_library\((\S+)", build)}
        needed |= {included.split("/")[0] for included in re.findall(r"(?m)^include\((\w+/\S+)\)", build)}
        package = (ROOT / "cmake/Package.cmake").read_text()
        needed |= {path.split("/")[0] for path in re.findall(r"configure_file\((\w+/\S+)", package)}
        stage = (ROOT / "Dockerfile").read_text().partition("\nFROM scratch")[0]
        copied = {source for line in re.findall(r"(?m)^COPY (.*)$", stage) for source in line.split()[:-1]}
        self.assertLessEqual(needed, {source.split("/")[0] for source in copied})
        sent = re.findall(r"(?m)^!(\S+)$", (ROOT / ".dockerignore").read_text())
        for source in copied:
            self.assertTrue([name for name in sent if f"{source}/".startswith(f"{name}/")], f"{source} in .dockerignore")

    def test_it_exposes_what_the_deployments_use(self):
        exposed = re.search(r"(?m)^EXPOSE (.*)$", (ROOT / "Dockerfile").read_text())[1].split()
        for name in ("kubernetes", "compose"):
            configuration = configurations()[name]
            self.assertEqual({str(configuration.port(listener)) for listener in configuration.listeners}, set(exposed), name)


if __name__ == "__main__":
    main()
