"""Buckets as a whole: what is known of one, how it is made and encrypted, and that its objects are
removed in time. Amazon's own client judges what Ceph was told; a stand-in gives the answers that only
AWS gives, and all those that other servers do."""
import base64
import hashlib
import json
import re
import urllib.request
import xml.etree.ElementTree as ElementTree

import ceph as ceph_server
import pytest
from api_world import until
from conftest import BUILD
from faults import slow_down
from stand_in import Reply, StandIn
from storage_probe import Failed, StorageProbe

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
GROUPS = "http://acs.amazonaws.com/groups"
OURS = "run-core-expire"
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
RULES = [
    {"ID": "logs & <co>", "Status": "Enabled", "Filter": {"Prefix": "logs/"},
     "Expiration": {"Days": 3}},
    {"ID": "tagged", "Status": "Enabled", "Expiration": {"Days": 5},
     "Filter": {"And": {"Prefix": "a", "Tags": [{"Key": "ä", "Value": "\"&'"}]}}},
    {"ID": "off", "Status": "Disabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}},
    {"ID": "at last", "Status": "Enabled", "Filter": {"Prefix": ""},
     "Expiration": {"Date": "2099-01-01T00:00:00Z"}},
]


def probe_of(server, bucket="bkt", **store):
    words = {"bucket": bucket, "endpoint": server.endpoint, "region": "us-east-1",
             "access_key_id": "AKIASTANDIN", "secret_access_key": "the-stand-in-s-secret", **store}
    return StorageProbe(BUILD, **words)


def aws_probe(server, region="us-east-1"):
    """The stand-in, reached by the name of AWS."""
    return probe_of(server, endpoint=f"http://s3.{region}.amazonaws.com", region=region,
                    env={"http_proxy": server.endpoint})


def ceph_probe(ceph, bucket, user=None, **store):
    access_key, secret_key = user or (ceph.access_key, ceph.secret_key)
    return probe_of(ceph, bucket, access_key_id=access_key, secret_access_key=secret_key, **store)


def rules_of(ceph, bucket):
    return ceph.s3().get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]


def put_rules(ceph, bucket, rules):
    ceph.s3().put_bucket_lifecycle_configuration(Bucket=bucket,
                                                 LifecycleConfiguration={"Rules": rules})


# Ceph


def test_a_bucket_of_ceph(ceph, bucket):
    """It knows no default encryption; the rest is looked at from both sides."""
    with ceph_probe(ceph, bucket) as probe:
        found = probe.look_bucket(f"s3://{bucket}/any/thing")
        assert found["name"] == f"s3://{bucket}" and found["exists"] == "yes"
        assert (found["expires"], found["days"], found["public"]) == ("no", 0, "no")
        assert found["encrypted"] == "unknown" and "does not know" in found["encrypted_note"]
        with pytest.raises(Failed) as failed:
            probe.call("encrypt_bucket", uri=f"s3://{bucket}/")
        assert failed.value.code == "unsupported" and "encrypt the bucket" in failed.value.message
        probe.call("create_bucket", uri=f"s3://{bucket}/")
        probe.call("expire_bucket", uri=f"s3://{bucket}/", days=14)
        found = probe.look_bucket(f"s3://{bucket}")
        assert (found["expires"], found["days"]) == ("yes", 14)
    rule, = rules_of(ceph, bucket)
    assert rule["ID"] == OURS and rule["Status"] == "Enabled" and rule["Expiration"]["Days"] == 14
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 14
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 14
    assert rule.get("Prefix", "") == "" and not rule.get("Filter", {}).get("Prefix")


def test_a_bucket_that_is_made(ceph):
    name = "made-here-1"
    with ceph_probe(ceph, name) as probe:
        assert probe.look_bucket(f"s3://{name}/x")["exists"] == "no"
        with pytest.raises(Failed) as failed:
            probe.call("expire_bucket", uri=f"s3://{name}", days=1)
        assert failed.value.code == "not_found"
        probe.call("create_bucket", uri=f"s3://{name}/x/y")
        assert probe.look_bucket(f"s3://{name}/x")["exists"] == "yes"
        ceph.s3().head_bucket(Bucket=name)
        with ceph_probe(ceph, name, ceph.second) as other:
            with pytest.raises(Failed) as failed:
                other.call("create_bucket", uri=f"s3://{name}/")
            assert failed.value.code == "conflict" and "somebody else" in failed.value.message
            with pytest.raises(Failed) as failed:
                other.look_bucket(f"s3://{name}/")
            assert failed.value.code == "denied" and "s3:ListBucket" in failed.value.message
    ceph.s3().delete_bucket(Bucket=name)


