import numpy as np
import pyarrow as pa
import pytest

from features import labels
from features.questions import candidates
from features.questions.moments import Moments
from features.questions.world import Group
from features.schemas import MOMENTS, MomentKind
from features.timeline import Timeline
from infra.errors import ConfigError

USERS, REQUESTS = 100_000, 100_000


def last_of_many():
    """A page of the last user, who clicked; the codes are as high as those of a huge bucket."""
    requests = pa.array(np.arange(REQUESTS)).cast(pa.string())
    one = {"kind": MomentKind.PAGE, "request_id": str(REQUESTS - 1)}
    page = pa.Table.from_pylist([{name: one.get(name) for name in MOMENTS.names}], MOMENTS)
    line = Timeline(
        user=np.array([USERS - 1], np.int32),
        ts=np.zeros(1, np.int64),
        item=np.array([5], np.int32),
        type=np.ones(1, np.int8),
        scenario=np.ones(1, np.int8),
        key=np.ones(1, np.uint64),
        request=np.array([REQUESTS - 1], np.int32),
        today=np.ones(1, bool),
        offsets=np.append(np.zeros(USERS, np.int64), 1),
        items=pa.array([f"i{n}" for n in range(9)]),
        requests=requests,
    )
    return Group(
        moments=Moments(page, np.array([USERS - 1], np.int32)),
        past=line,
        spans=line.before(line.user, line.ts),
        actions=line,
        own_day=line,
        past_owner=line.user,
        moment_owner=line.user,
        profile=np.zeros((1, 0), np.int32),
    )


def test_a_label_is_found_in_a_wide_bucket_and_one_too_wide_is_refused_with_what_to_do():
    group, first, item = last_of_many(), np.array([0]), np.array([5], np.int32)
    keys = candidates._label_keys(group, first, item, item, 900_000_000)
    assert labels.match(*keys).action.tolist() == [0]
    with pytest.raises(ConfigError, match=r"100,000 requests .* Set beam\.buckets higher"):
        candidates._label_keys(group, first, item, item, 1_000_000_000)
