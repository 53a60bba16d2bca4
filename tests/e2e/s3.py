"""S3 servers for the tests: our own (tests/world), MinIO and versitygw, with and without TLS; boto3 as the other client."""

import os
import shutil
import socket
import subprocess
import warnings

import boto3
import botocore.config
import botocore.exceptions

from harness import S3_KEY, S3_SECRET, S3_TOKEN, TOP, World, wait_until

MODULES = {
    "versitygw-v1.7.0": "make build/bin/versitygw-v1.7.0",
    "minio-20260212201848": "make build/bin/minio-20260212201848",
}


def tool(name):
    """build/bin/NAME, built once by go; or None and why it cannot be had."""
    path = TOP / "build" / "bin" / name
    if path.exists():
        return path, None
    if not shutil.which("go"):
        return None, "there is no go here to build it"
    done = subprocess.run(["make", "-C", str(TOP), f"build/bin/{name}"], capture_output=True, text=True, timeout=900)
    return (path, None) if done.returncode == 0 else (None, done.stderr[-300:])


class Server:
    """One S3 on loopback: url, keys, a boto3 client."""

    def __init__(self, name, url, key, secret, token=None, ca=None):
        self.name, self.url, self.ca = name, url, ca
        self.env = {"AWS_ENDPOINT_URL_S3": url, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": key,
                    "AWS_SECRET_ACCESS_KEY": secret, "AWS_EC2_METADATA_DISABLED": "true"}
        if token:
            self.env["AWS_SESSION_TOKEN"] = token
        if ca:
            self.env["AWS_CA_BUNDLE"] = str(ca)
        self.boto = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
            region_name="us-east-1", verify=str(ca) if ca else None,
            config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3}, proxies={}))
        self.count = 0

    def bucket(self):
        """A new one."""
        self.count += 1
        name = f"bucket-{self.count}"
        self.boto.create_bucket(Bucket=name)
        return name

    def put(self, bucket, key, body=b"", **how):
        for left in (2, 1, 0):
            try:
                return self.boto.put_object(Bucket=bucket, Key=key, Body=body, **how)
            except botocore.exceptions.ClientError as error:
                # versitygw at times takes the body that follows boto3's "Expect" for the next request.
                if not left or error.response["Error"]["Code"] != "BadRequest":
                    raise

    def get(self, bucket, key):
        return self.boto.get_object(Bucket=bucket, Key=key)["Body"].read()

    def objects(self, bucket, prefix=""):
        """{key below prefix: contents}."""
        pages = self.boto.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {o["Key"][len(prefix):]: self.get(bucket, o["Key"]) for page in pages for o in page.get("Contents", [])}

    def keys(self, bucket, prefix=""):
        pages = self.boto.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [o["Key"][len(prefix):] for page in pages for o in page.get("Contents", [])]

    def uploads(self, bucket):
        return self.boto.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def files(root):
    """{path below root: contents}; folders end in "/", links are "-> target"."""
    found = {}
    for folder, names, leaves in os.walk(root):
        here = os.path.relpath(folder, root)
        for name in leaves:
            path = os.path.join(folder, name)
            relative = os.path.normpath(os.path.join(here, name))
            found[relative] = "-> " + os.readlink(path) if os.path.islink(path) else open(path, "rb").read()
        if here != "." and not names and not leaves:
            found[here + "/"] = None
    return found


def fill(root, contents):
    for path, body in contents.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
    return root


def world_server(world):
    return Server("world", world.s3_url, S3_KEY, S3_SECRET, S3_TOKEN)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def certificate(folder, names):
    """A CA of our own for these names (as in subjectAltName): (certificate, key)."""
    crt, key = folder / "public.crt", folder / "private.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=a test's S3", "-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(crt)],
                   check=True, capture_output=True)
    return crt, key


class Process:
    """A server of someone else's, ended with the test run."""

    def __init__(self, name, folder, argv, env, url, key, secret, ca):
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen([str(a) for a in argv], env={**os.environ, **env}, stdout=self.log, stderr=self.log)
        self.server = Server(name, url, key, secret, None, ca)
        try:
            wait_until(self._is_up, 60, name)
        except BaseException:
            self.close()
            raise

    def _is_up(self):
        assert self.process.poll() is None, open(self.log.name).read()
        try:
            self.server.boto.list_buckets()
            return True
        except Exception:  # noqa: BLE001  # not there yet, whatever it says
            return False

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def start_real(name, folder, host="127.0.0.1", port=None, names="IP:127.0.0.1"):
    """minio, minio-tls, versitygw, versitygw-tls."""
    kind, _, tls = name.partition("-")
    folder.mkdir(parents=True)
    port = port or free_port()
    (folder / "data").mkdir()
    (folder / "certs").mkdir()
    crt, private = certificate(folder / "certs", names) if tls else (None, None)
    url = f"{'https' if tls else 'http'}://{host}:{port}"
    if kind == "minio":
        binary = tool("minio-20260212201848")[0]
        argv = [binary, "server", "--quiet", "--address", f"{host}:{port}", "--certs-dir", folder / "certs", folder / "data"]
        env = {"MINIO_ROOT_USER": "tester", "MINIO_ROOT_PASSWORD": "tester/secret+1", "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
        return Process(name, folder, argv, env, url, "tester", "tester/secret+1", crt)
    binary = tool("versitygw-v1.7.0")[0]
    argv = [binary, "--port", f"{host}:{port}", "--keep-alive", "--quiet"]
    argv += ["--cert", crt, "--key", private] if tls else []
    env = {"ROOT_ACCESS_KEY": "tester", "ROOT_SECRET_KEY": "tester/secret+1"}
    return Process(name, folder, [*argv, "posix", folder / "data"], env, url, "tester", "tester/secret+1", crt)


def real_names():
    """The real servers that this machine has; a warning names what is missing."""
    found = []
    for module, kind in (("minio-20260212201848", "minio"), ("versitygw-v1.7.0", "versitygw")):
        path, reason = tool(module)
        if path:
            found += [kind, f"{kind}-tls"]
        else:
            warnings.warn(f"{module} is not tested against: {reason}")
    return found


__all__ = ["Server", "World", "fill", "files", "real_names", "start_real", "world_server"]