def test_a_bucket_that_is_removed(proxy, ceph):
    name = "removed-here"
    s3 = ceph.s3()
    s3.create_bucket(Bucket=name)
    with probe_of(proxy, name, access_key_id=ceph.access_key,
                  secret_access_key=ceph.secret_key) as probe:
        probe.put(f"s3://{name}/x", b"x")
        with pytest.raises(Failed) as failed:
            probe.call("remove_bucket", uri=f"s3://{name}")
        assert failed.value.code == "conflict" and "what is in it" in failed.value.message
        probe.remove(f"s3://{name}/x")
        proxy.rules.add(method="DELETE", cut_reply_bytes=0)  # it is done, but nobody hears of it
        probe.call("remove_bucket", uri=f"s3://{name}")
        assert name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        with pytest.raises(Failed) as failed:
            probe.call("remove_bucket", uri=f"s3://{name}")
        assert failed.value.code == "not_found"


def test_the_rules_of_others_stay(ceph, bucket):
    put_rules(ceph, bucket, RULES)
    before = rules_of(ceph, bucket)
    with ceph_probe(ceph, bucket) as probe:
        assert probe.look_bucket(f"s3://{bucket}")["expires"] == "no"
        for days in (14, 30, 2):
            probe.call("expire_bucket", uri=f"s3://{bucket}", days=days)
            after = rules_of(ceph, bucket)
            assert [rule for rule in after if rule["ID"] != OURS] == before
            assert [rule["Expiration"]["Days"] for rule in after if rule["ID"] == OURS] == [days]
            assert probe.look_bucket(f"s3://{bucket}")["days"] == days


def test_a_rule_as_older_setups_have_it(ceph, bucket):
    """The fewest days of those that hold for everything count."""
    put_rules(ceph, bucket, [{"ID": "old", "Status": "Enabled", "Prefix": "",
                              "Expiration": {"Days": 14}}])
    with ceph_probe(ceph, bucket) as probe:
        assert probe.look_bucket(f"s3://{bucket}")["days"] == 14
        probe.call("expire_bucket", uri=f"s3://{bucket}", days=20)
        assert probe.look_bucket(f"s3://{bucket}")["days"] == 14
    assert len(rules_of(ceph, bucket)) == 2


@pytest.mark.parametrize("acl, word", [("public-read", "everybody"),
                                       ("authenticated-read", "with an account")])
def test_an_acl_that_lets_strangers_in(ceph, bucket, acl, word):
    s3 = ceph.s3()
    s3.put_bucket_acl(Bucket=bucket, ACL=acl)
    with ceph_probe(ceph, bucket) as probe:
        found = probe.look_bucket(f"s3://{bucket}")
        assert found["public"] == "yes"
        assert "READ" in found["public_note"] and found["public_note"].endswith(word)
        s3.put_bucket_acl(Bucket=bucket, ACL="private")
        assert probe.look_bucket(f"s3://{bucket}")["public"] == "no"


def test_a_policy_that_lets_strangers_in(ceph, bucket):
    s3 = ceph.s3()
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"],
                       "Resource": [f"arn:aws:s3:::{bucket}/*"]}]}))
    with ceph_probe(ceph, bucket) as probe:
        found = probe.look_bucket(f"s3://{bucket}")
        assert (found["public"], found["public_note"]) == ("yes", "its policy lets everybody in")
        # Ceph keeps this, and lets strangers in as before.
        s3.put_object(Bucket=bucket, Key="key", Body=b"for all to see")
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(
            BLOCKS, True))
        with urllib.request.urlopen(f"{ceph.endpoint}/{bucket}/key") as stranger:
            assert stranger.read() == b"for all to see"
        assert probe.look_bucket(f"s3://{bucket}")["public"] == "yes"


