"""Headless Chromium, driven through the WebDriver protocol (W3C) with plain HTTP: what the tests of the live page use.

The browser and its driver run in a process group of their own, with a new profile, and reach nothing but loopback.
"""

import base64
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

from harness import DEADLINE, eventually
from processes import die_with_parent

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--no-proxy-server", "--disable-component-update", "--disable-sync",
         "--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage", "--hide-scrollbars",
         "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"]
PATIENCE = max(60, DEADLINE)  # seconds; a browser starts slowly on a busy machine


class Browser:
    """One window. `close()` ends everything it has started."""

    def __init__(self):
        driver = shutil.which("chromedriver")
        chromium = shutil.which("chromium")
        if not driver or not chromium:
            raise AssertionError("chromium and chromium-driver are missing: scripts/setup test installs them")
        self.profile = tempfile.mkdtemp(prefix="remora-chromium-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen([driver, f"--port={self.port}"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        preexec_fn=die_with_parent(os.setsid),
                                        env={**os.environ, "HOME": self.profile})
        self.session = None
        try:
            eventually(self._is_ready, "chromedriver is ready", PATIENCE)
            options = {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={self.profile}/data"]}
            wanted = {"browserName": "chrome", "goog:chromeOptions": options,
                      "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
            self.session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        except BaseException:
            self.close()
            raise

    def _is_ready(self):
        try:
            return self._call("GET", "/status")["ready"]
        except OSError:
            try:
                self.process.wait(0.1)  # between two attempts
            except subprocess.TimeoutExpired:
                return False
            raise AssertionError("chromedriver has ended") from None

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method,
                                         headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {json.load(error)['value']['message'][:500]}") from None

    def call(self, method, path, body=None):
        return self._call(method, f"/session/{self.session}{path}", body)

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """The value of the body of a function, run in the page."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector="body"):
        return self.run("const n = document.querySelector(arguments[0]); return n ? n.innerText : '';", selector)

    def wait_text(self, pattern, selector="body"):
        """Until what the element shows contains `pattern`."""
        return eventually(lambda: pattern in self.text(selector), f"{pattern!r} in {selector}", PATIENCE)

    def click(self, selector):
        self.run("document.querySelector(arguments[0]).click();", selector)

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.devtools("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=9)

    def resize(self, width, height, phone=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=2 if phone else 1, mobile=phone)

    def dark(self, dark):
        value = "dark" if dark else "light"
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def screenshot(self, path, whole=False):
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as out:
            out.write(base64.b64decode(shot["data"]))

    def errors(self):
        """What the console has said since the last call, but for debugging and information."""
        lines = self.call("POST", "/se/log", {"type": "browser"})
        return [line["message"] for line in lines if line["level"] not in ("DEBUG", "INFO")]

    def requested(self):
        """The URLs that the page has asked for since the last call."""
        urls = []
        for line in self.call("POST", "/se/log", {"type": "performance"}):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                urls.append(message["params"]["request"]["url"])
        return urls

    def _end_browser(self):
        """Ends what the driver has started but not told of: a browser has a session of its own, and one that came up too late
        would go on asking ports that others have by then."""
        mark = self.profile.encode()
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and mark in pathlib.Path("/proc", entry, "cmdline").read_bytes():
                    os.kill(int(entry), signal.SIGKILL)
            except OSError:
                pass  # it has just ended

    def close(self):
        if self.session is not None:
            try:
                self.call("DELETE", "")
            except (AssertionError, OSError):
                pass
            self.session = None
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # the group is its own: what is left of it
        except ProcessLookupError:
            pass
        self.process.wait()
        self._end_browser()
        shutil.rmtree(self.profile, ignore_errors=True)
