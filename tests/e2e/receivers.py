"""Receivers of reports: nginx as a webhook, and a small server for what no stand-in here plays."""

import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import threading

from harness import wait_until

CONF = """
daemon off; pid {dir}/pid; error_log {dir}/error.log; worker_processes 1; user root;
events {{ worker_connections 64; }}
http {{
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  log_format hook escape=json '{{"status": "$status", "auth": "$http_authorization", "type": "$content_type", "body": "$request_body"}}';
  server {{
    listen 127.0.0.1:{port}; client_body_in_single_buffer on; client_body_buffer_size 128k;
    location / {{ access_log {dir}/hook.log hook; proxy_pass http://127.0.0.1:{back}; proxy_read_timeout 60; }}
  }}
  server {{ listen 127.0.0.1:{back}; access_log off; {answer} }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Nginx:
    """Debian's nginx, which logs every body that it is sent."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.folder, self.port, self.back = folder, free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}/hooks/s3cr3tpath"
        self.process = None

    def _write(self, answer):
        (self.folder / "conf").write_text(CONF.format(dir=self.folder, port=self.port, back=self.back, answer=answer))

    def start(self, answer="return 204;"):
        self._write(answer)
        binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
        self.process = subprocess.Popen([binary, "-c", self.folder / "conf"], stderr=subprocess.DEVNULL)

        def is_up():
            assert self.process.poll() is None, (self.folder / "error.log").read_text()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(is_up, 30, "nginx")

    def answers(self, answer):
        """The same server, with other answers from now on."""
        self.stop()
        self.start(answer)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
        self.process = None

    def posts(self):
        """[(HTTP status, Authorization, body)]"""
        path = self.folder / "hook.log"
        found = []
        for line in path.read_text().splitlines() if path.exists() else []:
            entry = json.loads(line)
            found.append((int(entry["status"]), entry["auth"], json.loads(entry["body"]) if entry["body"] else None))
        return found

    def states(self):
        """What was received well, in order."""
        return [body["status"] for status, _, body in self.posts() if status < 300]


class Server:
    """A loopback HTTP server: `answer(method, path, headers, body)` gives (status, body) or None to hang."""

    def __init__(self, answer):
        self.requests = []
        self.hangs = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                outer.requests.append((self.command, self.path, dict(self.headers), body))
                result = answer(self.command, self.path, dict(self.headers), body)
                if result is None:
                    outer.hangs.wait(120)
                    self.close_connection = True
                    return
                data = result[1].encode()
                self.send_response(result[0])
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_HEAD = handle_any

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.hangs.set()
        self.server.shutdown()
        self.server.server_close()


def tar_members(path):
    """{name without the folder: bytes}"""
    import tarfile
    with tarfile.open(path) as tar:
        return {m.name.split("/", 1)[1]: tar.extractfile(m).read() for m in tar.getmembers()}


def everything_in(folder):
    return b"\n".join(p.read_bytes() for p in pathlib.Path(folder).rglob("*") if p.is_file() and not p.is_symlink())