def test_a_folder_of_a_bucket_is_not_the_bucket(ceph, bucket):
    """All the others in the bucket would be, too."""
    with ceph_probe(ceph, "folder", url=f"s3://{bucket}/some/where") as probe:
        for change in ("expire_bucket", "remove_bucket"):
            with pytest.raises(Failed) as failed:
                probe.call(change, uri="s3://folder/", days=1)
            assert failed.value.code == "invalid"
            assert f"s3://{bucket}/some/where" in failed.value.message


@pytest.mark.parametrize("days", [0, -1, 36501])
def test_days_that_no_rule_can_have(ceph, bucket, days):
    with ceph_probe(ceph, bucket) as probe:
        with pytest.raises(Failed) as failed:
            probe.call("expire_bucket", uri=f"s3://{bucket}", days=days)
        assert failed.value.code == "invalid"


def test_objects_are_removed_in_time():
    """A server whose days are short carries the rule out."""
    server = ceph_server.temporary(day_s=1)
    try:
        with ceph_probe(server, "short-days") as probe:
            probe.call("create_bucket", uri="s3://short-days")
            probe.put("s3://short-days/some/object", b"x")
            probe.call("expire_bucket", uri="s3://short-days", days=1)
            until(lambda: probe.names("s3://short-days/") == [])
    finally:
        ceph_server.remove(server)


def test_faults_at_every_request(proxy, ceph, bucket):
    """Each request of each operation fails once, in every way that passes."""
    put_rules(ceph, bucket, RULES)
    with probe_of(proxy, bucket, access_key_id=ceph.access_key,
                  secret_access_key=ceph.secret_key) as probe:
        for number, fault in enumerate((
                dict(status=500), dict(lost=True), dict(cut_reply_bytes=0, reset=True),
                dict(cut_reply_body_bytes=20), dict(status=503))):
            for skip in range(6):
                proxy.rules.clear()
                proxy.rules.add(skip=skip, **fault)
                assert probe.look_bucket(f"s3://{bucket}")["public"] == "no"
            for skip in range(3):
                proxy.rules.clear()
                proxy.rules.add(skip=skip, **fault)
                days = 10 + 3 * number + skip
                probe.call("expire_bucket", uri=f"s3://{bucket}", days=days)
                assert probe.look_bucket(f"s3://{bucket}")["days"] == days
            proxy.rules.clear()
            proxy.rules.add(**fault)
            probe.call("create_bucket", uri=f"s3://{bucket}")
        proxy.rules.clear()
        proxy.rules.add(target=r"\?lifecycle", method="GET", times=None, status=503)
        with pytest.raises(Failed) as failed:
            probe.call("expire_bucket", uri=f"s3://{bucket}", days=1)
        assert failed.value.code == "unavailable"
    assert len(rules_of(ceph, bucket)) == len(RULES) + 1


def test_a_server_that_knows_little(swift):
    """Swift answers each question with a listing, and takes some changes for the bucket's end."""
    name = "knows-little"
    with probe_of(swift, name, access_key_id=swift.access_key, secret_access_key=swift.secret_key,
                  region=swift.region) as probe:
        probe.call("create_bucket", uri=f"s3://{name}")
        probe.put(f"s3://{name}/key", b"x")
        found = probe.look_bucket(f"s3://{name}")
        assert found["exists"] == "yes"
        for answer in ("encrypted", "expires", "public"):
            assert (found[answer], found[f"{answer}_note"]) == (
                "unknown", "the server does not know the question")
        for change in ("encrypt_bucket", "expire_bucket"):
            with pytest.raises(Failed) as failed:
                probe.call(change, uri=f"s3://{name}", days=1)
            assert failed.value.code == "unsupported"
        assert probe.get(f"s3://{name}/key") == b"x"
        probe.remove(f"s3://{name}/key")
    swift.s3().delete_bucket(Bucket=name)


# AWS, as it is told of


def element(name, content=""):
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{NAMESPACE}">{content}</{name}>'


def encryption(algorithm):
    return element("ServerSideEncryptionConfiguration",
                   "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>"
                   f"{algorithm}</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
                   "<BucketKeyEnabled>false</BucketKeyEnabled></Rule>")


def block(**true):
    return element("PublicAccessBlockConfiguration", "".join(
        f"<{name}>{'true' if true.get(name, true.get('all')) else 'false'}</{name}>"
        for name in BLOCKS))


