"""A daemon that was stopped, as by a terminal or a frozen container: the wall clock was not set,
yet time went by. It is in a file of its own because it waits for more than a minute."""

import signal
import time

from test_daemon import ALL_HISTORY, make, statuses, wait_until_recorded

__all__ = ["make"]  # a fixture

STEP = 2000
RULE_S = 60  # of the daemon: stopped for longer, it has missed what was due
DONE, MISSED = ("succeeded", ""), ("skipped", "misfire")


def stop_for(daemon, seconds):
    """Stops it while it waits for its next slots; returns from when to when it did nothing."""
    def is_idle():
        found = [daemon.runs(job) for job in ("skip", "latest")]
        return all(rows and rows[-1]["status"] == "succeeded" for rows in found) and \
            time.time() * 1000 % STEP < STEP - 500

    daemon.wait_for(is_idle)
    daemon.process.send_signal(signal.SIGSTOP)
    since = int(time.time() * 1000)
    time.sleep(seconds)
    until = int(time.time() * 1000)
    daemon.process.send_signal(signal.SIGCONT)
    return since, until


def rows_since(daemon, job, since, until):
    """The rows of all slots between, and of those after them until one that was run."""
    first, last = since // STEP * STEP + STEP, until // STEP * STEP

    def look():
        rows = [row for row in daemon.runs(job) if row["slot_unix_ms"] >= first]
        went_on = [found for found in statuses(rows) if found != MISSED]
        return rows if went_on[:1] == [DONE] and rows[-1]["slot_unix_ms"] >= last else None

    wait_until_recorded(daemon, job, until)
    rows = daemon.wait_for(look)
    slots = [row["slot_unix_ms"] for row in rows]
    assert slots == list(range(first, slots[-1] + 1, STEP))
    return rows


def test_what_was_due_while_it_was_stopped(make):
    """For some seconds nothing is missed, only late; for more than the rule's time, the misfire
    rule judges all of it."""
    rest = 'plugin: noop, schedule: "*/2 * * * * *", concurrency: allow'
    daemon = make(f"skip: {{{rest}, misfire: skip}}\nlatest: {{{rest}, misfire: latest}}",
                  ALL_HISTORY)
    since, until = stop_for(daemon, 5)
    for job in ("skip", "latest"):
        rows = rows_since(daemon, job, since, until)
        rows = [row for row in rows if row["slot_unix_ms"] <= until]
        assert len(rows) >= 2 and set(statuses(rows)) == {DONE}
        assert all(row["started_unix_ms"] >= until for row in rows)
    assert "was stopped" not in daemon.text()

    since, until = stop_for(daemon, RULE_S + 3)
    due = len(range(since // STEP * STEP + STEP, until + 1, STEP))
    missed = {}
    for job in ("skip", "latest"):
        rows = rows_since(daemon, job, since, until)
        missed[job] = statuses(rows).count(MISSED)
        assert statuses(rows)[:missed[job] + 1] == [MISSED] * missed[job] + [DONE]
    assert missed["skip"] == missed["latest"] + 1 and missed["skip"] >= due
    assert daemon.text().count("the daemon was stopped for") == 1
