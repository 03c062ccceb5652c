"""What tests know of an S3 server, whichever it is: where it is, as whom to come, and Amazon's own
client for it."""
import functools


class S3Server:
    """Subclasses set endpoint, access_key, secret_key and second, the two keys of another user."""

    region = "us-east-1"

    def environment(self):
        """What tests find the server by."""
        return {
            "RUN_CORE_TEST_S3_ENDPOINT": self.endpoint,
            "RUN_CORE_TEST_S3_REGION": self.region,
            "RUN_CORE_TEST_S3_ACCESS_KEY": self.access_key,
            "RUN_CORE_TEST_S3_SECRET_KEY": self.secret_key,
            "RUN_CORE_TEST_S3_OTHER_ACCESS_KEY": self.second[0],
            "RUN_CORE_TEST_S3_OTHER_SECRET_KEY": self.second[1],
        }

    def s3(self, user=None, **options):
        return s3_client(self, *(user or (self.access_key, self.secret_key)), **options)


class Running(S3Server):
    """A server that somebody else has started, known by the environment."""

    def __init__(self, environment):
        def known(name):
            return environment[f"RUN_CORE_TEST_S3_{name}"]
        self.endpoint, self.region = known("ENDPOINT"), known("REGION")
        self.access_key, self.secret_key = known("ACCESS_KEY"), known("SECRET_KEY")
        self.second = (known("OTHER_ACCESS_KEY"), known("OTHER_SECRET_KEY"))


def s3_client(server, access_key, secret_key, endpoint=None, session_token=None, **config):
    """Amazon's own client, without its retries, so that a test sees each answer. 'endpoint' is
    another way to the server, say through a proxy."""
    from botocore.config import Config
    config.setdefault("retries", {"max_attempts": 0})
    config.setdefault("s3", {"addressing_style": "path"})
    return session().client(
        "s3", region_name=server.region, endpoint_url=endpoint or server.endpoint,
        aws_access_key_id=access_key, aws_secret_access_key=secret_key,
        aws_session_token=session_token, config=Config(signature_version="s3v4", **config))


@functools.cache
def session():
    """What takes boto3 long to load, once."""
    import boto3
    return boto3.session.Session()


def empty(client, bucket):
    """Removes what is in a bucket: all versions of all objects, and uploads that were begun."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = page.get("Versions", []) + page.get("DeleteMarkers", [])
        if found:
            client.delete_objects(Bucket=bucket, Delete={"Quiet": True, "Objects": [
                {"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]})
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for one in page.get("Uploads", []):
            client.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