def acl(*grants):
    owner = ('<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
             'xsi:type="CanonicalUser"><ID>me</ID></Grantee>'
             "<Permission>FULL_CONTROL</Permission></Grant>")
    return element("AccessControlPolicy", "<Owner><ID>me</ID></Owner><AccessControlList>" + "".join(
        '<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group">'
        f"<URI>{GROUPS}/{group}</URI></Grantee><Permission>{permission}</Permission></Grant>"
        for group, permission in grants) + owner + "</AccessControlList>")


def refusal(status, code):
    return status, f"<Error><Code>{code}</Code><Message>no</Message></Error>"


NOTHING = {
    "encryption": refusal(404, "ServerSideEncryptionConfigurationNotFoundError"),
    "lifecycle": refusal(404, "NoSuchLifecycleConfiguration"),
    "publicAccessBlock": refusal(404, "NoSuchPublicAccessBlockConfiguration"),
    "policyStatus": refusal(404, "NoSuchBucketPolicy"),
    "acl": (200, acl()),
}


class Aws(StandIn):
    """One bucket and what is said of it, which a test sets by the name of the question."""

    def __init__(self, exists=True, **said):
        super().__init__()
        self.exists, self.created = exists, []
        self.said = {**NOTHING, **{name: value if isinstance(value, tuple) else (200, value)
                                   for name, value in said.items()}}
        self.meanwhile = None  # happens behind the next change

    def handle(self, request):
        body = request.body()
        question = re.match(r"[A-Za-z]+(?==?(&|$))", request.query_text)
        if body and request.method == "PUT":
            digest = base64.b64encode(hashlib.md5(body).digest()).decode()
            assert request.headers["content-md5"] == digest
            ElementTree.fromstring(body)
        if request.method == "PUT" and not question:
            return self.create(body)
        if not self.exists:
            return self.reply(*refusal(404, "NoSuchBucket"))
        if request.method == "PUT":
            return self.change(question[0], body, request)
        if not question:
            assert request.parameter("list-type") == "2"
            return self.reply(*self.said.get("list", (200, element("ListBucketResult"))))
        return self.reply(*self.said[question[0]])

    def create(self, body):
        if "create" in self.said:
            return self.reply(*self.said["create"])
        self.created.append(body.decode())
        self.exists = True
        return Reply(200, {"Location": "/bkt"}, b"")

    def change(self, question, body, request):
        if f"put-{question}" in self.said:
            return self.reply(*self.said[f"put-{question}"])
        self.said[question] = 200, body.decode(), {
            name: value for name, value in request.headers.items()
            if name.startswith("x-amz-transition-")}
        if self.meanwhile:
            self.meanwhile()
        return Reply(200)

    @staticmethod
    def reply(status, text, headers=None):
        return Reply(status, {"Content-Type": "application/xml", "x-amz-request-id": "R1",
                              **(headers or {})}, text.encode())

    def asked(self):
        return [call.target for call in self.calls]


def look(**said):
    with Aws(**said) as server, aws_probe(server) as probe:
        return probe.look_bucket("s3://bkt/key")


@pytest.mark.parametrize("said, answer, name, note", [
    (encryption("AES256"), "yes", "AES256", ""),
    (encryption("aws:kms"), "yes", "aws:kms", ""),
    (encryption("aws:kms:dsse"), "yes", "aws:kms:dsse", ""),
    (element("ServerSideEncryptionConfiguration"), "no", "", ""),
    (NOTHING["encryption"], "no", "", ""),
    (refusal(403, "AccessDenied"), "unknown", "",
     "we are not allowed to ask (HTTP 403 AccessDenied)"),
    (refusal(501, "NotImplemented"), "unknown", "",
     "the server does not know the question (HTTP 501 NotImplemented)"),
    (refusal(405, "MethodNotAllowed"), "unknown", "",
     "the server does not know the question (HTTP 405 MethodNotAllowed)"),
    (refusal(400, "InvalidRequest"), "unknown", "",
     "the server refuses to tell (HTTP 400 InvalidRequest)"),
    ((404, ""), "unknown", "", "the server refuses to tell (HTTP 404)"),
    (element("ListBucketResult"), "unknown", "", "the server does not know the question"),
    ("no XML", "unknown", "", "the server does not know the question"),
])
def test_encryption_is_looked_at(said, answer, name, note):
    found = look(encryption=said)
    assert (found["encrypted"], found["encryption"]) == (answer, name)
    assert found["encrypted_note"] == note


