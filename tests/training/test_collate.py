"""The batch equals what plain Python makes of the same rows, one by one."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from features import catalog
from features.schemas import SEQ_COLUMNS
from infra.errors import TrainingError
from training.collate import collate
from training.data import Samples
from training.moments import MomentInfo, Moments


@pytest.fixture(scope="module")
def table(store):
    days = store.days("samples")
    return pa.concat_tables([store.partition("samples", day).table() for day in days])


@pytest.fixture(scope="module")
def day_of(table):
    return np.repeat([0, 1], table.num_rows // 2)


@pytest.fixture(scope="module")
def chosen(table):
    rows = np.random.default_rng(0).permutation(table.num_rows)[:80]
    assert any(not len(table["seq_item"][int(row)]) for row in rows)
    return rows


@pytest.fixture(scope="module")
def batch(store, table, day_of, chosen):
    samples = Samples(store, store.days("samples"))
    moments = Moments.from_arrow(table, day_of)
    return collate(moments, chosen, samples.catalogs, samples.sizes)


@pytest.fixture(scope="module")
def rows(table, chosen):
    return [table.slice(int(row), 1).to_pylist()[0] for row in chosen]


def flat(rows, name):
    return [value for row in rows for value in row[name] or []]


def owners(rows, name):
    return [place for place, row in enumerate(rows) for _ in row[name] or []]


def test_offers_are_those_of_the_rows_and_even_where_there_is_none(batch, rows):
    expected = [row["price_offer"] or [1 / 7] * 7 for row in rows]
    np.testing.assert_allclose(batch.offer_BL, expected, rtol=1e-6)
    assert batch.offer_BL.std(dim=1).gt(0.01).any()


def test_sequences_are_padded_on_the_right(batch, rows):
    assert batch.length_B.tolist() == [len(row["seq_item"]) for row in rows]
    width = max(len(row["seq_item"]) for row in rows)
    for name in SEQ_COLUMNS[1:]:
        expected = [row[name] + [0] * (width - len(row[name])) for row in rows]
        assert getattr(batch, f"{name[4:]}_BT").tolist() == expected


def test_items_are_those_of_the_catalog_of_the_samples_own_day(store, batch, rows, day_of, chosen):
    catalogs = [catalog.load(store, day) for day in store.days("samples")]

    def described(place):
        items = batch.items
        plain = [t[place].item() for t in (items.item_U, items.brand_U, items.shop_U)]
        return [*plain, items.category_U[place].item(), items.tags_UG[place].tolist()]

    def expected(row, day):
        own = catalogs[day]
        plain = [own.item[row], own.brand[row], own.shop[row], own.category[row]]
        return [*map(int, plain), own.tags[row].tolist()]

    for place, row in enumerate(rows):
        day = day_of[chosen[place]]
        found = [described(u) for u in batch.seq_BT[place, : len(row["seq_item"])]]
        assert found == [expected(item, day) for item in row["seq_item"]]
    moments = owners(rows, "cand_item")
    assert [described(u) for u in batch.cand_C] == [
        expected(item, day_of[chosen[moment]])
        for item, moment in zip(flat(rows, "cand_item"), moments, strict=True)
    ]


def test_items_are_distinct_and_the_first_is_padding(batch):
    items = batch.items
    columns = [items.item_U, items.tags_UG[:, 0]]
    assert len(torch.stack(columns).unique(dim=1).T) == len(items.item_U)
    assert not items.item_U[0]
    assert not items.tags_UG[0].any()
    assert (batch.seq_BT > 0).sum() == batch.length_B.sum()


def test_questions_know_their_moment(batch, rows):
    for block, name in (("cand", "cand_item"), ("icon", "icon"), ("shop", "shop")):
        assert getattr(batch, f"{block}_moment_{block[0].upper()}").tolist() == owners(rows, name)
    asked = [k for k, row in enumerate(rows) if row["price_level"] is not None]
    assert batch.price_moment_K.tolist() == asked
    assert batch.price_level_K.tolist() == [rows[k]["price_level"] - 1 for k in asked]


def test_answers_stand_beside_their_questions(batch, rows):
    for name in ("clicked", "label", "origin"):
        assert getattr(batch, f"cand_{name}_C").tolist() == flat(rows, f"cand_{name}")
    assert batch.cand_weight_C.tolist() == pytest.approx(flat(rows, "cand_weight"))
    assert batch.cand_features_CF.tolist() == flat(rows, "cand_features")
    assert batch.icon_I.tolist() == flat(rows, "icon")
    assert batch.icon_followed_I.tolist() == flat(rows, "icon_followed")
    assert batch.shop_S.tolist() == flat(rows, "shop")
    assert batch.shop_preferred_S.tolist() == flat(rows, "shop_preferred")
    assert batch.query_BQ.tolist() == [row["query"] for row in rows]
    assert batch.profile_BP.tolist() == [row["profile"] for row in rows]


def test_a_candidate_has_the_price_level_of_its_own_day(store, table, day_of, chosen, rows):
    first, second = (catalog.load(store, day) for day in store.days("samples"))
    dearer = replace(second, price_level=np.where(second.price_level > 0, 7, 0).astype(np.int8))
    moments = Moments.from_arrow(table, day_of)
    sizes = Samples(store, store.days("samples")).sizes
    batch = collate(moments, chosen, [first, dearer], sizes)
    days = day_of[chosen][batch.cand_moment_C.numpy()]
    of_day = np.stack([first.price_level, dearer.price_level])
    expected = of_day[days, flat(rows, "cand_item")]
    assert batch.items.price_U[batch.cand_C].tolist() == expected.tolist()
    assert {0, 1} <= set(days.tolist())
    assert len(set(expected.tolist())) > 2


def test_the_info_names_the_same_moments(table, day_of, chosen, rows):
    info = MomentInfo.of(Moments.from_arrow(table, day_of), chosen)
    assert info.sample_id.to_pylist() == [row["sample_id"] for row in rows]
    assert info.user_id.to_pylist() == [row["user_id"] for row in rows]


def test_moments_without_any_question_make_a_batch(store, table, day_of):
    samples = Samples(store, store.days("samples"))
    plain = table
    for name in ("cand_item", "cand_features", "icon", "shop", "price_level", "seq_item"):
        group = [column for column in table.column_names if column.startswith(name[:4])]
        for column in group:
            place = plain.column_names.index(column)
            field = plain.schema.field(place)
            plain = plain.set_column(place, field, pa.nulls(len(plain), field.type))
    batch = collate(
        Moments.from_arrow(plain, day_of), np.arange(5), samples.catalogs, samples.sizes
    )
    assert batch.seq_BT.shape == (5, 0)
    assert batch.cand_features_CF.shape == (0, samples.sizes.ranking_features)
    assert len(batch.items.item_U) == 1


def test_another_set_of_ranking_features_is_refused(store, table, day_of):
    sizes = Samples(store, store.days("samples")).sizes
    sizes.ranking_features -= 1
    with pytest.raises(TrainingError, match="ranking features, the model expects"):
        collate(
            Moments.from_arrow(table, day_of),
            np.arange(5),
            [catalog.load(store, day) for day in store.days("samples")],
            sizes,
        )


def test_more_profile_fields_than_the_network_knows_are_refused(store, table, day_of):
    samples = Samples(store, store.days("samples"))
    moments, rows = Moments.from_arrow(table, day_of), np.arange(5)  # names were not noted
    fewer = replace(samples.sizes, profile=samples.sizes.profile[:1])
    with pytest.raises(TrainingError, match="has 2 profile fields, the network knows 1"):
        collate(moments, rows, samples.catalogs, fewer)
    more = replace(samples.sizes, profile=(*samples.sizes.profile, 9))
    assert not collate(moments, rows, samples.catalogs, more).profile_BP[:, 2].any()


def test_rows_that_a_network_does_not_have_yet_are_unknown_to_it(store, table, day_of):
    samples = Samples(store, store.days("samples"))
    small = replace(samples.sizes, item=50, shop=6, tag=5, token=9, icon=4, profile=(3, 22))
    moments = Moments.from_arrow(table, day_of)
    rows = np.arange(60)
    whole = collate(moments, rows, samples.catalogs, samples.sizes)
    older = collate(moments, rows, samples.catalogs, small)

    def unknown_from(values, size):
        return torch.where(values < size, values, 1)

    assert torch.equal(older.items.item_U, unknown_from(whole.items.item_U, 50))
    assert torch.equal(older.items.brand_U, whole.items.brand_U)
    assert torch.equal(older.items.tags_UG, unknown_from(whole.items.tags_UG, 5))
    assert torch.equal(older.query_BQ, unknown_from(whole.query_BQ, 9))
    assert torch.equal(older.items.shop_U, unknown_from(whole.items.shop_U, 6))
    assert torch.equal(older.shop_S, unknown_from(whole.shop_S, 6))
    assert torch.equal(older.icon_I, unknown_from(whole.icon_I, 4))
    assert torch.equal(older.profile_BP[:, 0], unknown_from(whole.profile_BP[:, 0], 3))
    assert torch.equal(older.profile_BP[:, 1], whole.profile_BP[:, 1])
