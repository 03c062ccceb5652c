#!/usr/bin/python3
"""Stand-ins for all that hands out credentials for AWS: the metadata service of a machine (IMDS, both
versions), the credential endpoint of a container (ECS, EKS), STS, the SSO portal and its tokens.

    aws_doubles.py --port 0         prints its endpoint, which is that of all of them

Each answer has new credentials, valid for 'lifetime_s'. What was asked is in 'calls'; who was given
what is in 'issued'.
"""
import json
import re
import secrets
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import sigv4
from stand_in import Reply, StandIn, json_reply, serve_until_stopped, text_reply

STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/([\w+=,.@/-]+)")


class StsError(Exception):
    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Aws(StandIn):
    ACCOUNT = "123456789012"
    ACCESS_KEY, SECRET_KEY = "AKIALONGTERMKEY00001", "long/term+secret=key"
    WEB_IDENTITY_TOKEN = "header.claims.signature"
    SSO_REFRESH_TOKEN = "sso-refresh-token"
    SSO_CLIENT = ("sso-client", "sso-client-secret")

    settings = ("lifetime_s", "imds", "role", "region", "container_token", "denied_roles",
                "external_ids", "web_identity_token", "sso_access_token")

    def __init__(self, **options):
        super().__init__(**options)
        self.lifetime_s = 3600
        self.issued = []  # {"by": ..., "for": ..., "access_key": ..., "secret_key": ..., "token": ...}
        self.keys = {self.ACCESS_KEY: (self.SECRET_KEY, None)}
        # "required": only version 2; "optional": both; "v1": tokens are not known; "off": 403.
        self.imds = "required"
        self.imds_tokens = {}  # each with its end
        self.role = "machine-role"  # None: the machine has none
        self.region = "eu-test-1"
        self.container_token = None  # what Authorization has to be
        self.denied_roles = []  # ARNs that nobody may assume
        self.external_ids = {}  # ARN: the ExternalId it asks for
        self.web_identity_token = self.WEB_IDENTITY_TOKEN
        self.sso_access_token = "sso-access-token"

    def issue(self, by, whom, lifetime_s=None):
        lifetime_s = self.lifetime_s if lifetime_s is None else lifetime_s
        end = datetime.now(timezone.utc) + timedelta(seconds=lifetime_s)
        given = {"by": by, "for": whom, "end": end,
                 "access_key": "ASIA" + secrets.token_hex(8).upper(),
                 "secret_key": secrets.token_urlsafe(30), "token": secrets.token_urlsafe(60) + "/+="}
        self.keys[given["access_key"]] = (given["secret_key"], given["token"])
        self.issued.append(given)
        return given

    def handle(self, request):
        request.content = request.body()
        path = request.raw_path
        if path.startswith("/latest/"):
            return self.metadata(request, path)
        if path.startswith(("/creds", "/v1/credentials", "/v2/credentials")):
            return self.container(request)
        if path == "/federation/credentials":
            return self.sso_credentials(request)
        if path == "/token" and request.method == "POST":
            return self.sso_token(request)
        if path == "/":
            return self.sts(request)
        return text_reply("not found\n", 404)

    # The machine's metadata service

    def metadata(self, request, path):
        if self.imds == "off":
            return text_reply("Forbidden\n", 403)
        if path == "/latest/api/token":
            return self.metadata_token(request)
        if request.method != "GET":
            return text_reply("Method Not Allowed\n", 405)
        token = request.headers.get("x-aws-ec2-metadata-token")
        if token is None and self.imds == "required":
            return text_reply("Unauthorized\n", 401)
        if token is not None and self.imds != "v1" \
                and self.imds_tokens.get(token, 0) <= time.monotonic():
            return text_reply("Unauthorized\n", 401)
        return self.metadata_of(path)

    def metadata_token(self, request):
        if self.imds == "v1":
            return text_reply("Not Found\n", 404)
        ttl = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if request.method != "PUT":
            return text_reply("Method Not Allowed\n", 405)
        if "x-forwarded-for" in request.headers:
            return text_reply("Forbidden\n", 403)
        if not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
            return text_reply("Bad Request\n", 400)
        token = secrets.token_urlsafe(40)
        self.imds_tokens[token] = time.monotonic() + int(ttl)
        return Reply(200, {"Content-Type": "text/plain",
                           "X-Aws-Ec2-Metadata-Token-Ttl-Seconds": ttl}, token.encode())

    def metadata_of(self, path):
        credentials = "/latest/meta-data/iam/security-credentials/"
        if path in (credentials, credentials[:-1]) and self.role:
            return text_reply(self.role)
        if self.role and path == credentials + self.role:
            given = self.issue("imds", self.role)
            return json_reply({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": stamp(
                datetime.now(timezone.utc)), "AccessKeyId": given["access_key"],
                "SecretAccessKey": given["secret_key"], "Token": given["token"],
                "Expiration": stamp(given["end"])})
        if path == "/latest/meta-data/placement/region":
            return text_reply(self.region)
        if path == "/latest/dynamic/instance-identity/document":
            return json_reply({"region": self.region, "accountId": self.ACCOUNT})
        return text_reply("Not Found\n", 404)

    # A container's endpoint

    def container(self, request):
        if request.method != "GET":
            return json_reply({"code": "BadRequest", "message": "only GET"}, 405)
        if self.container_token is not None \
                and request.headers.get("authorization") != self.container_token:
            return json_reply({"code": "AccessDeniedException",
                               "message": "Unauthorized Exception! The token is not valid"}, 401)
        given = self.issue("container", request.raw_path)
        return json_reply({"AccessKeyId": given["access_key"], "RoleArn": self.arn("task-role"),
                           "SecretAccessKey": given["secret_key"], "Token": given["token"],
                           "Expiration": stamp(given["end"])})

    # STS

    def arn(self, role):
        return f"arn:aws:iam::{self.ACCOUNT}:role/{role}"

    def sts(self, request):
        form = dict(request.query if request.method == "GET" else
                    parse_qsl(request.content.decode(), keep_blank_values=True))
        actions = {"AssumeRole": self.assume_role, "GetCallerIdentity": self.caller_identity,
                   "AssumeRoleWithWebIdentity": self.assume_with_web_identity}
        action = form.get("Action")
        try:
            if action not in actions or form.get("Version") != "2011-06-15":
                raise StsError("InvalidAction", f"Could not find operation {action} for version "
                               f"{form.get('Version')}")
            result = actions[action](request, form)
        except (StsError, sigv4.BadSignature) as error:
            status = getattr(error, "status", 403)
            return xml_reply(f'<ErrorResponse xmlns="{STS_NAMESPACE}"><Error><Type>Sender</Type>'
                             f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
                             "</Error><RequestId>request-1</RequestId></ErrorResponse>", status)
        return xml_reply(f'<{action}Response xmlns="{STS_NAMESPACE}"><{action}Result>{result}'
                         f"</{action}Result><ResponseMetadata><RequestId>request-1</RequestId>"
                         f"</ResponseMetadata></{action}Response>")

    def caller_identity(self, request, _form):
        key = sigv4.check(request, self.keys, "sts")
        return (f"<Arn>arn:aws:iam::{self.ACCOUNT}:user/{key}</Arn><UserId>{key}</UserId>"
                f"<Account>{self.ACCOUNT}</Account>")

    def assume_role(self, request, form):
        caller = sigv4.check(request, self.keys, "sts")
        arn = form.get("RoleArn", "")
        lifetime_s = check_assumption(form)
        wanted = self.external_ids.get(arn)
        if arn in self.denied_roles or wanted not in (None, form.get("ExternalId")):
            raise StsError("AccessDenied", f"User: arn:aws:iam::{self.ACCOUNT}:user/{caller} is not "
                           f"authorized to perform: sts:AssumeRole on resource: {arn}", 403)
        return self.assumed("sts:AssumeRole", form, lifetime_s)

    def assume_with_web_identity(self, request, form):
        if "authorization" in request.headers:
            raise StsError("InvalidAction", "this call is not signed")
        lifetime_s = check_assumption(form)
        if form.get("WebIdentityToken") != self.web_identity_token:
            raise StsError("InvalidIdentityToken", "The ID Token provided is not a valid JWT.")
        if form["RoleArn"] in self.denied_roles:
            raise StsError("AccessDenied", "Not authorized to perform "
                           "sts:AssumeRoleWithWebIdentity", 403)
        return self.assumed("sts:AssumeRoleWithWebIdentity", form, lifetime_s)

    def assumed(self, by, form, lifetime_s):
        """The stand-in's lifetime counts where it is the shorter one."""
        given = self.issue(by, form["RoleArn"], min(lifetime_s, self.lifetime_s))
        role = form["RoleArn"].rpartition("/")[2]
        session = form["RoleSessionName"]
        return (f"<Credentials><AccessKeyId>{given['access_key']}</AccessKeyId>"
                f"<SecretAccessKey>{given['secret_key']}</SecretAccessKey>"
                f"<SessionToken>{given['token']}</SessionToken>"
                f"<Expiration>{stamp(given['end'])}</Expiration></Credentials>"
                f"<AssumedRoleUser><AssumedRoleId>AROA1:{session}</AssumedRoleId>"
                f"<Arn>arn:aws:sts::{self.ACCOUNT}:assumed-role/{role}/{session}</Arn>"
                "</AssumedRoleUser>")

    # SSO

    def sso_credentials(self, request):
        account, role = request.parameter("account_id"), request.parameter("role_name")
        if request.headers.get("x-amz-sso_bearer_token") != self.sso_access_token:
            return sso_error("UnauthorizedException", "Session token not found or invalid", 401)
        if not account or not role:
            return sso_error("InvalidRequestException", "account_id or role_name is missing", 400)
        if account != self.ACCOUNT:
            return sso_error("ForbiddenException", "No access", 403)
        given = self.issue("sso", role)
        return json_reply({"roleCredentials": {
            "accessKeyId": given["access_key"], "secretAccessKey": given["secret_key"],
            "sessionToken": given["token"], "expiration": int(given["end"].timestamp() * 1000)}})

    def sso_token(self, request):
        asked = json.loads(request.content)
        if (asked.get("clientId"), asked.get("clientSecret")) != self.SSO_CLIENT:
            return oidc_error("InvalidClientException", "invalid_client", 401)
        if asked.get("grantType") != "refresh_token":
            return oidc_error("UnsupportedGrantTypeException", "unsupported_grant_type", 400)
        if asked.get("refreshToken") != self.SSO_REFRESH_TOKEN:
            return oidc_error("InvalidGrantException", "invalid_grant", 400)
        self.sso_access_token = f"sso-access-{secrets.token_hex(8)}"
        return json_reply({"accessToken": self.sso_access_token, "tokenType": "Bearer",
                           "expiresIn": self.lifetime_s, "refreshToken": self.SSO_REFRESH_TOKEN})