def rule(content, status="Enabled"):
    return f"<Rule><ID>x</ID>{content}<Status>{status}</Status></Rule>"


DAYS = "<Expiration><Days>{}</Days></Expiration>"


@pytest.mark.parametrize("rules, days", [
    (rule("<Filter/>" + DAYS.format(7)), 7),
    (rule("<Filter><Prefix/></Filter>" + DAYS.format(7)), 7),
    (rule("<Filter><Prefix></Prefix></Filter>" + DAYS.format(7)), 7),
    (rule("<Prefix></Prefix>" + DAYS.format(7)), 7),
    (rule(DAYS.format(7)), 7),
    (rule("<Filter/>" + DAYS.format(7)) + rule("<Filter/>" + DAYS.format(3)), 3),
    (rule("<Filter/>" + DAYS.format(7)) + rule("<Prefix>a</Prefix>" + DAYS.format(3)), 7),
    (rule("<Filter/>" + DAYS.format(7), "Disabled"), 0),
    (rule("<Filter><Prefix>a/</Prefix></Filter>" + DAYS.format(7)), 0),
    (rule("<Filter><Prefix> </Prefix></Filter>" + DAYS.format(7)), 0),
    (rule("<Prefix>a/</Prefix>" + DAYS.format(7)), 0),
    (rule("<Filter><Tag><Key>a</Key><Value/></Tag></Filter>" + DAYS.format(7)), 0),
    (rule("<Filter><And><Prefix/><Tag><Key>a</Key></Tag></And></Filter>" + DAYS.format(7)), 0),
    (rule("<Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></Filter>" + DAYS.format(7)), 0),
    (rule("<Filter/><Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration>"), 0),
    (rule("<Filter/><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays>"
          "</NoncurrentVersionExpiration>"), 0),
    (rule("<Filter/>" + DAYS.format("soon")), 0),
    (rule("<Filter/>" + DAYS.format(-4)), 0),
    ("", 0),
])
def test_rules_are_looked_at(rules, days):
    found = look(lifecycle=element("LifecycleConfiguration", rules))
    assert (found["expires"], found["days"]) == ("yes" if days else "no", days)


@pytest.mark.parametrize("said, note", [
    (refusal(403, "AccessDenied"), "we are not allowed to ask (HTTP 403 AccessDenied)"),
    (refusal(501, "NotImplemented"),
     "the server does not know the question (HTTP 501 NotImplemented)"),
    (element("ListBucketResult"), "the server does not know the question"),
    (element("LifecycleConfiguration", "<Rule><Action><Delete/></Action><Condition><Age>3</Age>"
             "</Condition></Rule>"), "the server does not know the question"),
])
def test_rules_that_nobody_tells(said, note):
    """Then they are not replaced by ours, since there may be some."""
    found = look(lifecycle=said)
    assert (found["expires"], found["expires_note"]) == ("unknown", note)
    with Aws(lifecycle=said) as server, probe_of(server) as probe:
        with pytest.raises(Failed) as failed:
            probe.call("expire_bucket", uri="s3://bkt/", days=7)
        assert failed.value.code in ("denied", "unsupported")
        assert all(call.method == "GET" for call in server.calls)


DENIED = refusal(403, "AccessDenied")
PUBLIC_POLICY = element("PolicyStatus", "<IsPublic>true</IsPublic>")
PRIVATE_POLICY = element("PolicyStatus", "<IsPublic>false</IsPublic>")
PUBLIC_ACL = acl(("global/AllUsers", "READ"))


