"""Google's ways to a bearer token, as a stand-in: the token endpoint, which takes a service account's
signed assertion or a user's refresh token; the exchange of another party's token; impersonation of a
service account; and the metadata server of a machine."""
import base64
import hashlib
import json
import re
import secrets
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs

from stand_in import json_reply, text_reply

EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
SCOPE = "https://www.googleapis.com/auth/"
ASSERTION_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
REAL_TOKEN_URI = "https://oauth2.googleapis.com/token"
# What is before the digest in a signature by RSA and SHA-256 (RFC 8017, section 9.2).
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
KEY_LOCK = threading.Lock()
KEYS = []


class Key:
    """An RSA key, made when it is first needed, by openssl."""

    def __init__(self):
        def openssl(*words, **options):
            return subprocess.run(["openssl", *words], check=True, capture_output=True, text=True,
                                  **options).stdout
        self.private = openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt",
                               "rsa_keygen_bits:2048")
        said = openssl("rsa", "-noout", "-modulus", input=self.private)
        self.modulus = int(said.partition("=")[2], 16)
        self.id = hashlib.sha1(said.encode()).hexdigest()

    @staticmethod
    def get():
        with KEY_LOCK:
            if not KEYS:
                KEYS.append(Key())
            return KEYS[0]

    def has_signed(self, message, signature):
        size = (self.modulus.bit_length() + 7) // 8
        digest = DIGEST_INFO + hashlib.sha256(message).digest()
        wanted = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
        number = int.from_bytes(signature, "big")
        return len(signature) == size and pow(number, 65537, self.modulus) == int.from_bytes(
            wanted, "big")


def decode(text):
    text = text.rstrip("=")  # which should not be there, but Google takes it
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Refusal(Exception):
    def __init__(self, error, description, status=400):
        super().__init__(description)
        self.reply = json_reply({"error": error, "error_description": description}, status)


def read_form(request):
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Refusal("invalid_request", "the body is not a form")
    return {name: values[0] for name, values in parse_qs(request.body().decode()).items()}


