"""What the README shows of SQL engines is true: its samples are configurations without a mistake, and
its policy allows what Athena is asked."""
import json
import re

import pytest
import yaml
from conftest import SOURCE

README = (SOURCE / "README.md").read_text()
SECTION = README[README.index("## SQL engines\n"):README.index("## State and locks\n")]
CALLS = re.compile(r'"((?:Start|Stop|Get|List|BatchGet)[A-Z]\w+)"')


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.S | re.M)


def sample(kind):
    (found,) = (text for text in blocks("yaml")
                if any(one["engine"] == kind for one in yaml.safe_load(text)["sql"].values()))
    return found


LTV = {"sourceEventsTable": "airlytics_rawevents_helloworld_prod", "exportToCsv": False,
       "targetS3Bucket": "airlytics-datalake-internal-prod", "importToUserDb": False,
       "dailyAggregationsS3Path": "/aggregations/ltv/HelloWorld/1d/"}


@pytest.mark.parametrize("kind", ["trino", "athena"])
def test_a_sample_is_without_mistake(world, kind):
    text = sample(kind)
    for place, content in (("/run/secrets/trino", "of a user"),
                           ("/etc/run-core/ltv.json", json.dumps(LTV))):
        path = world.root / place.rpartition("/")[2]
        path.write_text(content)
        path.chmod(0o600)
        text = text.replace(place, str(path))
    world.config(text)
    result = world.run("check")
    assert result.status == 0, result.stderr


def test_the_policy_allows_what_athena_is_asked():
    (policy,) = map(json.loads, blocks("json"))
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    asked = {f"athena:{call}" for path in (SOURCE / "core" / "sql").glob("athena*.c")
             for call in CALLS.findall(path.read_text())}
    assert len(asked) > 4
    # Athena itself asks for the catalogue on behalf of a query.
    assert {one for one in allowed if one.startswith("athena:")} == asked | {"athena:GetDataCatalog"}
