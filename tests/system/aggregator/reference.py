"""What the aggregator has to compute, in plain arithmetic over the events: no SQL, no files."""

import json

BIGINT = range(-(2**63), 2**63)


def judge(text):
    """The value of an event, or None; and whether the event is rejected."""
    try:
        value = json.loads(text)
    except ValueError:
        return None, True
    for key in ("attributes", "revenue"):
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return None, False
    if isinstance(value, (bool, dict, list)):
        return None, True
    try:
        number = int(value)
    except ValueError:
        return None, True
    return (number, False) if number in BIGINT else (None, True)


class Reference:
    def __init__(self, events, name="ad-impression"):
        self.days = {}
        self.rejected = {}
        for event in events:
            if event.name != name:
                continue
            value, rejected = judge(event.text)
            users = self.days.setdefault(event.day, {})
            key = (event.userid, event.shard, event.partition)
            total, count = users.get(key, (0, 0))
            users[key] = (total + (value or 0), count + 1)
            self.rejected[event.day] = self.rejected.get(event.day, 0) + rejected

    def window(self, first, last):
        """{(userid, shard, partition): (sum, count)} over some days, both included."""
        users = {}
        for day in range(max(first, 0), last + 1):
            for key, (total, count) in self.days.get(day, {}).items():
                before = users.get(key, (0, 0))
                users[key] = (before[0] + total, before[1] + count)
        return users

    def rows(self, first, last):
        """The same as an engine would show it: texts, sorted."""
        return sorted(
            (userid, str(shard), str(total), str(count), str(partition))
            for (userid, shard, partition), (total, count) in self.window(first, last).items()
        )

    def csv(self, last, windows):
        """The lines of the CSV file of a day."""
        parts = [self.window(last, last)]
        parts += [self.window(last - days + 1, last) for days in windows]
        parts.append(self.window(0, last))
        lines = []
        for key in sorted(parts[-1]):
            fields = [key[0], key[1]]
            for part in parts:
                fields += part.get(key, (0, 0))
            lines.append(",".join(map(str, fields)))
        return lines