def check_assumption(form):
    """Returns how long the credentials are to last."""
    if not ROLE_ARN.fullmatch(form.get("RoleArn", "")):
        raise StsError("ValidationError", f"{form.get('RoleArn')} is invalid")
    if not re.fullmatch(r"[\w+=,.@-]{2,64}", form.get("RoleSessionName", "")):
        raise StsError("ValidationError", "Value at 'roleSessionName' failed to satisfy constraint")
    lifetime_s = form.get("DurationSeconds", "3600")
    if not lifetime_s.isdigit() or not 900 <= int(lifetime_s) <= 43200:
        raise StsError("ValidationError", "Value at 'durationSeconds' failed to satisfy constraint")
    return int(lifetime_s)


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def xml_reply(text, status=200):
    return Reply(status, {"Content-Type": "text/xml"}, text.encode())


def sso_error(kind, message, status):
    return json_reply({"message": message, "__type": f"com.amazonaws.switchboard.portal#{kind}"},
                      status, **{"x-amzn-ErrorType": kind})


def oidc_error(kind, error, status):
    return json_reply({"error": error, "error_description": error.replace("_", " "),
                       "__type": kind}, status, **{"x-amzn-ErrorType": kind})


if __name__ == "__main__":
    serve_until_stopped(lambda _arguments: Aws())
