import pyarrow as pa
import pytest

from features.items import sightings


def snapshot(*names):
    return pa.table({name: ["1"] for name in names})


@pytest.mark.parametrize(
    ("table", "names", "found"),
    [
        ("users", ["user_hash", "user_id", "age"], ["profile_age"]),
        ("users", ["user_id", "shop_id", "icon_id"], ["profile_shop_id", "profile_icon_id"]),
        ("icons", ["icon_id", "shop_id", "user_id"], ["icon", "icon_shop_id", "icon_user_id"]),
        ("shops", ["shop_id", "icon_id"], ["shop", "shop_icon_id"]),
    ],
)
def test_only_the_keys_of_its_own_table_are_no_attribute(table, names, found):
    assert [feature for feature, _ in sightings.of_snapshot(table, snapshot(*names))] == found
    own = [one for one in found if one not in ("icon", "shop")]
    assert sightings.column_features(table, names) == own
