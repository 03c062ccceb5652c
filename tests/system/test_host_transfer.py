"""The transfer for plugins, by the host's rules: dry runs, reports, sizes of structs. What the mover
itself does is tested with it."""

import pytest


@pytest.fixture
def stores(world):
    world.config(f"""
        storage:
          a: {{bucket: a, url: "file://{world.root}/a"}}
          b: {{bucket: b, url: "file://{world.root}/b"}}
    """)
    for name, content in {"a/x": "1", "a/y/z": "22", "a/w": "4444", "b/c/x": "1",
                          "b/c/old": "old"}.items():
        path = world.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return world.root


def tree(root):
    return {str(path.relative_to(root)): path.read_text()
            for folder in ("a", "b") for path in sorted((root / folder).rglob("*"))
            if path.is_file()}


def mover(world, *words, **settings):
    tree = {} if "remove" in settings else {"source": "s3://a/", "target": "s3://b/c/"}
    given = {**tree, **settings}
    return world.run("mover", *[word for name, value in given.items()
                                for word in ("--set", f"{name}={value}")], *words)


def test_a_tree(world, stores):
    result = mover(world, skip="w", when="different", extra="true")
    assert result.status == 0, result.stderr
    assert "objects=1 bytes=2 skipped=1 removed=1 failed=0 tokens" in result.stdout
    assert "copied s3://a/y/z" in result.stdout
    assert tree(stores) == {"a/x": "1", "a/y/z": "22", "a/w": "4444", "b/c/x": "1",
                            "b/c/y/z": "22"}


def test_a_dry_run_says_each_change_and_makes_none(world, stores):
    before = tree(stores)
    assert "would move 's3://a/w' to 's3://b/c/w'" in mover(world, "--dry-run", move="true").text
    result = mover(world, "--dry-run", "--json", skip="w", when="different", extra="true")
    assert result.status == 0, result.stderr
    assert "would copy 's3://a/y/z' to 's3://b/c/y/z'" in result.text
    assert "would remove 's3://b/c/old'" in result.text
    assert "objects=1 bytes=2 skipped=1 removed=1 failed=0\"" in result.stdout  # and no token
    assert result.final["counters"]["dry_run_changes"] == 2
    assert tree(stores) == before
    result = mover(world, "--dry-run", remove="[s3://a/x, s3://a/w]")
    assert "would remove 's3://a/x'" in result.text and "removed=2" in result.stdout
    assert tree(stores) == before


def test_a_list(world, stores):
    assert mover(world, remove="[s3://a/x, s3://a/w, s3://a/none]").status == 0
    assert set(tree(stores)) == {"a/y/z", "b/c/x", "b/c/old"}


def test_members_that_a_plugin_does_not_know_of_are_not_read(world, stores):
    result = mover(world, old="true")
    assert result.status != 0
    assert "objects=0" in result.stdout


def test_a_failure_is_counted(world, stores):
    result = mover(world, target="s3://nowhere/")
    assert result.status == 1
    assert "transfer: " in result.text
