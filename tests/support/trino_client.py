"""A client of Trino's for tests, on Python's own library: statements go out, rows come in. It shares
nothing with the one that is tested."""
import base64
import contextlib
import http.client
import json
import os
import ssl
import time
import urllib.parse

TRIES = 100


class TrinoError(Exception):
    """What the server says of a statement that it did not carry out."""

    def __init__(self, error):
        super().__init__(f"{error['errorName']}: {error['message']}")
        self.name, self.message, self.code = (
            error["errorName"], error["message"], error["errorCode"])


class Answer:
    """Rows of values as JSON has them, and what else came with them."""

    def __init__(self):
        self.columns, self.rows, self.pages = None, [], 0
        self.update_type = self.update_count = None
        self.stats, self.warnings = {}, []

    def add(self, page):
        self.pages += 1
        if page.get("columns"):
            self.columns = [(column["name"], column["type"]) for column in page["columns"]]
        self.rows += page.get("data") or []
        self.update_type = page.get("updateType", self.update_type)
        self.update_count = page.get("updateCount", self.update_count)
        self.stats = page.get("stats", self.stats)
        self.warnings = page.get("warnings") or self.warnings


class TrinoClient:
    """'login' is a user and his password or, of None, 'token' alone. 'authority' is the file by
    whose certificates the server is judged, where it speaks TLS."""

    def __init__(self, url, user="tests", login=None, token=None, authority=None):
        self.url, self.user = url, user
        self.headers = {}
        if login:
            self.user = login[0]
            self.headers["Authorization"] = "Basic " + base64.b64encode(
                ":".join(login).encode()).decode()
        elif token:
            self.headers["Authorization"] = f"Bearer {token}"
        self.context = ssl.create_default_context(cafile=authority) if authority else None

    def request(self, method, url, body=None, headers=None):
        """The status, the headers and the body of one answer."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.netloc, timeout=60,
                                                     context=self.context)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        try:
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, path, body, {
                "X-Trino-User": self.user, "X-Trino-Time-Zone": "UTC",
                "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME",  # or times have 3 digits
                **self.headers, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def page(self, method, url, body=None, headers=None):
        for _ in range(TRIES):
            status, _, said = self.request(method, url, body, headers)
            if status == 200:
                # Later releases hand out bytes of a varchar as they are in the file.
                return json.loads(said.decode("utf-8", "replace"))
            if status not in (429, 502, 503, 504):
                raise RuntimeError(f"{method} {url}: status {status}\n{said.decode()[:2000]}")
            time.sleep(0.1)
        raise RuntimeError(f"{method} {url}: status {status}, {TRIES} times")

    def ask(self, sql, catalog=None, schema=None, **session):
        """Runs a statement to its end. 'session' has properties, with '__' for the dot after the
        catalog's name."""
        headers = {}
        if catalog:
            headers["X-Trino-Catalog"] = catalog
        if schema:
            headers["X-Trino-Schema"] = schema
        if session:
            headers["X-Trino-Session"] = ",".join(
                f"{name.replace('__', '.')}={urllib.parse.quote(str(value))}"
                for name, value in session.items())
        answer = Answer()
        page = self.page("POST", f"{self.url}/v1/statement", sql.encode(), headers)
        while True:
            if "error" in page:
                raise TrinoError(page["error"])
            answer.add(page)
            if "nextUri" not in page:
                return answer
            page = self.page("GET", page["nextUri"])

    def query(self, sql, catalog=None, schema=None, **session):
        """The rows alone."""
        return self.ask(sql, catalog, schema, **session).rows


class TrinoServer:
    """What tests know of a server, whoever started it. Subclasses set url, and s3: the S3Server whose
    buckets the catalog hive_s3 reads."""

    authority = None

    def client(self, **options):
        return TrinoClient(self.url, authority=self.authority, **options)

    def ask(self, sql, catalog="hive", schema=None, **session):
        """See TrinoClient.ask()."""
        return self.client().ask(sql, catalog, schema, **session)

    def query(self, sql, catalog="hive", schema=None, **session):
        """The rows alone."""
        return self.ask(sql, catalog, schema, **session).rows

    @contextlib.contextmanager
    def schema(self, catalog="hive"):
        """The name of a new schema, which goes with its tables."""
        name = f"tests_{os.urandom(6).hex()}"
        self.query(f"CREATE SCHEMA {name}", catalog)
        try:
            yield name
        finally:
            for (table,) in self.query("SHOW TABLES", catalog, name):
                quoted = table.replace('"', '""')
                self.query(f'DROP TABLE "{quoted}"', catalog, name)
            self.query(f"DROP SCHEMA {name}", catalog)


class Running(TrinoServer):
    """A server that somebody else has started, known by the environment."""

    def __init__(self, environment, s3):
        self.url, self.s3 = environment["RUN_CORE_TEST_TRINO_URL"], s3
