"""AWS credentials are found where botocore finds them: the same environments for both, with stand-ins
for all that hands them out. Nothing here may reach a real metadata service: every environment names
the stand-in.
"""
import hashlib
import json
import os
import stat
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import botocore.exceptions
import botocore.session
import botocore.utils
import pytest
from aws_doubles import Aws
from conftest import BUILD, PATIENCE_S, SOURCE
from faults import Rule

SANITIZERS = {  # a mistake that they find is no error of the probe's
    "ASAN_OPTIONS": "exitcode=99",
    "LSAN_OPTIONS": f"exitcode=99:suppressions={SOURCE}/tests/support/lsan.supp:"
                    "print_suppressions=0",
    "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", ""),
}
PROBE = BUILD / "test-servers" / "aws_probe"
ROLE = "arn:aws:iam::123456789012:role/"
KEYS = f"aws_access_key_id={Aws.ACCESS_KEY}\naws_secret_access_key={Aws.SECRET_KEY}\n"
OWN = f"static {Aws.ACCESS_KEY}"
PROCESS = """#!/bin/sh
printf '{"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "%s"}' "$1"
"""


def stamp(seconds):
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Place:
    """A home directory, an environment and the stand-in that it points to."""

    def __init__(self, folder, aws):
        self.folder, self.aws = folder, aws
        (folder / ".aws").mkdir()
        self.env = {
            "HOME": str(folder), "PATH": os.environ["PATH"], "AWS_REGION": "eu-test-1",
            "AWS_DEFAULT_REGION": "eu-test-1",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.endpoint,
            "AWS_ENDPOINT_URL_STS": aws.endpoint, "AWS_ENDPOINT_URL_SSO": aws.endpoint,
            "AWS_ENDPOINT_URL_SSO_OIDC": aws.endpoint,
        }
        aws.imds = "off"

    def write(self, name, text, mode=0o600):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def sso_token(self, key, **members):
        name = hashlib.sha1(key.encode()).hexdigest()
        token = {"startUrl": "https://start", "region": "eu-test-1",
                 "accessToken": self.aws.sso_access_token, "expiresAt": stamp(7200), **members}
        return self.write(f".aws/sso/cache/{name}.json", json.dumps(token))

    def ask(self, what, *words, **env):
        result = subprocess.run([PROBE, what, *words], env={**SANITIZERS, **self.env, **env},
                                capture_output=True, timeout=PATIENCE_S)
        text = result.stdout.decode() + result.stderr.decode()
        assert result.returncode in (0, 1) and not result.stderr, text
        for secret in (Aws.SECRET_KEY, *(given["secret_key"] for given in self.aws.issued)):
            assert secret not in text
        return [json.loads(line) for line in result.stdout.decode().splitlines()]

    def get(self, *words, **env):
        return self.ask("get", *words, **env)[0]

    def fault(self, rule):
        self.aws.rules.clear()
        self.aws.rules.add(rule)

    def name(self, access_key, secrets):
        """What a set of keys is, once its secrets are found to belong to it."""
        for given in self.aws.issued:
            if given["access_key"] == access_key:
                assert secrets == digest(given["secret_key"], given["token"])
                return f"{given['by']} {given['for']}"
        return f"static {access_key}"

    def ours(self, profile=None):
        found = self.get(*([f"profile={profile}"] if profile else []))
        if "error" in found:
            return "none" if found["error"] == "not_found" else "error", found
        return self.name(found["access_key"], found["secrets"]), found

    def theirs(self, monkeypatch, profile=None):
        for name in list(os.environ):
            if name.startswith("AWS_") or name.lower().endswith("_proxy"):
                monkeypatch.delenv(name)
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("http_proxy", raising=False)
        cache = str(self.folder / ".aws/sso/cache")
        monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", cache)
        monkeypatch.setattr("botocore.tokens.SSOTokenProvider._SSO_TOKEN_CACHE_DIR", cache)
        monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.IP_ADDRESS",
                            f"127.0.0.1:{self.aws.port}")
        monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
        monkeypatch.setattr("time.sleep", lambda _seconds: None)
        select = botocore.utils.IMDSFetcher._select_base_url

        def select_stand_in(*words):
            assert select(*words).startswith(self.aws.endpoint)
            return select(*words)

        monkeypatch.setattr("botocore.utils.IMDSFetcher._select_base_url", select_stand_in)
        create = botocore.session.Session.create_client

        def create_client(session, service, *words, **options):
            # This version does not know the variables that name an endpoint.
            options["endpoint_url"] = self.aws.endpoint
            return create(session, service, *words, **options)

        monkeypatch.setattr("botocore.session.Session.create_client", create_client)
        try:
            keys = botocore.session.Session(profile=profile).get_credentials()
            keys = keys and keys.get_frozen_credentials()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError,
                ValueError, KeyError, RuntimeError) as error:
            return "error", error
        finally:
            monkeypatch.undo()
        if not keys:
            return "none", None
        return self.name(keys.access_key, digest(keys.secret_key, keys.token)), keys


