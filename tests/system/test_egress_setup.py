"""'egress setup' of buckets on a real S3 server, with Amazon's own client as the judge of what was set;
of a bucket of Google's, on a stand-in; and of local folders."""
import json
import os
import tempfile

import pytest
from botocore.exceptions import ClientError

OURS = "run-core-expire"


@pytest.fixture
def keys(world, ceph):
    world.environment.update(
        AWS_ACCESS_KEY_ID=ceph.access_key, AWS_SECRET_ACCESS_KEY=ceph.secret_key,
        AWS_REGION=ceph.region, AWS_ENDPOINT_URL=ceph.endpoint)


def set_up(world, output, *words, status=0, **options):
    result = world.run("egress", "setup", *words, env={"S3_OUTPUT": output}, **options)
    assert result.status == status, result.stdout + result.stderr
    return result


def findings(result):
    """Words like 'ok' and 'problem', each with its sentence."""
    return [tuple(line.split(": ", 1)) for line in result.stdout.splitlines()]


def days(ceph, bucket):
    try:
        rules = ceph.s3().get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration"
        return {}
    return {rule["ID"]: rule["Expiration"]["Days"] for rule in rules}


def test_a_bucket_is_created_and_set_up(world, ceph, keys):
    name = f"made-{os.urandom(6).hex()}"
    output = f"s3://{name}/dumps/app"
    dry = set_up(world, output, "--dry-run", status=1)
    assert findings(dry) == [("problem", f"'s3://{name}' does not exist")]
    assert "without --dry-run" in dry.text
    with pytest.raises(ClientError):
        ceph.s3().head_bucket(Bucket=name)

    made = findings(set_up(world, output))
    assert ("changed", f"'s3://{name}' exists") in made
    assert ("changed", "objects are removed after 14 days") in made
    assert ("ok", "it is not public") in made
    assert ("ok", "nothing else lies in it") in made
    # This server has no default encryption, and says so.
    assert [text for word, text in made if word == "unknown"][0].startswith("whether objects are enc")
    assert days(ceph, name) == {OURS: 14}

    again = findings(set_up(world, output))
    assert {word for word, _ in again} == {"ok", "unknown"}
    set_up(world, output, "--set", "expire_days=30")
    assert days(ceph, name) == {OURS: 30}
    ceph.s3().delete_bucket(Bucket=name)


def test_a_dry_run_changes_nothing(world, ceph, bucket, keys):
    result = set_up(world, f"s3://{bucket}/dumps", "--dry-run", status=1)
    assert ("problem", "objects are never removed; they should be after 14 days") in findings(result)
    assert days(ceph, bucket) == {}
    final = set_up(world, f"s3://{bucket}/dumps", "--dry-run", "--json", status=1).final
    assert final["counters"]["problems"] == 1 and final["counters"].get("changed", 0) == 0


def test_other_rules_stay(world, ceph, bucket, keys):
    rules = [{"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "dumps/logs/"},
              "Expiration": {"Days": 3}},
             {"ID": "all", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 14}}]
    ceph.s3().put_bucket_lifecycle_configuration(Bucket=bucket,
                                                 LifecycleConfiguration={"Rules": rules})
    # What the seed's own instructions set complies.
    assert ("ok", "objects are removed after 14 days") in findings(set_up(world, f"s3://{bucket}"))
    assert days(ceph, bucket) == {"logs": 3, "all": 14}
    set_up(world, f"s3://{bucket}", "--set", "expire_days=7")
    assert days(ceph, bucket) == {"logs": 3, "all": 14, OURS: 7}


@pytest.mark.parametrize("how", ["acl", "policy"])
def test_a_public_bucket_is_a_problem(world, ceph, bucket, keys, how):
    if how == "acl":
        ceph.s3().put_bucket_acl(Bucket=bucket, ACL="public-read")
    else:
        ceph.s3().put_bucket_policy(Bucket=bucket, Policy=json.dumps({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"],
                           "Resource": [f"arn:aws:s3:::{bucket}/*"]}]}))
    result = set_up(world, f"s3://{bucket}/dumps", status=1)
    assert [text for word, text in findings(result) if word == "problem"][0].startswith("it is public: ")
    assert f"'s3://{bucket}' breaks 1 of the rules" in result.text


def test_what_others_keep_is_named_and_not_let_expire(world, ceph, bucket, keys):
    s3 = ceph.s3()
    for key in ("web/index.html", "dumps/app/2026-11-20/t.csv.gz", "dumps/other/x"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    result = set_up(world, f"s3://{bucket}/dumps/app", status=1)
    told = dict((text.split(";")[0], word) for word, text in findings(result))
    assert told[f"something else lies in it: 's3://{bucket}/web/', 's3://{bucket}/dumps/other/'"] == \
        "problem"
    assert "what else lies in it would be removed, too" in result.stdout
    assert days(ceph, bucket) == {}

    # The whole bucket as the output: what no dump has made is seen all the same.
    result = set_up(world, f"s3://{bucket}", status=1)
    assert f"something else lies in it: 's3://{bucket}/dumps/', 's3://{bucket}/web/'" in result.stdout
    assert days(ceph, bucket) == {}

    s3.delete_object(Bucket=bucket, Key="web/index.html")
    s3.delete_object(Bucket=bucket, Key="dumps/other/x")
    set_up(world, f"s3://{bucket}/dumps/app")
    assert days(ceph, bucket) == {OURS: 14}


def test_a_bucket_of_somebody_else(world, ceph, bucket, keys):
    access_key, secret_key = ceph.second
    world.environment.update(AWS_ACCESS_KEY_ID=access_key, AWS_SECRET_ACCESS_KEY=secret_key)
    result = set_up(world, f"s3://{bucket}/dumps", status=1)
    assert f"look at the bucket of 's3://{bucket}/dumps/'" in result.text
    assert secret_key not in result.stdout + result.stderr


def test_a_bucket_of_google(world, gcs):
    world.config(json.dumps({"storage": {"google": {
        "bucket": "dumps-1", "endpoint": gcs.endpoint, "access_token": gcs.tokens.issue(3600)}}}))
    world.environment["GOOGLE_CLOUD_PROJECT"] = "project-1"
    made = findings(set_up(world, "gs://dumps-1/app"))
    assert ("changed", "'gs://dumps-1' exists") in made
    assert ("changed", "objects are removed after 14 days") in made
    assert any(word == "ok" and text.startswith("objects are encrypted by default")
               for word, text in made)
    assert gcs.store.bucket("dumps-1").resource()["lifecycle"]["rule"][0]["condition"]["age"] == 14
    again = findings(set_up(world, "gs://dumps-1/app"))
    assert "problem" not in {word for word, _ in again} and "changed" not in {w for w, _ in again}


def test_a_local_folder(world, tmp_path):
    """Nobody says of files whether they are encrypted, or removed: that is told, and no fault."""
    made = findings(set_up(world, str(tmp_path / "dumps")))
    assert ("changed", f"'{tmp_path}/dumps' exists") in made
    assert (tmp_path / "dumps").stat().st_mode & 0o077 == 0
    assert [word for word, _ in made].count("unknown") == 2


def test_a_local_folder_that_anybody_reads(world):
    folder = tempfile.mkdtemp(prefix="run-core-", dir="/tmp")  # every user can go there
    try:
        os.chmod(folder, 0o755)
        told = findings(set_up(world, folder, status=1))
        assert ("problem", "it is public: its mode is 0755") in told
    finally:
        os.rmdir(folder)


def test_no_output_is_a_mistake(world):
    result = world.run("egress", "setup")
    assert result.status == 2
    assert "S3_OUTPUT" in result.text