class Tokens:
    """Who may do what: tokens with the time of their end."""

    EMAIL = "mover@project-1.iam.gserviceaccount.com"
    CLIENT_ID, CLIENT_SECRET = "client-1.apps.googleusercontent.com", "client secret/1"
    REFRESH_TOKEN = "1//refresh-token"
    PROJECT = "project-1"
    AUDIENCE = ("//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/"
                "providers/provider")
    SUBJECT_TOKEN = "header.claims.signature"

    def __init__(self, server):
        self.server = server
        self.lifetime_s = 3599
        self.valid = {}

    @property
    def uri(self):
        return f"{self.server.endpoint}/token"

    def issue(self, lifetime_s=None):
        token = f"ya29.{secrets.token_urlsafe(24)}"
        lifetime_s = self.lifetime_s if lifetime_s is None else lifetime_s
        self.valid[token] = time.monotonic() + lifetime_s
        return token

    def expire(self):
        """All tokens issued so far, whatever their holders think of it."""
        self.valid.clear()

    def takes(self, authorization):
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self.valid.get(token, 0) > time.monotonic()

    def service_account(self, **changed):
        """The key file of an account that may have tokens."""
        key = Key.get()
        return {"type": "service_account", "project_id": self.PROJECT, "private_key_id": key.id,
                "private_key": key.private, "client_email": self.EMAIL, "client_id": "1234567890",
                "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": self.uri,
                **changed}

    def authorized_user(self, **changed):
        """What 'gcloud auth application-default login' writes, and where the token is to be had."""
        return {"type": "authorized_user", "client_id": self.CLIENT_ID,
                "client_secret": self.CLIENT_SECRET, "refresh_token": self.REFRESH_TOKEN,
                "token_uri": self.uri, **changed}

    def external_account(self, source, impersonated=False, **changed):
        """Of another party, whose token, SUBJECT_TOKEN, is to be had from 'source': {"file": ...}."""
        account = {"type": "external_account", "audience": self.AUDIENCE,
                   "subject_token_type": JWT_TYPE, "credential_source": source,
                   "token_url": f"{self.server.endpoint}/v1/token"}
        if impersonated:
            account["service_account_impersonation_url"] = self.impersonation_url
        return {**account, **changed}

    def impersonated(self, source, **changed):
        """Another account's key, with which the service account may be impersonated."""
        return {"type": "impersonated_service_account", "source_credentials": source,
                "service_account_impersonation_url": self.impersonation_url, "delegates": [],
                **changed}

    @property
    def impersonation_url(self):
        return (f"{self.server.endpoint}/v1/projects/-/serviceAccounts/{self.EMAIL}"
                ":generateAccessToken")

    def answer(self, request):
        """The reply for a path of tokens, None for others."""
        ways = {"/token": self.grant, "/v1/token": self.exchange}
        if request.method == "POST" and request.raw_path in ways:
            try:
                return ways[request.raw_path](request)
            except Refusal as refusal:
                return refusal.reply
        if request.method == "POST" and request.raw_path.endswith(":generateAccessToken"):
            return self.impersonate(request)
        if request.raw_path.startswith("/computeMetadata/") or request.raw_path == "/":
            return self.metadata(request)
        return None

    def reply(self):
        return {"access_token": self.issue(), "expires_in": self.lifetime_s, "token_type": "Bearer"}

    def exchange(self, request):
        form = read_form(request)
        wanted = {"grant_type": EXCHANGE_GRANT, "audience": self.AUDIENCE,
                  "requested_token_type": ACCESS_TOKEN_TYPE, "subject_token_type": JWT_TYPE}
        for name, value in wanted.items():
            if form.get(name) != value:
                raise Refusal("invalid_request", f"Invalid value for \"{name}\".")
        if not form.get("scope", "").startswith(SCOPE):
            raise Refusal("invalid_request", "Invalid value for \"scope\".")
        if form.get("subject_token") != self.SUBJECT_TOKEN:
            raise Refusal("invalid_grant", "The given credential is rejected by the attribute "
                          "condition.")
        return json_reply({**self.reply(), "issued_token_type": ACCESS_TOKEN_TYPE})

    def impersonate(self, request):
        """Errors are as those of Google's newer services."""
        def refuse(status, word, message):
            return json_reply({"error": {"code": status, "status": word, "message": message}},
                              status)
        if not self.takes(request.headers.get("authorization", "")):
            return refuse(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if not request.target.endswith(f"/{self.EMAIL}:generateAccessToken"):
            return refuse(404, "NOT_FOUND", "Not found; Gaia id not found for email")
        try:
            asked = json.loads(request.body())
            lifetime_s = float(re.fullmatch(r"([0-9.]+)s", asked.get("lifetime", "3600s"))[1])
            fine = asked["scope"] and all(scope.startswith(SCOPE) for scope in asked["scope"])
        except (ValueError, TypeError, KeyError):
            fine = False
        if not fine or not 0 < lifetime_s <= 3600:
            return refuse(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
        lifetime_s = min(lifetime_s, self.lifetime_s)
        end = datetime.now(timezone.utc) + timedelta(seconds=lifetime_s)
        return json_reply({"accessToken": self.issue(lifetime_s),
                           "expireTime": end.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def grant(self, request):
        form = read_form(request)
        kind = form.get("grant_type")
        if kind == ASSERTION_GRANT:
            self.check_assertion(form.get("assertion", ""))
        elif kind == "refresh_token":
            self.check_refresh(form)
        else:
            raise Refusal("unsupported_grant_type", f"Invalid grant_type: {kind}")
        return json_reply(self.reply())

    def check_refresh(self, form):
        if form.get("client_id") != self.CLIENT_ID \
                or form.get("client_secret") != self.CLIENT_SECRET:
            raise Refusal("invalid_client", "The OAuth client was not found.", 401)
        if form.get("refresh_token") != self.REFRESH_TOKEN:
            raise Refusal("invalid_grant", "Token has been expired or revoked.")

    def check_assertion(self, assertion):
        key = Key.get()
        try:
            head, claims, signature = assertion.split(".")
            message = f"{head}.{claims}".encode()
            head, claims = json.loads(decode(head)), json.loads(decode(claims))
            signature = decode(signature)
        except ValueError as error:
            raise Refusal("invalid_grant", f"Bad Request: {error}") from error
        if head.get("alg") != "RS256" or head.get("typ", "JWT") != "JWT":
            raise Refusal("invalid_grant", f"Invalid JWT: algorithm {head.get('alg')}")
        if claims.get("iss") != self.EMAIL:
            raise Refusal("invalid_grant", "Invalid grant: account not found")
        if head.get("kid", key.id) != key.id or not key.has_signed(message, signature):
            raise Refusal("invalid_grant", "Invalid JWT Signature.")
        if claims.get("aud") not in (self.uri, REAL_TOKEN_URI):
            raise Refusal("invalid_grant", "Invalid JWT: Failed audience check.")
        issued, end, now = claims.get("iat"), claims.get("exp"), time.time()
        if not isinstance(issued, int) or not isinstance(end, int) or end - issued > 3600 \
                or end <= now or issued > now + 300 or issued < now - 3600:
            raise Refusal("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 "
                          "minutes) and in a reasonable timeframe. Check your iat and exp values "
                          "in the JWT claim.")
        scopes = claims.get("scope", "").split()
        if not scopes or not all(scope.startswith(SCOPE) for scope in scopes):
            raise Refusal("invalid_scope", "Invalid OAuth scope or ID token audience provided.")

    def metadata(self, request):
        if request.headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in \
                request.headers:
            return text_reply("Missing Metadata-Flavor:Google header.\n", 403)
        flavor = {"Metadata-Flavor": "Google"}
        in_json = {**flavor, "Content-Type": "application/json"}
        account = "/computeMetadata/v1/instance/service-accounts/"
        path = request.raw_path
        for name in ("default", self.EMAIL):
            path = path.replace(account + name, account + "default")
        if path == account + "default/token":
            return json_reply(self.reply(), **in_json)
        known = {
            account + "default/email": self.EMAIL,
            account + "default/scopes": "https://www.googleapis.com/auth/cloud-platform\n",
            account: f"default/\n{self.EMAIL}/\n",
            "/computeMetadata/v1/project/project-id": self.PROJECT,
            "/computeMetadata/v1/universe/universe-domain": "googleapis.com",
            "/computeMetadata/v1/instance": "attributes/\n", "/": "computeMetadata/\n",
        }
        if path == account + "default/" and request.parameter("recursive") == "true":
            return json_reply({"aliases": ["default"], "email": self.EMAIL, "scopes": [
                "https://www.googleapis.com/auth/cloud-platform"]}, **in_json)
        if path not in known:
            return text_reply("not found\n", 404, **flavor)
        return text_reply(known[path], **flavor)
