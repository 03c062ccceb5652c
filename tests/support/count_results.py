"""Adds up the tests in the JUnit files that ctest wrote: those that a program reports one by one
count each, any other program as one. Prints the failed ones and the line 'N passed, N failed'."""
import glob
import os
import re
import sys
import xml.etree.ElementTree

# What cmocka and pytest print at their end.
COUNTS = [
    (re.compile(r"^\[  PASSED  \] (\d+) test", re.M), re.compile(r"^\[  FAILED  \] (\d+) test", re.M)),
    (re.compile(r"^(?:.*, )?(\d+) passed.* in [\d.]+s", re.M),
     re.compile(r"^(?:.*, )?(\d+) failed.* in [\d.]+s", re.M)),
]


# What pytest prints when there was nothing in a file that could be run here.
NOTHING_BUT_SKIPPED = re.compile(r"^\d+ skipped in [\d.]+s", re.M)


def count(output, ok):
    for passes, failures in COUNTS:
        found = passes.findall(output), failures.findall(output)
        if found[0] or found[1]:
            passed, failed = (sum(map(int, numbers)) for numbers in found)
            return passed, failed if ok else max(failed, 1)
    return (1, 0) if ok else (0, 1)


def main(folder, broken):
    passed = failed = skipped = 0
    for path in sorted(glob.glob(os.path.join(folder, "*.xml"))):
        preset = os.path.basename(path)[: -len(".xml")]
        for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            if case.get("status") in ("notrun", "disabled"):
                if case.find("skipped") is not None:
                    skipped += 1
                    continue
            ok = case.get("status") == "run"
            output = case.findtext("system-out") or ""
            if ok and NOTHING_BUT_SKIPPED.search(output):
                skipped += 1
                continue
            good, bad = count(output, ok)
            passed += good
            failed += bad
            if bad:
                print(f"failed: {preset}: {case.get('name')}")
    for step in broken:
        print(f"failed: {step}")
        failed += 1
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main(sys.argv[1], sys.argv[2:]))