@pytest.mark.parametrize("said, answer, note", [
    (dict(), "no", ""),
    (dict(publicAccessBlock=block(all=True), acl=PUBLIC_ACL, policyStatus=PUBLIC_POLICY), "no", ""),
    (dict(publicAccessBlock=block(IgnorePublicAcls=True), acl=PUBLIC_ACL), "no", ""),
    (dict(publicAccessBlock=block(RestrictPublicBuckets=True), policyStatus=PUBLIC_POLICY), "no", ""),
    (dict(publicAccessBlock=block(BlockPublicAcls=True, BlockPublicPolicy=True), acl=PUBLIC_ACL),
     "yes", "its ACL gives READ to everybody"),
    (dict(acl=PUBLIC_ACL), "yes", "its ACL gives READ to everybody"),
    (dict(acl=acl(("global/AuthenticatedUsers", "WRITE"))), "yes",
     "its ACL gives WRITE to everybody with an account"),
    (dict(acl=acl(("s3/LogDelivery", "WRITE"))), "no", ""),
    (dict(policyStatus=PRIVATE_POLICY), "no", ""),
    (dict(policyStatus=PUBLIC_POLICY), "yes", "its policy lets everybody in"),
    (dict(policyStatus=PUBLIC_POLICY, acl=DENIED), "yes", "its policy lets everybody in"),
    (dict(policyStatus=DENIED, acl=PUBLIC_ACL), "yes", "its ACL gives READ to everybody"),
    (dict(policyStatus=DENIED), "unknown", "we are not allowed to ask (HTTP 403 AccessDenied)"),
    (dict(acl=DENIED), "unknown", "we are not allowed to ask (HTTP 403 AccessDenied)"),
    (dict(policyStatus=refusal(501, "NotImplemented")), "unknown",
     "the server does not know the question (HTTP 501 NotImplemented)"),
    (dict(publicAccessBlock=refusal(501, "NotImplemented")), "no", ""),
    (dict(publicAccessBlock=DENIED), "no", ""),
    (dict(publicAccessBlock=element("ListBucketResult")), "no", ""),
    (dict(publicAccessBlock=DENIED, acl=PUBLIC_ACL), "yes", "its ACL gives READ to everybody"),
])
def test_openness_is_looked_at(said, answer, note):
    found = look(**said)
    assert (found["public"], found["public_note"]) == (answer, note)


def test_what_is_closed_is_asked_no_further():
    with Aws(publicAccessBlock=block(all=True)) as server, aws_probe(server) as probe:
        probe.look_bucket("s3://bkt/")
        assert not any("acl" in target or "policyStatus" in target for target in server.asked())


def test_only_aws_is_believed_to_keep_strangers_out():
    with Aws(publicAccessBlock=block(all=True), acl=PUBLIC_ACL) as server:
        with probe_of(server) as probe:
            assert probe.look_bucket("s3://bkt/")["public"] == "yes"


@pytest.mark.parametrize("said, code", [
    (refusal(403, "AccessDenied"), "denied"), (refusal(403, "InvalidAccessKeyId"), "denied"),
    (refusal(403, "SignatureDoesNotMatch"), "denied"), (refusal(400, "InvalidBucketName"), "invalid"),
    (element("SomethingElse"), "unavailable"), ("<html>Log in", "unavailable"),
    (refusal(503, "SlowDown"), "unavailable"),
])
def test_a_bucket_that_cannot_be_looked_at(said, code):
    with pytest.raises(Failed) as failed:
        look(list=said)
    assert failed.value.code == code
    assert failed.value.message.startswith("look at the bucket of 's3://bkt/key': HTTP ")


def test_a_bucket_that_is_not_there():
    found = look(exists=False)
    assert found["exists"] == "no" and found["public"] == "unknown"


@pytest.mark.parametrize("question", ["encryption", "lifecycle", "publicAccessBlock", "acl",
                                      "policyStatus"])
@pytest.mark.parametrize("said, code", [(refusal(503, "SlowDown"), "unavailable"),
                                        (refusal(500, "InternalError"), "unavailable"),
                                        (refusal(404, "NoSuchBucket"), "not_found")])
def test_a_question_that_may_be_answered_later(question, said, code):
    """It is no answer, and no note either."""
    with pytest.raises(Failed) as failed:
        look(**{question: said})
    assert failed.value.code == code


@pytest.mark.parametrize("question, root", [
    ("encryption", "ServerSideEncryptionConfiguration"), ("lifecycle", "LifecycleConfiguration"),
    ("publicAccessBlock", "PublicAccessBlockConfiguration"), ("acl", "AccessControlPolicy"),
    ("policyStatus", "PolicyStatus")])
def test_answers_that_are_broken(question, root):
    with pytest.raises(Failed) as failed:
        look(**{question: f"<{root}><Rule>"})
    assert failed.value.code == "corrupt"


