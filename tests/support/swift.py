#!/usr/bin/python3
"""Another S3 server of one's own, for a second opinion: OpenStack Swift with its s3api, in a folder,
on free ports of 127.0.0.1.

    swift.py run        starts one, prints what to export, and serves until stdin is closed

It is another code with other habits: buckets belong to one account, there are no conditional writes,
no tags, no chunks with signatures and no rules of a bucket's life.
"""
import os
import pwd
import shutil
import sys
import tempfile
from pathlib import Path

import processes
from s3_server import S3Server

FILTERS = {"catch_errors": "", "proxy-logging": "", "listing_formats": "", "bulk": "", "copy": "",
           "slo": "", "dlo": "", "symlink": "",
           "memcache": "memcache_servers = 127.0.0.1:1\n",
           "versioned_writes": "allow_object_versioning = true\n",
           "s3api": "s3_acl = false\nlocation = us-east-1\ncheck_bucket_owner = false\n"
                    "dns_compliant_bucket_names = true\n",
           "tempauth": "user_first_user = secret-of-the-first .admin\n"
                       "user_second_user = secret-of-the-second .admin\n"}
PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
workers = 0
user = {user}
log_address = /nonexistent
[pipeline:main]
pipeline = catch_errors proxy-logging memcache listing_formats bulk s3api tempauth copy slo dlo \
versioned_writes symlink proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
"""
STORE = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
workers = 0
user = {user}
disable_fallocate = true
log_address = /nonexistent
recon_cache_path = {folder}/cache
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
fallocate_reserve = 0
recon_cache_path = {folder}/cache
"""


# In one process: a run of swift-ring-builder for each step takes longer than all the servers.
MAKE_RINGS = """
import sys
from swift.common.ring import RingBuilder
for kind, port in (word.split("=") for word in sys.argv[1:]):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port),
                     "device": "one", "weight": 1})
    builder.rebalance()
    builder.get_ring().save(kind + ".ring.gz")
"""


def is_installed():
    return shutil.which("swift-proxy-server") is not None


class Swift(S3Server):
    """The server in a folder, whose file system has to keep extended attributes."""

    def environment(self):
        return {**super().environment(), "RUN_CORE_TEST_S3_LACKS": "conditions, host names"}

    def __init__(self, folder):
        self.folder = Path(folder)
        # The package's configuration may be read by its user only.
        self.user = processes.account("swift")
        self.access_key, self.secret_key = "first:user", "secret-of-the-first"
        self.second = ("second:user", "secret-of-the-second")
        self.port = None
        self.running = []

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        try:
            for name in ("devices/one", "cache"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            stores = self.make_stores()
            self.make_proxy()
            self.own()
            for name, port in (*stores, ("proxy", self.port)):
                self.spawn(name, port)
            for process, port in self.running:
                processes.wait_for_port(port, process)
        except BaseException:
            self.stop()
            raise
        return self

    def names(self):
        user = self.user or pwd.getpwuid(os.getuid())
        return {"folder": self.folder, "user": user.pw_name}

    def make_stores(self):
        stores = [(kind, processes.free_port()) for kind in ("account", "container", "object")]
        processes.run([sys.executable, "-c", MAKE_RINGS, *(f"{kind}={port}" for kind, port in stores)],
                      cwd=self.folder)
        for kind, port in stores:
            (self.folder / f"{kind}.conf").write_text(STORE.format(kind=kind, port=port,
                                                                   **self.names()))
        return stores

    def make_proxy(self):
        self.port = processes.free_port()
        text = PROXY.format(port=self.port, **self.names())
        for name, settings in FILTERS.items():
            text += f"[filter:{name}]\nuse = egg:swift#{name.replace('-', '_')}\n{settings}"
        (self.folder / "proxy.conf").write_text(text)

    def own(self):
        if self.user:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def spawn(self, name, port):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.running.append((processes.spawn(
                [f"swift-{name}-server", self.folder / f"{name}.conf"], self.user,
                cwd=self.folder, stdout=log, stderr=log), port))

    def stop(self):
        for process, _ in self.running:
            process.kill()
        for process, _ in self.running:
            process.wait()


def keeps_attributes(folder):
    try:
        os.setxattr(folder, "user.test", b"1")
        return True
    except OSError:
        return False


def temporary():
    """A started server in a new folder."""
    folder = processes.temporary_folder("run-core-swift-")
    if not keeps_attributes(folder):
        shutil.rmtree(folder)
        folder = processes.temporary_folder("run-core-swift-", tempfile.gettempdir())
    return Swift(folder).start()


def remove(server):
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


if __name__ == "__main__":
    processes.serve_server(sys.modules[__name__], sys.argv[1:])
