#!/usr/bin/python3
"""An S3 server of one's own, for tests: Ceph's RADOS gateway on a cluster of one monitor and one
store in memory, in a folder, on free ports of 127.0.0.1.

    ceph.py run         starts one, prints what to export, and serves until stdin is closed

It checks signatures, dates and payload hashes as Amazon does. It answers what Amazon would not:
an empty ETag after a multipart upload, an unquoted one after a copy, and empty messages in errors.
"""
import json
import os
import shutil
import signal
import sys
import uuid
from pathlib import Path

import processes
from s3_server import Running, S3Server

USERS = {  # name: (access key, secret key)
    "first": ("FIRSTUSERACCESSKEY01", "secret/of+the/first=user"),
    "second": ("SECONDUSERACCESSKEY2", "secret/of+the/second=user"),
}
CONFIGURATION = """
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{monitor_port}/0]
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
ms_bind_ipv6 = false
ms_bind_msgr1 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
keyring = {folder}/keyring
run_dir = {folder}/run
admin_socket =
log_file = {folder}/log/$name.log
mon_cluster_log_file = {folder}/log/cluster.log
crash_dir = {folder}/log
# One node, one copy of everything.
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
mon_data_avail_warn = 1
# A quick start.
mon_election_timeout = 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_heartbeat_grace = 60

[mon]
mon_data = {folder}/mon

[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = {limit_bytes}
osd_class_load_list = *
osd_class_default_list = *

[client.rgw]
rgw_data = {folder}/gateway
rgw_frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw_dns_name = localhost
rgw_thread_pool_size = 64
rgw_enable_usage_log = false
rgw_gc_obj_min_wait = 5
rgw_gc_processor_period = 5
rgw_gc_processor_max_time = 5
rgw_lc_debug_interval = {day_s}
rgw_override_bucket_index_max_shards = 1
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = testkey-1=YmluCmJvb3N0CmJvb3N0LWJ1aWxkCmNlcGguY29uZgo=
"""


class Ceph(S3Server):
    """The server in a folder, which is made by the first start and is lost with the processes."""

    def __init__(self, folder, limit_bytes=8 << 30, day_s=-1, storage_classes=()):
        """'limit_bytes' is the store's size, of which memory is used as objects come, twice.
        With 'day_s' rules of a bucket's life are carried out, and a day lasts that many seconds.
        'storage_classes' are those that there are besides STANDARD."""
        self.folder = Path(folder)
        self.limit_bytes = limit_bytes
        self.day_s = day_s
        self.storage_classes = storage_classes
        self.user = processes.account("ceph")
        self.access_key, self.secret_key = USERS["first"]
        self.second = USERS["second"]
        self.port = None
        self.monitor = self.store = self.gateway = None

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        try:
            self.make()
            self.monitor = self.daemon("ceph-mon", "-i", "a")
            store = str(uuid.uuid4())
            self.ceph("osd", "new", store)
            self.tool("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store, "--no-mon-config")
            self.store = self.daemon("ceph-osd", "-i", "0")
            for name in self.storage_classes:
                self.add_storage_class(name)
            self.start_gateway()
            for name in USERS:
                self.make_user(name, *USERS[name])
        except BaseException:
            self.stop()
            raise
        return self

    def make(self):
        for name in ("mon", "osd", "gateway", "run", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if self.user:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        monitor_port, self.port = processes.free_port(), processes.free_port()
        fsid = uuid.uuid4()
        (self.folder / "ceph.conf").write_text(CONFIGURATION.format(
            fsid=fsid, folder=self.folder, monitor_port=monitor_port, port=self.port,
            limit_bytes=self.limit_bytes, day_s=self.day_s))
        keyring = self.folder / "keyring"
        everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *"]
        self.tool("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.",
                  *everything)
        for name in ("client.admin", "client.rgw", "osd.0"):
            self.tool("ceph-authtool", keyring, "--gen-key", "-n", name, *everything)
        monitors = self.folder / "monmap"
        self.tool("monmaptool", "--create", "--fsid", fsid, "--addv", "a",
                  f"[v2:127.0.0.1:{monitor_port}/0]", monitors)
        self.tool("ceph-mon", "-i", "a", "--mkfs", "--monmap", monitors, "--keyring", keyring)

    def start_gateway(self):
        """After stop_gateway the same port answers again, with the same objects."""
        self.gateway = self.daemon("radosgw", "-n", "client.rgw")
        processes.wait_for_port(self.port, self.gateway)

    def stop_gateway(self, number=signal.SIGTERM):
        """After SIGKILL the cluster waits up to 30 s for the gateway before a bucket changes."""
        self.gateway.send_signal(number)
        self.gateway.wait(30)

    def stop(self):
        """All of it at once: there is nothing to keep."""
        for process in (self.gateway, self.store, self.monitor):
            if process:
                process.kill()
                process.wait()

    def run(self, words):
        return processes.run([*words, "-c", self.folder / "ceph.conf"], self.user,
                             cwd=self.folder)

    def tool(self, *words):
        self.run(words)

    def ceph(self, *words):
        """Runs a command of the cluster's administrator."""
        return self.run(["ceph", "--connect-timeout", "30", *words])

    def admin(self, *words):
        """Runs a command of the gateway's administrator and returns what it tells."""
        said = self.run(["radosgw-admin", *words])
        return json.loads(said) if said.strip() else None

    def daemon(self, program, *words):
        with open(self.folder / "log" / f"{program}.stderr", "ab") as log:
            return processes.spawn([program, *words, "-f", "-c", self.folder / "ceph.conf"],
                                   self.user, cwd=self.folder, stdout=log, stderr=log)

    def make_user(self, name, access_key, secret_key):
        self.admin("user", "create", f"--uid={name}", f"--display-name={name}",
                   f"--access-key={access_key}", f"--secret-key={secret_key}")

    def add_storage_class(self, name):
        for scope in ("zonegroup", "zone"):
            self.admin(scope, "placement", "add", f"--rgw-{scope}=default",
                       "--placement-id=default-placement", f"--storage-class={name}")


def temporary(**options):
    """A started server in a new folder; the one that is there already, within with-ceph."""
    if not options and "RUN_CORE_TEST_S3_ENDPOINT" in os.environ:
        return Running(os.environ)
    return Ceph(processes.temporary_folder("run-core-ceph-"), **options).start()


def remove(server):
    if isinstance(server, Ceph):
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


if __name__ == "__main__":
    processes.serve_server(sys.modules[__name__], sys.argv[1:])