@pytest.mark.parametrize("skip", range(6))
def test_what_is_no_http_is_no_answer(skip):
    with Aws() as server, aws_probe(server) as probe:
        server.rules.add(skip=skip, raw="garbage\r\n\r\n")
        with pytest.raises(Failed) as failed:
            probe.look_bucket("s3://bkt/")
        assert "does not speak HTTP" in failed.value.message


def test_a_fault_at_every_question():
    with Aws(encryption=encryption("AES256")) as server, probe_of(server) as probe:
        for fault in (dict(status=500), dict(lost=True), dict(cut_reply_body_bytes=15),
                      dict(cut_reply_bytes=0, reset=True), dict(status=503)):
            for skip in range(6):
                server.rules.clear()
                server.rules.add(skip=skip, **fault)
                found = probe.look_bucket("s3://bkt/")
                assert (found["encrypted"], found["expires"], found["public"]) == ("yes", "no", "no")
            server.said["encryption"] = NOTHING["encryption"]
            for skip in range(2):
                server.said["encryption"] = NOTHING["encryption"]
                server.rules.clear()
                server.rules.add(skip=skip, **fault)
                probe.call("encrypt_bucket", uri="s3://bkt/")
                assert server.said["encryption"][0] == 200
        server.rules.clear()
        server.rules.add(slow_down(method="PUT", times=None))
        server.said["encryption"] = NOTHING["encryption"]
        with pytest.raises(Failed) as failed:
            probe.call("encrypt_bucket", uri="s3://bkt/")
        assert failed.value.code == "unavailable" and "requests_per_s" in failed.value.message


# Making


def test_a_bucket_is_made_where_the_server_is():
    with Aws(exists=False) as server, probe_of(server, region="eu-west-1") as probe:
        probe.call("create_bucket", uri="s3://bkt/")
        assert server.created == [""]


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_a_bucket_is_made_in_its_region(region):
    with Aws(exists=False) as server, aws_probe(server, region) as probe:
        probe.call("create_bucket", uri="s3://bkt/")
        named = f"<LocationConstraint>{region}</LocationConstraint>"
        assert [named in body for body in server.created] == [region != "us-east-1"]


@pytest.mark.parametrize("said, code", [
    (refusal(409, "BucketAlreadyOwnedByYou"), None),
    (refusal(409, "BucketAlreadyExists"), "conflict"),
    (refusal(403, "AccessDenied"), "denied"), (refusal(400, "TooManyBuckets"), "failed"),
    (refusal(400, "InvalidLocationConstraint"), "invalid"),
    (refusal(400, "IllegalLocationConstraintException"), "invalid"),
    (refusal(503, "SlowDown"), "unavailable"), ("<html>Log in", "unavailable"),
])
def test_making_a_bucket(said, code):
    said = said if isinstance(said, tuple) else (200, said)
    with Aws(create=said) as server, probe_of(server) as probe:
        if not code:
            probe.call("create_bucket", uri="s3://bkt/")
            return
        with pytest.raises(Failed) as failed:
            probe.call("create_bucket", uri="s3://bkt/")
        assert failed.value.code == code
        assert failed.value.message.startswith("create the bucket of 's3://bkt/': HTTP ")


def test_encryption_is_set():
    with Aws() as server, probe_of(server) as probe:
        probe.call("encrypt_bucket", uri="s3://bkt/")
        assert "<SSEAlgorithm>AES256</SSEAlgorithm>" in server.said["encryption"][1]
        assert probe.look_bucket("s3://bkt/")["encryption"] == "AES256"


@pytest.mark.parametrize("algorithm", ["AES256", "aws:kms"])
def test_what_is_encrypted_stays_so(algorithm):
    """A key of the user's own is not replaced by the store's."""
    with Aws(encryption=encryption(algorithm)) as server, probe_of(server) as probe:
        probe.call("encrypt_bucket", uri="s3://bkt/")
        assert all(call.method == "GET" for call in server.calls)


@pytest.mark.parametrize("said, code", [
    ({"encryption": DENIED}, "denied"), ({"encryption": element("ListBucketResult")}, "unsupported"),
    ({"put-encryption": DENIED}, "denied"),
    ({"put-encryption": refusal(501, "NotImplemented")}, "unsupported"),
    ({"put-encryption": refusal(400, "MalformedXML")}, "invalid"),
])
def test_encryption_that_cannot_be_set(said, code):
    with Aws(**said) as server, probe_of(server) as probe:
        with pytest.raises(Failed) as failed:
            probe.call("encrypt_bucket", uri="s3://bkt/")
        assert failed.value.code == code
        assert failed.value.message.startswith("encrypt the bucket of 's3://bkt/': ")


