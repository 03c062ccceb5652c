"""Drives the storage layer through the built probe; see servers/storage_probe.c."""
import json
import os
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
SANITIZERS = {  # a mistake that they find is no error of the probe's
    "ASAN_OPTIONS": "exitcode=99",
    "LSAN_OPTIONS": f"exitcode=99:suppressions={SOURCE}/tests/support/lsan.supp:"
                    "print_suppressions=0",
}


class Failed(Exception):
    def __init__(self, answer):
        super().__init__(f"{answer['error']}: {answer['message']}")
        self.code, self.message = answer["error"], answer["message"]


class StorageProbe:
    """One store. Words are settings of it, such as endpoint=; 'env' adds to the environment."""

    def __init__(self, build, env=None, **store):
        words = [f"{name}={value}" for name, value in store.items()]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.folder = tempfile.TemporaryDirectory(prefix="probe-")
        self.process = subprocess.Popen(
            [Path(build) / "test-servers" / "storage_probe", *words], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**clean, "HOME": self.folder.name, "AWS_EC2_METADATA_DISABLED": "true",
                 **SANITIZERS, **(env or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        status = self.process.wait(60)
        self.folder.cleanup()
        assert status == 0, f"the probe ended with {status}"

    def call(self, do, **fields):
        self.process.stdin.write(json.dumps({"do": do, **fields}, ensure_ascii=False) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the probe has died"
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer)
        return answer

    def path(self, data=None):
        path = Path(self.folder.name) / "data"
        if data is not None:
            path.write_bytes(data)
        return str(path)

    def put(self, uri, data, **fields):
        return self.call("put", uri=uri, file=self.path(data), **fields)

    def stream(self, uri, data, **fields):
        return self.call("stream", uri=uri, file=self.path(data), **fields)

    def get(self, uri, **fields):
        self.call("get", uri=uri, file=self.path(), **fields)
        return Path(self.path()).read_bytes()

    def stat(self, uri, **fields):
        return self.call("stat", uri=uri, **fields)

    def items(self, uri, **fields):
        return self.call("list", uri=uri, **fields)["items"]

    def names(self, uri, **fields):
        return [item["name"] for item in self.items(uri, **fields)]

    def copy(self, uri, target, **fields):
        return self.call("copy", uri=uri, target=target, **fields)

    def remove(self, *uris, **fields):
        return self.call("remove", uris=list(uris), **fields)["failed"]

    def remove_one(self, uri, **fields):
        self.call("remove_one", uri=uri, **fields)

    def look_bucket(self, uri):
        return self.call("look_bucket", uri=uri)
