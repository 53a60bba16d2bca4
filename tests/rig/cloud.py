"""An instance's network: a namespace with 169.254.169.254, where the world's metadata and EC2, user-data and a program to
fetch are served; nothing else can be reached from it."""

import contextlib
import ctypes
import http.client
import http.server
import os
import subprocess
import threading

from s3 import start_real

CLONE_NEWNET = 0x40000000
ADDRESS = "169.254.169.254"
S3_ADDRESS, S3_NAME = "52.216.0.1", "s3.us-east-1.amazonaws.com"
MAC = "02:00:00:00:00:10"  # as the world's metadata has it


class Cloud:
    def __init__(self, world, name):
        self.world, self.name, self.user_data, self.program, self.seen, self.processes = world, name, b"", None, [], []
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "-n", name, "addr", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
        card = f"meta-data/network/interfaces/macs/{MAC}"
        world.metadata(f"{card}/device-number 0", f"{card}/mac {MAC}", f"{card}/local-ipv4s 10.0.0.10",
                       f"{card}/subnet-ipv4-cidr-block 10.0.0.0/24")
        # The one network card of the instance; a dummy would do, but not every kernel has any.
        subprocess.run(["ip", "-n", name, "link", "add", "eth0", "address", MAC, "type", "veth", "peer", "name", "out0"], check=True)
        subprocess.run(["ip", "-n", name, "addr", "add", "10.0.0.10/24", "dev", "eth0"], check=True)
        for card in ("out0", "eth0"):
            subprocess.run(["ip", "-n", name, "link", "set", card, "up"], check=True)
        with self.inside():  # a socket belongs to the namespace that it was made in
            self.server = http.server.ThreadingHTTPServer((ADDRESS, 80), Handler)
        self.server.cloud = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def start_s3(self, folder):
        """MinIO as the region's S3, at its own name: (the server, the files by which a machine finds and trusts it)."""
        subprocess.run(["ip", "-n", self.name, "addr", "add", f"{S3_ADDRESS}/32", "dev", "lo"], check=True)
        with self.inside():
            process = start_real("minio-tls", folder, S3_ADDRESS, 443, f"IP:{S3_ADDRESS},DNS:{S3_NAME}")
        self.processes.append(process)
        ca = process.server.ca
        mark = subprocess.run(["openssl", "x509", "-noout", "-hash", "-in", ca], check=True, capture_output=True, text=True).stdout.strip()
        return process.server, {"/etc/hosts": f"127.0.0.1 localhost\n{S3_ADDRESS} {S3_NAME}\n", f"/etc/ssl/certs/{mark}.0": ca.read_text()}

    @contextlib.contextmanager
    def inside(self):
        """This thread, and what it starts, in the namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            assert libc.setns(own, CLONE_NEWNET) == 0
            os.close(own)
            os.close(there)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for process in self.processes:
            process.close()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


class Handler(http.server.BaseHTTPRequestHandler):
    """Passes everything on to the world. Without a token it is IMDSv1, as an instance that does not require tokens has it:
    cloud-init knows EC2 by the DMI alone, and a container has none."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def ask(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.cloud.world.port, timeout=20)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        kept = [(n, v) for n, v in answer.getheaders() if n.lower() not in ("content-length", "connection", "date", "server")]
        return answer.status, text, kept

    def handle_any(self):
        cloud = self.server.cloud
        cloud.seen.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/user-data"):
            return self.answer(200, cloud.user_data)
        if self.path.startswith("/program"):
            return self.answer(200, cloud.program) if cloud.program else self.answer(403, b"")
        headers = {n: v for n, v in self.headers.items() if n.lower() != "connection"}
        is_metadata = self.command == "GET" and not any(n.lower() == "x-aws-ec2-metadata-token" for n in headers)
        if is_metadata:
            ttl = {"Host": ADDRESS, "X-aws-ec2-metadata-token-ttl-seconds": "60"}
            headers["X-aws-ec2-metadata-token"] = self.ask("PUT", "/latest/api/token", b"", {**ttl, "Content-Length": "0"})[1].decode()
        self.answer(*self.ask(self.command, self.path, body, headers))

    do_GET = do_HEAD = do_PUT = do_POST = handle_any
