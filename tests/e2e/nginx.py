"""A real nginx as a backend: own prefix, own configuration, current user, an inherited socket."""

import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

from harness import die_with_parent, end_process

CONFIG = """
{user}
worker_processes 1;
daemon off;
pid {prefix}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  default_type application/octet-stream;
  client_body_temp_path {prefix}/body;
  proxy_temp_path {prefix}/proxy;
  fastcgi_temp_path {prefix}/fastcgi;
  uwsgi_temp_path {prefix}/uwsgi;
  scgi_temp_path {prefix}/scgi;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port};
    add_header X-Backend nginx;
    add_header X-Seen-Via $http_via;
    location / {{ root {prefix}/www; }}
    location /hello {{ return 200 "hello from nginx\\n"; }}
    location /empty {{ return 204; }}
  }}
}}
"""


def find_nginx():
    for path in (shutil.which("nginx"), "/usr/sbin/nginx"):
        if path and os.access(path, os.X_OK):
            return path
    raise AssertionError("nginx is missing: scripts/setup test installs it")


class Nginx:
    """Serves `files` ({name: bytes}) from a temporary prefix. The port is bound here and handed down."""

    def __init__(self, files):
        self.prefix = tempfile.mkdtemp(prefix="remora-nginx-")
        www = pathlib.Path(self.prefix, "www")
        www.mkdir()
        for name, data in files.items():
            (www / name).write_bytes(data)
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(512)
        self.listener.set_inheritable(True)
        self.port = self.listener.getsockname()[1]
        user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.getuid() == 0 else ""
        config = pathlib.Path(self.prefix, "nginx.conf")
        config.write_text(CONFIG.format(prefix=self.prefix, port=self.port, user=user))
        number = self.listener.fileno()
        with open(os.path.join(self.prefix, "stderr"), "wb") as stderr:
            self.process = subprocess.Popen(
                [find_nginx(), "-p", self.prefix, "-c", str(config), "-e", "stderr"], pass_fds=[number],
                env={**os.environ, "NGINX": f"{number};"}, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr, preexec_fn=die_with_parent())

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        end_process(self.process)
        self.listener.close()
        shutil.rmtree(self.prefix, ignore_errors=True)