def digest(secret, token):
    return hashlib.sha256(f"{secret}|{token or ''}".encode()).hexdigest()


@pytest.fixture
def place(tmp_path):
    with Aws() as aws:
        yield Place(tmp_path, aws)


@dataclass
class Case:
    """An environment. 'HERE' in its texts is the home directory, 'URL' the stand-in."""
    name: str
    want: str
    env: dict = field(default_factory=dict)
    config: str = ""
    credentials: str = ""
    files: dict = field(default_factory=dict)
    profile: str | None = None
    aws: dict = field(default_factory=dict)
    sso: dict = field(default_factory=dict)  # of the cached token; its key is 'key'
    theirs: str | None = None  # where botocore 1.29 does otherwise
    says: str = ""  # what the error has to say

    def set_up(self, place):
        def text(value):
            return value.replace("HERE", str(place.folder)).replace("URL", place.aws.endpoint)

        if self.config:
            place.write(".aws/config", text(self.config))
        if self.credentials:
            place.write(".aws/credentials", text(self.credentials))
        for name, content in self.files.items():
            place.write(name, content, 0o700)
        for name, value in self.aws.items():
            setattr(place.aws, name, value)
        if self.sso:
            members = dict(self.sso)
            place.sso_token(members.pop("key"), **{
                name: stamp(value) if isinstance(value, int) else value
                for name, value in members.items()})
        for name, value in self.env.items():
            if value is None:
                del place.env[name]
            else:
                place.env[name] = text(value)


ENV = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "of the environment"}
IMDS = {"imds": "required"}
TOKEN = {"token": Aws.WEB_IDENTITY_TOKEN}
WEB = {"AWS_WEB_IDENTITY_TOKEN_FILE": "HERE/token", "AWS_ROLE_ARN": f"{ROLE}web"}
CONTAINER = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "URL/creds"}
SSO_SESSION = """
[default]
sso_session = ours
sso_account_id = 123456789012
sso_role_name = reader
[sso-session ours]
sso_region = eu-test-1
sso_start_url = https://start
"""
SSO_LEGACY = """
[default]
sso_start_url = https://start
sso_region = eu-test-1
sso_account_id = 123456789012
sso_role_name = reader
"""
RENEWABLE = {"key": "ours", "refreshToken": Aws.SSO_REFRESH_TOKEN, "clientId": Aws.SSO_CLIENT[0],
             "clientSecret": Aws.SSO_CLIENT[1], "registrationExpiresAt": 7200}

