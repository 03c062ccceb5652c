"""What has to be so once a run has ended well, whatever had happened before: data, markers,
archive, record, and that nothing else is left anywhere. All of it is worked out from the lake as it was, by
the SQL engine's official client; no code of run-core is asked."""
import hashlib
import hmac
import re
from collections import Counter

from dsr_world import ID, Bucket, Folder, array, is_parquet, judge, literal

SALT = "a salt"
# What parquet_schema() says of a column, but for its number of files and places in them.
SCHEMA = ("name, type, type_length, repetition_type, num_children, converted_type, scale, "
          "precision, field_id, CAST(logical_type AS VARCHAR)")


def hashed(who):
    """A user as the record names them."""
    data = who if isinstance(who, bytes) else who.encode("utf-8", "surrogateescape")
    return "hmac-sha256:" + hmac.new(SALT.encode(), data, hashlib.sha256).hexdigest()


def stamps(place):
    """By which one sees that an object was written anew, be it with the same content."""
    if isinstance(place, Folder):
        found = {name: (place.root / name).stat() for name in place.names()}
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}
    if isinstance(place, Bucket):
        start = f"{place.folder}/"
        return {item["Key"][len(start):]: (item["ETag"], item["LastModified"])
                for page in place.client.get_paginator("list_objects_v2").paginate(
                    Bucket=place.bucket, Prefix=start) for item in page.get("Contents", [])}
    return {name: versions[-1].generation for name, versions in place.kept().items()}


class Checker:
    """Looks at a lake before anything happens to it, and then as often as there is an end."""

    # What was found of the same files and the same users before: files without some rows are
    # always made alike, so of many runs few have to be looked into.
    known = {}

    def __init__(self, dsr, erased, unchecked=()):
        self.dsr, self.erased, self.unchecked = dsr, erased, set(unchecked)
        self.may_be_unconfirmed = False  # files that somebody else seems to have replaced
        dsr.remember()
        self.before = {name: Folder(dsr.before).get(name) for name in Folder(dsr.before).names()}
        self.stamps = stamps(dsr.data)
        self.marked = dsr.markers.names()
        self.users = {who for users, _, _ in erased.values() for who in users}

    # ---- data ----

    def data(self):
        """What Dsr.check() tells, and more: files that hold no user have not been touched."""
        dsr = self.dsr
        now = {name: dsr.data.get(name) for name in dsr.data.names()}
        digests = [hashlib.sha256(data + b"\0" + name.encode()).hexdigest()
                   for files in (self.before, now) for name, data in sorted(files.items())]
        key = hashlib.sha256(repr((digests, self.erased, self.unchecked)).encode()).hexdigest()
        if key not in self.known:
            self.known[key] = dsr.check(self.erased, self.unchecked)
            self.schemas(now)
        found, alike = stamps(dsr.data), []
        for name, data in self.before.items():
            if now.get(name) == data and name not in self.unchecked:
                assert found[name] == self.stamps[name], f"{name} was written anew"
                alike.append(name)
        assert alike, "every single file holds a user: nothing tells whether others are spared"
        return self.known[key]

    def schemas(self, now):
        """Schema and key-value metadata are those that the file had."""
        parts = []
        for name, data in now.items():
            if data == self.before.get(name) or name in self.unchecked:
                continue
            old = literal(self.dsr.before / name)
            new = literal(self.dsr.world.root / "after" / name)
            for what, of in ((SCHEMA, "parquet_schema"), ("key, value", "parquet_kv_metadata")):
                one, other = (f"SELECT row_number() OVER () AS n, {what} FROM {of}({path})"
                              for path in (old, new))
                parts += [f"SELECT {literal(name)}, * FROM (SELECT count(*) FROM (({a}) EXCEPT ALL "
                          f"({b})))" for a, b in ((one, other), (other, one))]
        for name, differ in judge(" UNION ALL ".join(parts)) if parts else ():
            assert int(differ) == 0, f"{name} has another schema"

    # ---- record ----

    def rows_by_user(self):
        """How many rows of each user there were in the range of days of the shard."""
        key = hashlib.sha256(repr((sorted((name, hashlib.sha256(data).hexdigest())
                                          for name, data in self.before.items()),
                                   self.erased)).encode()).hexdigest() + " rows"
        if key in self.known:
            return self.known[key]
        parts = []
        for name, data in self.before.items():
            table, shard, day = re.match(r"(\w+)/shard=(\d+)/day=([0-9-]+)/", name).groups()
            users, first, last = self.erased.get(int(shard), ((), "", ""))
            if users and first <= day <= last and is_parquet(data) and name not in self.unchecked:
                parts.append(f"SELECT {shard} AS shard, {ID[table]} AS who, count(*) AS n FROM "
                             f"read_parquet({literal(self.dsr.before / name)}) WHERE "
                             f"list_contains({array(users)}, {ID[table]}) GROUP BY ALL")
        rows = judge("SELECT shard, who, sum(n) FROM (" + " UNION ALL ".join(parts)
                     + ") GROUP BY ALL") if parts else []
        self.known[key] = {(int(shard), hashed(who)): int(count) for shard, who, count in rows}
        return self.known[key]

    def record(self):
        """Each erased row is in the record, once; and each user that was asked for."""
        found = Counter()
        for line in self.dsr.records():
            found[line["shard"], line["user"]] += line["rows"]
            assert sum(table["rows"] for table in line["tables"]) == line["rows"]
            unconfirmed = [table for table in line["tables"] if table["unconfirmed_files"]]
            assert self.may_be_unconfirmed or not unconfirmed, unconfirmed
        recorded, were = {key: n for key, n in found.items() if n}, self.rows_by_user()
        assert recorded == were, (recorded, were)
        asked = {(int(shard), hashed(who)) for shard, (users, _, _) in self.erased.items()
                 for who in users}
        assert set(found) == asked, (set(found), asked)

    # ---- all the rest ----

    def left(self):
        """No backup, no half file, no folder of a run, no unfinished upload, no marker."""
        dsr = self.dsr
        dsr.check_nothing_left()
        left = [(str(path), path.is_dir()) for path in dsr.world.temp.rglob("*")]
        assert left == [], left
        there, archived = dsr.markers.names(), dsr.archived()
        assert (there, archived) == ([], self.marked), (there, archived)
        for place in (dsr.data, dsr.markers, dsr.archive, dsr.temp):
            if isinstance(place, Bucket):
                uploads = place.client.list_multipart_uploads(Bucket=place.bucket,
                                                              Prefix=f"{place.folder}/")
                assert not uploads.get("Uploads"), uploads["Uploads"]

    def secrets(self, *outputs):
        """No id in the state database, its journals, or in anything that was printed."""
        ids = re.compile(b"|".join(re.escape(who.encode("utf-8", "surrogateescape"))
                                   for who in sorted(self.users) if len(who) > 5))
        found = {str(path): path.read_bytes() for path in self.dsr.world.state.rglob("*")
                 if path.is_file()}
        found |= {f"output {n}": output for n, output in enumerate(outputs)}
        for name, data in found.items():
            match = ids.search(data)
            assert not match, (f"{name} has an id: "
                               f"{data[max(0, match.start() - 150):match.end() + 50]!r}")

    def end(self, *outputs):
        found = self.data()
        self.left()
        self.record()
        self.secrets(*outputs)
        return found
