"""Google's ways to a bearer token, as a stand-in: the token endpoint, which takes a service account's
signed assertion or a user's refresh token, and the metadata server of a machine."""
import base64
import hashlib
import json
import re
import secrets
import subprocess
import threading
import time
from urllib.parse import parse_qs

from stand_in import json_reply, text_reply

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


class Tokens:
    """Who may do what: tokens with the time of their end."""

    EMAIL = "mover@project-1.iam.gserviceaccount.com"
    CLIENT_ID, CLIENT_SECRET = "client-1.apps.googleusercontent.com", "client secret/1"
    REFRESH_TOKEN = "1//refresh-token"
    PROJECT = "project-1"

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

    def answer(self, request):
        """The reply for a path of tokens, None for others."""
        if request.raw_path == "/token" and request.method == "POST":
            try:
                return self.grant(request)
            except Refusal as refusal:
                return refusal.reply
        if request.raw_path.startswith("/computeMetadata/") or request.raw_path == "/":
            return self.metadata(request)
        return None

    def reply(self):
        return {"access_token": self.issue(), "expires_in": self.lifetime_s, "token_type": "Bearer"}

    def grant(self, request):
        if not request.headers.get("content-type", "").startswith(
                "application/x-www-form-urlencoded"):
            raise Refusal("invalid_request", "the body is not a form")
        form = {name: values[0] for name, values in parse_qs(request.body().decode()).items()}
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
        if not scopes or not all(scope.startswith("https://www.googleapis.com/auth/")
                                 for scope in scopes):
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
