"""Checks signatures of version 4 as Amazon's services do, from the request as it arrived."""
import hashlib
import hmac
import re
from datetime import datetime, timezone
from urllib.parse import quote

HEADER = re.compile(r"AWS4-HMAC-SHA256 +Credential=([^/,]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request, *"
                    r"SignedHeaders=([a-z0-9;-]+), *Signature=([0-9a-f]{64})")


class BadSignature(Exception):
    """'code' is the error's name on the wire."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def digest(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def check(request, secrets, service, region=None, skew_s=900):
    """Returns the access key of who signed. 'secrets' gives (secret key, session token or None) for an
    access key; the body has to be read before, as 'request.content'."""
    authorization = request.headers.get("authorization")
    if not authorization:
        raise BadSignature("MissingAuthenticationToken", "Request is missing Authentication Token")
    match = HEADER.fullmatch(authorization)
    if not match:
        raise BadSignature("IncompleteSignature", f"malformed: '{authorization}'")
    access_key, day, signed_region, signed_service, names, signature = match.groups()
    if access_key not in secrets:
        raise BadSignature("InvalidClientTokenId",
                           "The security token included in the request is invalid.")
    secret, token = secrets[access_key]
    if token and request.headers.get("x-amz-security-token") != token:
        raise BadSignature("InvalidClientTokenId",
                           "The security token included in the request is invalid.")
    if signed_service != service or region not in (None, signed_region):
        raise BadSignature("SignatureDoesNotMatch", "Credential should be scoped to another region "
                           f"or service, not '{signed_region}' and '{signed_service}'.")
    names = names.split(";")
    check_names(request, names)
    moment = request.headers.get("x-amz-date", "")
    check_time(moment, day, skew_s)
    scope = f"{day}/{signed_region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, canonical_digest(request, names)])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = digest(key, part)
    if not hmac.compare_digest(digest(key, text).hex(), signature):
        raise BadSignature("SignatureDoesNotMatch", "The request signature we calculated does not "
                           "match the signature you provided.")
    return access_key


def check_names(request, names):
    needed = {"host"} | {name for name in request.headers if name.startswith("x-amz-")}
    if names != sorted(names) or not needed <= set(names):
        raise BadSignature("SignatureDoesNotMatch", "unsigned or unsorted headers: "
                           f"{sorted(needed - set(names))}")


def check_time(moment, day, skew_s):
    try:
        signed = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise BadSignature("IncompleteSignature", f"Date must be in ISO-8601: '{moment}'") from error
    if not moment.startswith(day) \
            or abs((datetime.now(timezone.utc) - signed).total_seconds()) > skew_s:
        raise BadSignature("SignatureDoesNotMatch", f"Signature expired: {moment}")


def canonical_digest(request, names):
    query = "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
                            for name, value in request.query))
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n"
                      for name in names)
    # Services other than S3 take the path encoded once more than it was sent.
    path = quote(request.raw_path, safe="/-_.~")
    body = hashlib.sha256(request.content).hexdigest()
    text = "\n".join([request.method, path, query, headers, ";".join(names), body])
    return hashlib.sha256(text.encode()).hexdigest()
