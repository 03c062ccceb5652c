"""What plugins can do with one certain object and with versions, by the host's rules: conditions,
dry runs, sizes of structs. What the stores make of it is tested with them."""
import os
import stat

import pytest


@pytest.fixture
def exact(world):
    def run(do, *words, **settings):
        given = {"do": do, "uri": f"file://{world.root}/lake/x", **settings}
        return world.run("exact", *[word for name, value in given.items()
                                    for word in ("--set", f"{name}={value}")], *words)
    (world.root / "lake").mkdir()
    (world.root / "lake" / "x").write_text("0123")
    return run



def test_reads_of_one_object(world, exact):
    assert "123" in exact("read").stdout
    assert "123" in exact("read", etag="current").stdout
    assert exact("read", etag="other").status == 1
    assert "files have no versions" in exact("read", version="1").text


def test_replacement_keeps_the_mode(world, exact):
    path = world.root / "lake" / "x"
    path.chmod(0o600)
    held_back = exact("replace", "--dry-run", etag="current")
    assert held_back.status == 0 and "would write 3 bytes" in held_back.text
    assert path.read_text() == "0123"
    assert exact("replace", etag="other").status == 1
    assert exact("replace").status == 2  # of which object?
    assert path.read_text() == "0123"
    assert exact("replace", etag="current").status == 0
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o600
    # A plugin of before, which cannot have asked for it.
    umask = os.umask(0)
    os.umask(umask)
    assert exact("replace", etag="current", old="true").status == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert sorted(os.listdir(path.parent)) == ["x"]


def test_copies_of_one_object(world, exact):
    target = world.root / "lake" / "y"
    assert exact("copy", target=f"file://{target}", etag="other").status == 1
    assert "would copy" in exact("copy", "--dry-run", target=f"file://{target}").text
    assert not target.exists()
    assert exact("copy", target=f"file://{target}", etag="current").status == 0
    assert target.read_text() == "0123"


def test_removal_of_one_object(world, exact):
    path = world.root / "lake" / "x"
    assert exact("remove", etag="other").status == 1
    assert f"would remove 'file://{path}'" in exact("remove", "--dry-run", etag="current").text
    assert path.exists()
    assert exact("remove", etag="current", version="1").status == 2
    assert exact("remove", etag="current").status == 0
    assert not path.exists()
    assert exact("remove").status == 0
    assert exact("remove", etag="gone").status == 1


def test_files_have_one_version(world, exact):
    result = exact("versions", uri=f"file://{world.root}/lake/")
    assert result.status == 0 and result.stdout.splitlines()[0] == "x - current"


def test_versions_of_a_bucket(world, ceph, bucket, exact):
    s3 = ceph.s3()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old, new = (s3.put_object(Bucket=bucket, Key="x", Body=body)["VersionId"]
                for body in (b"old", b"new"))
    world.config(f"""
        storage:
          lake:
            bucket: {bucket}
            endpoint: {ceph.endpoint}
            region: {ceph.region}
            access_key_id: {ceph.access_key}
            secret_access_key: {ceph.secret_key}
    """)
    uri = f"s3://{bucket}/x"
    lines = exact("versions", uri=uri).stdout.splitlines()
    assert lines[:2] == [f" {new} current", f" {old}"]
    assert "ld" in exact("read", uri=uri, version=old).stdout
    held_back = exact("remove", "--dry-run", uri=uri, version=old)
    assert f"would remove the version '{old}' of '{uri}'" in held_back.text
    assert exact("remove", uri=uri, version=old).status == 0
    assert exact("remove", uri=uri, etag="current").status == 0
    lines = exact("versions", uri=uri).stdout.splitlines()
    assert lines[0].endswith(" current removal") and lines[1] == f" {new}"
    assert exact("remove", uri=uri, version=lines[0].split()[0]).status == 0
    assert s3.get_object(Bucket=bucket, Key="x")["Body"].read() == b"new"