CASES = [
    Case("nothing", "none", says="AWS_ACCESS_KEY_ID is not set"),
    # The environment
    Case("environment", "static AKIAENV", ENV),
    Case("environment-token", "static AKIAENV", {**ENV, "AWS_SESSION_TOKEN": "t0ken"}),
    Case("environment-old-token", "static AKIAENV",
         {**ENV, "AWS_SECURITY_TOKEN": "old", "AWS_SESSION_TOKEN": "new"}),
    Case("environment-without-secret", "error", {"AWS_ACCESS_KEY_ID": "AKIAENV"},
         says="AWS_SECRET_ACCESS_KEY is not"),
    Case("environment-secret-only", "none", {"AWS_SECRET_ACCESS_KEY": "secret"}),
    Case("environment-empty", OWN, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "x"},
         credentials=f"[default]\n{KEYS}"),
    Case("environment-before-profile", "static AKIAENV", {**ENV, "AWS_PROFILE": "p"},
         credentials=f"[p]\n{KEYS}"),
    Case("profile-before-environment", OWN, ENV, credentials=f"[p]\n{KEYS}", profile="p"),
    Case("environment-expires", "static AKIAENV",
         {**ENV, "AWS_CREDENTIAL_EXPIRATION": stamp(36000)}),
    Case("environment-expired", "error", {**ENV, "AWS_CREDENTIAL_EXPIRATION": stamp(-100)},
         says="have ended at"),
    # Files
    Case("credentials-file", OWN, credentials=f"[default]\n{KEYS}"),
    Case("credentials-file-token", OWN,
         credentials=f"[default]\n{KEYS}aws_session_token = abc/+=\n"),
    Case("config-file", OWN, config=f"[default]\n{KEYS}"),
    Case("credentials-before-config", OWN, config="[default]\naws_access_key_id=A\n"
         "aws_secret_access_key=bbbb\n", credentials=f"[default]\n{KEYS}"),
    Case("named-by-environment", OWN, {"AWS_PROFILE": "p"}, credentials=f"[p]\n{KEYS}"),
    Case("named-by-old-variable", OWN, {"AWS_DEFAULT_PROFILE": "p", "AWS_PROFILE": "q"},
         credentials=f"[p]\n{KEYS}"),
    Case("named-profile-in-config", OWN, config=f"[profile  p]\n{KEYS}", profile="p"),
    Case("quoted-profile", OWN, config=f'[profile "my own"]\n{KEYS}', profile="my own"),
    Case("profile-without-word", "error", config=f"[p]\n{KEYS}", profile="p",
         says="there is no profile 'p'"),
    Case("missing-profile", "error", {"AWS_PROFILE": "prodcution"},
         credentials=f"[production]\n{KEYS}", says="did you mean 'production'?"),
    Case("half-of-the-keys", "error", credentials="[default]\naws_access_key_id=A\n",
         says="credentials:2: there is an aws_access_key_id without"),
    Case("other-places", OWN, {"AWS_SHARED_CREDENTIALS_FILE": "HERE/mine"},
         files={"mine": f"[default]\n{KEYS}"}),
    Case("home-sign", OWN, {"AWS_CONFIG_FILE": "~/mine"}, files={"mine": f"[default]\n{KEYS}"}),
    Case("comments-and-blanks", OWN, credentials="# a\n\n[default]\n; b\n"
         + KEYS.replace("=", " = ", 1) + "\n  # c\n"),
    Case("colons", OWN, credentials=f"[default]\n{KEYS.replace('=', ' : ', 1)}"),
    Case("upper-case-keys", OWN, credentials="[default]\n"
         f"AWS_ACCESS_KEY_ID={Aws.ACCESS_KEY}\nAWS_Secret_Access_Key={Aws.SECRET_KEY}\n"),
    Case("nested-keys", OWN, config=f"[default]\ns3 =\n  addressing_style = path\n{KEYS}"),
    Case("carriage-returns", OWN, credentials=f"[default]\n{KEYS}".replace("\n", "\r\n")),
    Case("no-ini", "error", credentials="[default]\nhello\n", says="credentials:2: a line is"),
    Case("key-before-section", "error", config="region = x\n", says="config:1: a section has to"),
    # Roles
    Case("role", f"sts:AssumeRole {ROLE}r", credentials=f"[base]\n{KEYS}",
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=base\n"),
    Case("role-of-roles", f"sts:AssumeRole {ROLE}one", credentials=f"[base]\n{KEYS}", profile="one",
         config=f"[profile one]\nrole_arn={ROLE}one\nsource_profile=two\n"
                f"[profile two]\nrole_arn={ROLE}two\nsource_profile=base\n"),
    Case("role-of-itself", f"sts:AssumeRole {ROLE}r",
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=default\n{KEYS}"),
    Case("role-of-process", f"sts:AssumeRole {ROLE}r", {"PATH": "HERE:/usr/bin:/bin"},
         files={"give": PROCESS}, aws={"keys": {"AKIAPROCESS": ("from process", None)}},
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=base\n"
                "[profile base]\ncredential_process = give 'from process'\n"),
    Case("loop", "error", config=f"[default]\nrole_arn={ROLE}r\nsource_profile=b\n"
         f"[profile b]\nrole_arn={ROLE}b\nsource_profile=default\n", says="comes back to itself"),
    Case("loop-of-one", "error", config=f"[default]\nrole_arn={ROLE}r\nsource_profile=default\n",
         says="config:3: the profile 'default' comes back to itself"),
    Case("role-without-source", "error", config=f"[default]\nrole_arn={ROLE}r\n",
         says="neither source_profile nor credential_source"),
    Case("role-with-both", "error", credentials=f"[base]\n{KEYS}",
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=base\ncredential_source=Environment\n",
         says="both a source_profile and a credential_source"),
    Case("role-source-missing", "error", config=f"[default]\nrole_arn={ROLE}r\nsource_profile=x\n",
         says="there is no profile 'x', which source_profile"),
    Case("role-source-empty", "error",
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=x\n[profile x]\nregion=y\n",
         says="that has no credentials"),
    Case("role-external-id", f"sts:AssumeRole {ROLE}r", credentials=f"[base]\n{KEYS}",
         aws={"external_ids": {f"{ROLE}r": "ext 1&2"}},
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=base\nexternal_id=ext 1&2\n"),
    Case("role-external-id-wrong", "error", credentials=f"[base]\n{KEYS}",
         aws={"external_ids": {f"{ROLE}r": "other"}}, says="HTTP 403 AccessDenied",
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=base\nexternal_id=ext\n"),
    Case("role-duration-session", f"sts:AssumeRole {ROLE}r", credentials=f"[base]\n{KEYS}",
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=base\nduration_seconds=1800\n"
                "role_session_name=me@x\n"),
    Case("role-duration-wrong", "error", credentials=f"[base]\n{KEYS}", says="ValidationError",
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=base\nduration_seconds=60\n"),
    Case("role-denied", "error", credentials=f"[base]\n{KEYS}", says="is not authorized",
         aws={"denied_roles": [f"{ROLE}r"]},
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=base\n"),
    Case("role-wrong-secret", "error", credentials="[base]\n"
         f"aws_access_key_id={Aws.ACCESS_KEY}\naws_secret_access_key=wrong\n",
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=base\n", says="HTTP 403"),
    Case("source-environment", f"sts:AssumeRole {ROLE}r",
         {"AWS_ACCESS_KEY_ID": Aws.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": Aws.SECRET_KEY},
         config=f"[profile p]\nrole_arn={ROLE}r\ncredential_source=Environment\n", profile="p"),
    Case("source-environment-empty", "error", says="has no credentials: environment",
         config=f"[default]\nrole_arn={ROLE}r\ncredential_source=Environment\n"),
    Case("source-machine", f"sts:AssumeRole {ROLE}r", aws=IMDS,
         config=f"[default]\nrole_arn={ROLE}r\ncredential_source=Ec2InstanceMetadata\n"),
    Case("source-container", f"sts:AssumeRole {ROLE}r", CONTAINER,
         config=f"[default]\nrole_arn={ROLE}r\ncredential_source=EcsContainer\n"),
    Case("source-unknown", "error", says="none of Environment, EcsContainer and",
         config=f"[default]\nrole_arn={ROLE}r\ncredential_source=Moon\n"),
    Case("mfa", "error", credentials=f"[base]\n{KEYS}", says="MFA device",
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=base\nmfa_serial=x\n"),
    # Web identity
    Case("web-identity", f"sts:AssumeRoleWithWebIdentity {ROLE}web", WEB, files=TOKEN),
    Case("web-identity-session", f"sts:AssumeRoleWithWebIdentity {ROLE}web",
         {**WEB, "AWS_ROLE_SESSION_NAME": "pod"}, files=TOKEN),
    Case("web-identity-profile", f"sts:AssumeRoleWithWebIdentity {ROLE}p", files=TOKEN,
         config=f"[default]\nrole_arn={ROLE}p\nweb_identity_token_file=HERE/token\n"),
    Case("web-identity-not-for-profile", OWN, WEB, files=TOKEN, credentials=f"[p]\n{KEYS}",
         profile="p"),
    Case("web-identity-before-keys", f"sts:AssumeRoleWithWebIdentity {ROLE}web", WEB, files=TOKEN,
         credentials=f"[default]\n{KEYS}"),
    Case("web-identity-as-source", f"sts:AssumeRole {ROLE}r", files=TOKEN,
         config=f"[default]\nrole_arn={ROLE}r\nsource_profile=w\n[profile w]\nrole_arn={ROLE}w\n"
                "web_identity_token_file=HERE/token\n"),
    Case("web-identity-without-role", "error", {"AWS_WEB_IDENTITY_TOKEN_FILE": "HERE/token"},
         files=TOKEN, says="set AWS_ROLE_ARN"),
    Case("web-identity-without-file", "error", WEB, says="read the web identity's token"),
    Case("web-identity-refused", "error", WEB, files={"token": "other"},
         says="InvalidIdentityToken: The ID Token"),
    # SSO
    Case("sso-legacy", "sso reader", config=SSO_LEGACY, sso={"key": "https://start"}),
    Case("sso-session", "sso reader", config=SSO_SESSION, sso={"key": "ours"}),
    Case("sso-without-login", "error", config=SSO_SESSION,
         says="run 'aws sso login --profile default'"),
    Case("sso-expired", "error", config=SSO_SESSION, sso={"key": "ours", "expiresAt": -60},
         aws={"sso_access_token": "another"}, says="has expired at"),
    Case("sso-refused", "error", config=SSO_SESSION, sso={"key": "ours", "accessToken": "wrong"},
         says="does not take the token; run 'aws sso login"),
    Case("sso-renewed", "sso reader", config=SSO_SESSION,
         sso={**RENEWABLE, "accessToken": "old", "expiresAt": -60}),
    Case("sso-renewed-early", "sso reader", config=SSO_SESSION,
         sso={**RENEWABLE, "accessToken": "old", "expiresAt": 600}),
    Case("sso-renewal-refused", "error", config=SSO_SESSION, says="cannot be renewed",
         sso={**RENEWABLE, "accessToken": "old", "expiresAt": -60, "refreshToken": "gone"}),
    Case("sso-renewal-refused-in-time", "sso reader", config=SSO_SESSION,
         sso={**RENEWABLE, "expiresAt": 600, "refreshToken": "gone"}),
    Case("sso-session-missing", "error", config=SSO_SESSION.replace("[sso-session ours]",
         "[sso-session yours]"), says="no sso-session 'ours'"),
    Case("sso-incomplete", "error", config=SSO_LEGACY.replace("sso_region", "region"),
         says="has no 'sso_region'"),
    Case("sso-inconsistent", "error", config=SSO_SESSION.replace("[default]",
         "[default]\nsso_region=us-1"), says="is another than in the sso-session"),
    Case("sso-before-keys", "sso reader", config=SSO_LEGACY, sso={"key": "https://start"},
         credentials=f"[default]\n{KEYS}"),
    Case("sso-other-account", "error", config=SSO_LEGACY.replace("123456789012", "1"),
         sso={"key": "https://start"}, says="ForbiddenException: No access"),
    # A process
    Case("process", "static AKIAPROCESS", files={"give me": PROCESS},
         config="[default]\ncredential_process = 'HERE/give me' \"from  process\"\n"),
    Case("process-after-keys", OWN, files={"give": PROCESS}, credentials=f"[default]\n{KEYS}",
         config="[default]\ncredential_process = HERE/give x\n"),
    Case("process-before-config", "static AKIAPROCESS", files={"give": PROCESS},
         config=f"[default]\ncredential_process = HERE/give secret\n{KEYS}"),
    Case("process-fails", "error", files={"give": "#!/bin/sh\necho no luck >&2\nexit 3\n"},
         config="[default]\ncredential_process = HERE/give\n", says="status 3; it says: no luck"),
    Case("process-missing", "error", config="[default]\ncredential_process = HERE/none\n",
         says="start the program"),
    Case("process-version", "error", files={"give": PROCESS.replace(": 1", ": 2")},
         config="[default]\ncredential_process = HERE/give x\n", says='"Version": 1'),
    Case("process-quote", "error", config="[default]\ncredential_process = 'x\n",
         says="a quote that does not end"),
    Case("process-nonsense", "error", files={"give": "#!/bin/sh\necho hello\n"},
         config="[default]\ncredential_process = HERE/give\n", says="is no JSON object"),
    # A container
    Case("container", "container /creds", CONTAINER),
    Case("container-token", "container /creds",
         {**CONTAINER, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic abc"},
         aws={"container_token": "Basic abc"}),
    Case("container-token-file", "container /creds",
         {**CONTAINER, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "other",
          "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "HERE/auth"}, files={"auth": "of file\n"},
         aws={"container_token": "of file"}, theirs="error"),
    Case("container-refused", "error", CONTAINER, aws={"container_token": "x"},
         says="AccessDeniedException"),
    Case("container-elsewhere", "error",
         {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/creds"}, says="without https"),
    Case("container-before-machine", "container /creds", CONTAINER, aws=IMDS),
    Case("keys-before-container", OWN, CONTAINER, credentials=f"[default]\n{KEYS}"),
    # A machine
    Case("machine", "imds machine-role", aws=IMDS),
    Case("machine-optional", "imds machine-role", aws={"imds": "optional"}),
    Case("machine-version-1", "imds machine-role", aws={"imds": "v1"}),
    Case("machine-version-1-forbidden", "none", {"AWS_EC2_METADATA_V1_DISABLED": "true"},
         aws={"imds": "v1"}, theirs="imds machine-role", says="version 1 is not allowed"),
    Case("machine-disabled", "none", {"AWS_EC2_METADATA_DISABLED": "TRUE"}, aws=IMDS,
         says="AWS_EC2_METADATA_DISABLED is set"),
    Case("machine-without-role", "none", aws={**IMDS, "role": None}, says="the name of its role"),
    Case("machine-by-profile", "imds machine-role", {"AWS_EC2_METADATA_SERVICE_ENDPOINT": None},
         aws=IMDS, config="[default]\nec2_metadata_service_endpoint = URL/\n"),
    Case("profile-falls-to-machine", "imds machine-role", config="[profile p]\nregion=x\n",
         profile="p", aws=IMDS),
]


@pytest.mark.filterwarnings("ignore:Can not control echo")  # botocore asks for the code
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_finds_what_botocore_finds(place, monkeypatch, case):
    case.set_up(place)
    found, answer = place.ours(case.profile)
    assert found == case.want, answer
    if case.says:
        assert case.says in answer["message"]
    if case.name.startswith("sso"):  # the first may have renewed the token
        case.set_up(place)
    theirs, detail = place.theirs(monkeypatch, case.profile)
    assert theirs == (case.theirs or case.want), detail


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)


# Faults at every call

CHAINS = {
    "machine": (Case("machine", "imds machine-role", aws=IMDS), "none", 3),
    "machine-v1": (Case("machine", "imds machine-role", aws={"imds": "v1"}), "none", 3),
    "container": (Case("container", "container /creds", CONTAINER), "error", 1),
    "role": (next(case for case in CASES if case.name == "role-of-roles"), "error", 2),
    "web-identity": (next(case for case in CASES if case.name == "web-identity"), "error", 1),
    "sso": (next(case for case in CASES if case.name == "sso-session"), "error", 1),
    "sso-renewed": (next(case for case in CASES if case.name == "sso-renewed"), "error", 2),
}
FAULTS = {
    "status 500": {"status": 500},
    "status 503 with a page": {"status": 503, "body": "<html><body>try later</body></html>"},
    "status 400": {"status": 400, "body": "no"},
    "empty": {"status": 200},
    "nonsense": {"status": 200, "body": "{<nonsense"},
    "half": {"cut_reply_body_bytes": 20},
    "silence": {"cut_reply_bytes": 0},
    "reset": {"cut_reply_bytes": 10, "reset": True},
    "redirection": {"status": 302, "headers": {"Location": "http://192.0.2.1/"}},
    "other keys": {"replace": [["(?i)AccessKeyId", "Other"], ["(?i)accessToken", "Other"]]},
    "no end": {"replace": [["(?i)Expir", "Other"]]},
}
PASSING = ("status 500", "silence", "reset", "half")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("chain", CHAINS)
def test_every_call_may_fail(place, chain, fault):
    """For good: the search ends by the rule of the source, in words. Once: it is repeated, but for a
    machine, which has one attempt."""
    case, end, calls = CHAINS[chain]
    for call in range(calls):
        case.set_up(place)
        place.fault(Rule(skip=call, times=None, **FAULTS[fault]))
        found, answer = place.ours(case.profile)
        # A fault may leave a call as it is, such as that of a token without an end.
        assert found in (end, case.want), answer
        if found != case.want:
            assert len(answer["message"]) > 40 and place.aws.calls
        if found == case.want:
            assert fault in ("other keys", "no end") or chain.startswith("machine")
        if fault in PASSING and not chain.startswith("machine"):
            case.set_up(place)
            place.fault(Rule(skip=call, times=1, **FAULTS[fault]))
            assert place.ours(case.profile)[0] == case.want


def test_machine_that_does_not_answer(place):
    place.aws.imds = "required"
    place.fault(Rule(times=None, stall_reply_bytes=0, stall_ms=600000))
    answer = place.get()
    assert answer["error"] == "not_found" and "machine: " in answer["message"]


def test_second_attempt_at_a_machine(place):
    place.aws.imds = "required"
    place.fault(Rule(status=500, times=1))
    assert "access_key" in place.get(AWS_METADATA_SERVICE_NUM_ATTEMPTS="2")
    assert [call.status for call in place.aws.calls] == [500, 200, 200, 200]


def test_token_that_a_machine_has_forgotten(place):
    place.aws.imds = "required"
    place.fault(Rule(method="GET", status=401, times=1))
    assert "access_key" in place.get()
    assert [call.method for call in place.aws.calls] == ["PUT", "GET", "PUT", "GET", "GET"]


@pytest.mark.parametrize("proxy", ("http_proxy", "all_proxy", "ALL_PROXY"))
def test_what_is_near_is_not_asked_through_a_proxy(place, proxy):
    """That would tell it the authorization, and fetch the credentials of its own machine."""
    with Aws() as other:
        other.imds, place.aws.imds = "required", "required"
        place.env[proxy] = other.endpoint
        assert "access_key" in place.get()
        place.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{place.aws.endpoint}/creds"
        assert "access_key" in place.get(AWS_CONTAINER_AUTHORIZATION_TOKEN="secret")
        answer = place.get(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/1")
        assert answer["error"] in ("unavailable", "denied")  # as there is no container here
        assert "'http://169.254.170.2/v2/credentials/1'" in answer["message"]
        assert not other.calls and len(place.aws.calls) == 4


# What comes of the answers

def test_credentials_that_are_about_to_end(place):
    """A machine's are taken for longer, as its service has trouble; others count as they say."""
    place.aws.imds, place.aws.lifetime_s = "required", 60
    first, second = place.ask("get", "times=2")
    left_s = first["expires_unix_ms"] / 1000 - time.time()
    assert 16 * 60 < left_s < 26 * 60 and first == second
    place.aws.lifetime_s = -60
    assert place.get()["expires_unix_ms"] > time.time() * 1000

    place.aws.imds = "off"
    place.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{place.aws.endpoint}/creds"
    answer = place.get()
    assert answer["error"] == "denied" and "have ended at" in answer["message"]


def test_clock_that_is_wrong(place):
    place.write(".aws/config", f"[default]\nrole_arn={ROLE}r\nsource_profile=default\n{KEYS}")
    place.fault(Rule(times=None, status=403, headers={
        "Date": (datetime.now(timezone.utc) + timedelta(minutes=25, seconds=59))
        .strftime("%a, %d %b %Y %H:%M:%S GMT")},
        body="<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired"
             "</Message></Error></ErrorResponse>"))
    answer = place.get()
    assert answer["error"] == "denied"
    assert "SignatureDoesNotMatch: Signature expired" in answer["message"]
    assert "this machine's clock is 25m behind the server's" in answer["message"]


def test_servers_words_do_not_tell_secrets(place):
    place.write(".aws/config", f"[default]\nrole_arn={ROLE}r\nsource_profile=default\n{KEYS}")
    place.fault(Rule(times=None, status=403, body=json.dumps(
        {"__type": "Denied", "message": f"your secret {Aws.SECRET_KEY} is\nwrong"})))
    assert "your secret ******** is wrong" in place.get()["message"]


def test_sso_token_is_kept_for_others(place, monkeypatch):
    case = next(case for case in CASES if case.name == "sso-renewed")
    case.set_up(place)
    path = next((place.folder / ".aws/sso/cache").iterdir())
    assert place.ours()[0] == "sso reader"
    kept = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept["accessToken"] == place.aws.sso_access_token
    assert set(kept) == {"startUrl", "region", "accessToken", "expiresAt", "clientId",
                         "clientSecret", "registrationExpiresAt", "refreshToken"}
    place.fault(Rule(target="/token", status=500, times=None))
    assert place.theirs(monkeypatch)[0] == "sso reader"
    assert place.ours()[0] == "sso reader"


def test_sso_renewal_without_a_place_for_it(place):
    case = next(case for case in CASES if case.name == "sso-renewed")
    case.set_up(place)
    (place.folder / ".aws/sso/cache").chmod(0o500)
    assert place.ours()[0] == "sso reader"


# The configuration's own settings

def test_given_role_is_assumed_on_top(place):
    given = (f"access_key_id={Aws.ACCESS_KEY}", f"secret_access_key={Aws.SECRET_KEY}")
    assert place.get(*given)["access_key"] == Aws.ACCESS_KEY
    place.aws.external_ids = {f"{ROLE}top": "e"}
    found = place.get(*given, f"role_arn={ROLE}top", "external_id=e", "role_session_name=job")
    assert place.name(found["access_key"], found["secrets"]) == f"sts:AssumeRole {ROLE}top"
    found = place.get(*given, f"role_arn={ROLE}top")
    assert found["error"] == "denied" and f"assume the role '{ROLE}top'" in found["message"]

    place.aws.imds = "required"
    found = place.get(f"role_arn={ROLE}next", "region=eu-2")
    assert place.name(found["access_key"], found["secrets"]) == f"sts:AssumeRole {ROLE}next"


def test_nobody(place):
    place.env.update(ENV)
    assert place.get("anonymous=")["access_key"] is None
    assert not place.aws.calls


SERVICES = """
[default]
region = of-config
endpoint_url = http://of-profile
services = mine
[profile other]
ignore_configured_endpoint_urls = true
endpoint_url = http://of-other
[profile bare]
[services mine]
s3 =
  endpoint_url = http://of-services
  other = x
sso_oidc =
  endpoint_url = http://oidc
"""


@pytest.mark.parametrize("what, words, env, want", [
    ("region", [], {}, "of-config"),
    ("region", [], {"AWS_DEFAULT_REGION": "default"}, "default"),
    ("region", [], {"AWS_DEFAULT_REGION": "default", "AWS_REGION": "region"}, "region"),
    ("region", ["profile=bare"], {}, None),
    ("region", [], {"AWS_PROFILE": "bare"}, None),
    ("region", ["profile=nix"], {}, "invalid"),
    ("endpoint", ["service=s3"], {}, "http://of-services"),
    ("endpoint", ["service=sso_oidc"], {}, "http://oidc"),
    ("endpoint", ["service=sts"], {}, "http://of-profile"),
    ("endpoint", ["service=s3"], {"AWS_ENDPOINT_URL": "http://all"}, "http://all"),
    ("endpoint", ["service=s3"], {"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_S3": "http://s3"},
     "http://s3"),
    ("endpoint", ["service=s3"], {"AWS_ENDPOINT_URL_S3": ""}, "http://of-services"),
    ("endpoint", ["service=s3"], {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
                                  "AWS_ENDPOINT_URL_S3": "http://s3"}, None),
    ("endpoint", ["service=s3", "profile=other"], {}, None),
    ("endpoint", ["service=s3", "profile=bare"], {}, None),
])
def test_regions_and_endpoints(place, what, words, env, want):
    place.write(".aws/config", SERVICES)
    for name in list(place.env):
        if name.startswith(("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION")):
            del place.env[name]
    found, = place.ask(what, *words, **env)
    assert found.get("error", found.get(what)) == want