ODD = ("<Rule>\n  <ID>odd &amp; &#228;</ID><!-- kept --><Filter><Prefix>a/</Prefix></Filter>\n"
       "  <Status >Enabled</Status><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass>"
       "</Transition><Unknown xmlns:y='u' y:z=\"1\"/></Rule>")


def test_other_rules_are_kept_byte_by_byte():
    with Aws(lifecycle=element("LifecycleConfiguration", ODD + "\n" + rule(DAYS.format(9)))) as server:
        with probe_of(server) as probe:
            for days in (14, 14, 7):
                probe.call("expire_bucket", uri="s3://bkt/", days=days)
                text = server.said["lifecycle"][1]
                assert ODD in text and rule(DAYS.format(9)) in text
                assert text.count(OURS) == 1 and DAYS.format(days) in text
            assert sum(call.method == "PUT" for call in server.calls) == 2


def test_rules_in_the_old_form_get_one_beside_them():
    """AWS takes no document with both."""
    for others, ours in ((rule("<Prefix>a</Prefix>" + DAYS.format(1)), "<Prefix></Prefix><Status>"),
                         (rule("<Filter/>" + DAYS.format(1)), "<Filter><Prefix></Prefix></Filter>")):
        with Aws(lifecycle=element("LifecycleConfiguration", others)) as server:
            with probe_of(server) as probe:
                probe.call("expire_bucket", uri="s3://bkt/", days=7)
            assert f"<ID>{OURS}</ID>{ours}" in server.said["lifecycle"][1]


def test_what_belongs_to_the_rules_is_kept_with_them():
    name, value = "x-amz-transition-default-minimum-object-size", "varies_by_storage_class"
    with Aws() as server, probe_of(server) as probe:
        server.said["lifecycle"] = 200, element("LifecycleConfiguration", ODD), {name: value}
        probe.call("expire_bucket", uri="s3://bkt/", days=7)
        assert server.said["lifecycle"][2] == {name: value}


def test_a_rule_of_ours_that_somebody_changed():
    """Then it is not as it was asked for any more."""
    with Aws() as server, probe_of(server) as probe:
        probe.call("expire_bucket", uri="s3://bkt/", days=7)
        good = server.said["lifecycle"][1]
        for what, other in (("Enabled", "Disabled"), ("<Prefix></Prefix>", "<Prefix>a</Prefix>"),
                            ("<NoncurrentDays>7<", "<NoncurrentDays>8<"),
                            ("</Rule>", "<Transition><Days>1</Days></Transition></Rule>")):
            assert what in good
            server.said["lifecycle"] = 200, good.replace(what, other)
            probe.call("expire_bucket", uri="s3://bkt/", days=7)
            assert server.said["lifecycle"][1] == good


def test_somebody_else_changes_the_rules_at_the_same_time():
    with Aws() as server, probe_of(server) as probe:
        def theirs():
            server.said["lifecycle"] = 200, element("LifecycleConfiguration", ODD)
        server.meanwhile = theirs
        with pytest.raises(Failed) as failed:
            probe.call("expire_bucket", uri="s3://bkt/", days=7)
        assert failed.value.code == "conflict" and "at the same time" in failed.value.message


def test_the_old_rules_are_shown_for_a_while():
    with Aws(lifecycle=element("LifecycleConfiguration", ODD)) as server, probe_of(server) as probe:
        before = server.said["lifecycle"]

        def late():
            server.said["lifecycle"] = before
        server.meanwhile = late
        probe.call("expire_bucket", uri="s3://bkt/", days=7)


def test_rules_that_could_not_be_kept():
    text = ('<x:LifecycleConfiguration xmlns:x="u"><x:Rule><x:ID>a</x:ID></x:Rule>'
            "</x:LifecycleConfiguration>")
    with Aws(lifecycle=text) as server, probe_of(server) as probe:
        with pytest.raises(Failed) as failed:
            probe.call("expire_bucket", uri="s3://bkt/", days=7)
        assert failed.value.code == "unsupported"
        assert all(call.method == "GET" for call in server.calls)
