#!/usr/bin/python3
"""What the HTTP client costs beside a bare loop of libcurl, in turns against one server.

    tests/bench/http_loop.py [BUILD]

takes the libraries of a release build, build/release by default."""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
LIBRARIES = ("libcore_http.a", "libcore_config.a", "libcore_schedule.a", "libcore_os.a",
             "librc_base.a")


def main():
    build = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else f"{ROOT}/build/release"
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "http_loop")
        subprocess.run(["cc", "-std=c11", "-O2", "-D_GNU_SOURCE", f"-I{ROOT}/core/include",
                        f"-I{ROOT}/core", os.path.join(ROOT, "tests/bench/http_loop.c"),
                        *(os.path.join(build, name) for name in LIBRARIES), "-lcurl", "-lyaml",
                        "-ldl", "-lpthread", "-o", program], check=True)
        subprocess.run([program], check=True)


if __name__ == "__main__":
    main()
