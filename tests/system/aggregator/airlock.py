"""A stand-in for the part of Airlock's admin API that hands files to the user database: sessions
from a key, the list of imports of a product, and new ones. Every request is held against the
rules of that API; 'plan' makes the next requests fail."""

import json
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SESSION = "/admin/authentication/startSessionFromKey"
KNOWN = {"name", "creator", "description", "s3File", "targetTable", "devUsers", "overwrite",
         "affectedColumns"}


class Airlock(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, key=None, password=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.key, self.password = key, password
        self.product = str(uuid.uuid4())
        self.sessions = set()
        self.jobs = []
        self.requests = []
        self.plan = []  # of (method, path pattern, what happens), each used once
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/airlock/api"

    def asked(self, method, part):
        return sum(1 for m, path in self.requests if m == method and part in path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        air = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.removeprefix("/airlock/api")
        air.requests.append((self.command, path))
        for step in air.plan:
            if step[0] == self.command and re.search(step[1], path):
                air.plan.remove(step)
                if isinstance(step[2], int):
                    return self.error(step[2], "as planned")
                if step[2] == "lose the answer":
                    self.answer(path, body, lost=True)
                self.close_connection = True
                return None
        return self.answer(path, body)

    do_GET = do_POST = handle_any

    def answer(self, path, body, lost=False):
        air = self.server
        if path == SESSION and self.command == "POST":
            wanted = {"key": air.key, "keyPassword": air.password}
            if json.loads(body) != wanted:
                return self.error(400, "Invalid key or password")
            token = f"head.{uuid.uuid4().hex}.tail"
            air.sessions.add(token)
            return self.send(200, token.encode(), "text/plain", lost)
        if air.key and self.headers.get("sessionToken") not in air.sessions:
            return self.error(401, "Invalid session token")
        if path != f"/admin/airlytics/products/{air.product}/dataimport":
            return self.error(404, "Product not found")
        if self.command == "GET":
            return self.json(200, {"productId": air.product, "pruneThreshold": 30,
                                   "jobs": air.jobs, "lastModified": 1})
        job = json.loads(body)
        wrong = self.wrong_in(job)
        if wrong:
            return self.error(400, wrong)
        air.jobs.append({**job, "uniqueId": str(uuid.uuid4()), "creationDate": 1735689600000,
                         "status": "PENDING"})
        return self.json(200, air.jobs[-1], lost)

    @staticmethod
    def wrong_in(job):
        for name in ("name", "creator", "s3File"):
            if not job.get(name):
                return f"{name} is missing"
        unknown = set(job) - KNOWN
        if unknown:
            return f"unexpected {sorted(unknown)}"
        if ("overwrite" in job) != ("targetTable" in job):
            return "overwrite and targetTable belong together"
        return None

    def json(self, status, value, lost=False):
        return self.send(status, json.dumps(value).encode(), "application/json", lost)

    def error(self, status, text):
        return self.json(status, {"error": text})

    def send(self, status, body, kind, lost=False):
        if lost:
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
