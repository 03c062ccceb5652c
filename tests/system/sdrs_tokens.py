"""Who signs tokens: keys and signatures by openssl's commands, and a server of JWKS documents."""
import base64
import hashlib
import hmac
import http.server
import json
import subprocess
import threading
import time

ISSUER = "https://login.example"
AUDIENCE = "sdrs"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words, data=None):
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True,
                          input=data).stdout


class Signer:
    """An RSA key in a folder, and its name."""

    def __init__(self, folder, kid, bits=2048):
        self.kid, self.file = kid, folder / f"{kid}.key"
        openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}",
                "-out", self.file)

    @property
    def public_pem(self):
        return openssl("pkey", "-in", self.file, "-pubout")

    @property
    def certificate(self):
        return openssl("req", "-x509", "-key", self.file, "-subj", "/CN=login", "-days", "1")

    @property
    def jwk(self):
        said = openssl("rsa", "-in", self.file, "-noout", "-modulus").decode()
        modulus = bytes.fromhex(said.partition("=")[2].strip())
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
                "n": encode(modulus), "e": "AQAB"}

    def sign(self, data):
        return openssl("dgst", "-sha256", "-sign", self.file, data=data)

    def token(self, claims=None, header=None, **more):
        """A good one, but for what is said; None takes a member away. Text is taken as it is."""
        if not isinstance(header, str):
            header = json.dumps({"alg": "RS256", "typ": "JWT", "kid": self.kid, **(header or {})})
        if not isinstance(claims, str):
            now = int(time.time())
            claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600,
                      "email": "ada@example.org", **more}
            claims = json.dumps({k: v for k, v in claims.items() if v is not None})
        data = f"{encode(header.encode())}.{encode(claims.encode())}"
        return f"{data}.{encode(self.sign(data.encode()))}"

    def token_by_hmac(self):
        """As who has only the public key makes one, for whoever lets the token say how."""
        data = self.token(header={"alg": "HS256"}).rpartition(".")[0]
        mac = hmac.new(self.public_pem, data.encode(), hashlib.sha256).digest()
        return f"{data}.{encode(mac)}"


def jwks(*signers):
    return json.dumps({"keys": [signer.jwk for signer in signers]})


class JwksServer:
    """Serves a document, which a test may change; 'text' of None is a status 500."""

    def __init__(self, text, port=0):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                body = (outer.text or "down").encode()
                self.send_response(200 if outer.text else 500)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.text, self.asked = text, 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
