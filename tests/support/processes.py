"""What the test servers share: a port, an account that is not root's, and processes that end with
the one that started them, be it by SIGKILL."""
import contextlib
import ctypes
import fcntl
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
LOWEST_PORT = 10000  # below are those that services have by agreement
CHANCE = random.SystemRandom()
PORTS = set()  # that were given away here


def free_port():
    """A port of 127.0.0.1 that nobody listens on now. Where there is room, one that the kernel gives
    to nobody who asks for any: it may take a while until its server listens there."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = CHANCE.randrange(LOWEST_PORT, first) if first > LOWEST_PORT + 1000 else 0
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            port = listener.getsockname()[1]
            if port not in PORTS:
                PORTS.add(port)
                return port


def account(*names):
    """The first of these users that exists; None where this process is not root's anyway."""
    if os.getuid() != 0:
        return None
    for name in (*names, "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise SystemExit(f"there is no user {' or '.join(names)} to run the server as")


def temporary_folder(prefix, place=None):
    """A new folder that other users may see, in memory where there is memory to be had as files.
    It is locked while this process lives; what others left behind when they were killed goes."""
    if place is None:
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
    for other in Path(place).glob(prefix + "*"):
        with contextlib.suppress(OSError):
            # One that is younger may not be locked yet.
            if time.time() - other.stat().st_mtime > 60 and lock(other) is not None:
                shutil.rmtree(other, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=prefix, dir=place)
    lock(folder)
    os.chmod(folder, 0o755)
    return folder


def lock(folder):
    """The descriptor that holds the lock until this process ends, None if another holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    except BlockingIOError:
        os.close(descriptor)
        return None


def spawn(words, user=None, **options):
    """Starts a program that gets SIGKILL when this process ends, however that happens."""
    parent = os.getpid()

    def dies_with_parent():
        # Set after the change of user, which would clear it.
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    if user:
        options.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([str(word) for word in words], preexec_fn=dies_with_parent, **options)


def run(words, user=None, timeout_s=60, **options):
    """Runs a program to its end and returns what it printed; says what it complained of."""
    if user:
        options.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    words = [str(word) for word in words]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=timeout_s, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: status {done.returncode}\n"
                           + done.stderr.decode("utf-8", "replace"))
    return done.stdout


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_taken(process, number):
    """Until the process, or its end, has taken a signal that it reads, so that another of the same
    number would not merge with it."""
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            pending = (int(line.split()[1], 16) for line in status.splitlines()
                       if line.startswith(("SigPnd", "ShdPnd")))
            if not any(mask >> (number - 1) & 1 for mask in pending):
                return
        time.sleep(0.005)


def wait_for_port(port, process, timeout_s=30):
    """Returns when somebody listens; fails when the process that should has ended."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            pass
        if process.poll() is not None:
            raise RuntimeError(f"'{process.args[0]}' ended with status {process.returncode}")
        if time.monotonic() > end:
            raise TimeoutError(f"'{process.args[0]}' does not listen on {port}")
        time.sleep(0.01)


def serve_server(module, words):
    """The main program of a server's module: starts one, prints how tests find it, and waits."""
    if words != ["run"]:
        raise SystemExit(module.__doc__)
    server = module.temporary()
    try:
        for name, value in server.environment().items():
            print(f"{name}={value}", flush=True)
        sys.stdin.read()
    finally:
        module.remove(server)


def run_with_server(module, command):
    """Runs a command that finds a new server of a module by its environment; returns its status."""
    if not command:
        raise SystemExit(sys.modules["__main__"].__doc__)
    if "RUN_CORE_TEST_S3_ENDPOINT" in os.environ:
        os.execvp(command[0], command)
    # As an exception, so that the server's folder is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = module.temporary()
    try:
        environment = dict(os.environ, **server.environment())
        status = subprocess.run(command, env=environment, check=False).returncode
    finally:
        module.remove(server)
    return status if status >= 0 else 128 - status
