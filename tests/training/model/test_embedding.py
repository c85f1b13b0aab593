import pytest
import torch

from tests.training.model.conftest import SIZES
from training.baselines.synthetic import Shape, synthetic_batch
from training.model import embedding
from training.model.embedding import rows_of


def test_an_item_is_its_five_features_side_by_side(make, batch):
    net, items = make().item, batch.items
    e = net(items)
    for u in range(len(items.item_U)):
        tags = items.tags_UG[u][items.tags_UG[u] > 0]
        parts = [
            net.item.weight[items.item_U[u]],
            net.brand.weight[items.brand_U[u]],
            net.shop.weight[items.shop_U[u]],
            net.category.weight[items.category_U[u]],
            net.tag.weight[tags].mean(dim=0) if len(tags) else torch.zeros(4),
        ]
        torch.testing.assert_close(e[u], torch.cat(parts))


def test_tags_are_averaged_over_those_that_are_there(make, batch):
    net, items = make().item, batch.items
    items.tags_UG[1] = torch.tensor([3, 7, 0, 0, 0, 0, 0, 0, 0])
    items.tags_UG[2] = 0
    tags = net(items)[:, -4:]
    torch.testing.assert_close(tags[1], (net.tag.weight[3] + net.tag.weight[7]) / 2)
    assert not tags[2].any()


def test_an_unknown_item_still_has_its_general_features(make, batch):
    net, items = make().item, batch.items
    items.item_U[1:3] = 1
    e = net(items)
    assert torch.equal(e[1, :5], e[2, :5])
    assert not torch.equal(e[1, 5:], e[2, 5:])


def test_gradients_touch_the_batch_s_rows_once_and_never_the_padding(make, batch):
    net = make().item
    net(batch.items).square().sum().backward()
    rows = {
        "item": batch.items.item_U,
        "brand": batch.items.brand_U,
        "shop": batch.items.shop_U,
        "category": batch.items.category_U,
        "tag": batch.items.tags_UG,
    }
    for name, used in rows.items():
        gradient = getattr(net, name).weight.grad
        assert gradient.is_sparse
        touched = gradient.coalesce().indices()[0]
        assert set(touched.tolist()) <= set(used.flatten().tolist()) - {0}
        assert not getattr(net, name).weight[0].any()


def test_a_query_is_the_mean_of_its_tokens_or_a_constant(make):
    net = make().query
    with torch.no_grad():
        net.absent.normal_()
    unknown = 1
    q = net(torch.tensor([[3, 9, 0], [0, 0, 0], [5, 0, 0], [unknown, 7, 0]]))
    torch.testing.assert_close(q[0], (net.token.weight[3] + net.token.weight[9]) / 2)
    torch.testing.assert_close(q[3], (net.token.weight[unknown] + net.token.weight[7]) / 2)
    assert torch.equal(q[1], net.absent)
    assert torch.equal(q[2], net.token.weight[5])
    assert torch.equal(net(torch.zeros(2, 0, dtype=torch.long)), net.absent.expand(2, -1))


def test_a_user_without_a_profile_is_a_constant(make):
    net = make().user
    with torch.no_grad():
        net.absent.normal_()
    u = net(torch.tensor([[1, 2], [0, 0], [0, 3]]))
    assert torch.equal(u[1], net.absent)
    assert not torch.equal(u[2], net.absent)
    assert torch.equal(net(torch.zeros(3, 0, dtype=torch.long)), net.absent.expand(3, -1))


def test_what_is_known_of_a_user_is_dropped_and_the_constant_is_not(make):
    net = make(dropout=0.5).user.train()
    u = net(torch.tensor([[1, 2], [0, 0]]).repeat(50, 1))
    assert (u[::2] == 0).float().mean() == pytest.approx(0.5, abs=0.2)
    assert torch.equal(u[1::2], net.absent.expand(50, -1))


def test_tables_start_at_the_sizes_that_are_set(make):
    sizes = {"item_std": 1e-4, "group_std": 1.0, "general_std": 1e4}
    net = make(**sizes)
    tables = {
        "item_std": [net.item.item],
        "group_std": [net.item.brand, net.item.shop],
        "general_std": [net.item.category, net.item.tag, net.icon],
    }
    for name, those in tables.items():
        for table in those:
            assert table.weight[1:].std().item() == pytest.approx(sizes[name], rel=0.5), name


def test_the_constant_learns(make):
    net = make().user
    net(torch.tensor([[1, 2], [0, 0]])).sum().backward()
    assert torch.equal(net.absent.grad, torch.ones(6))


def test_rows_of_is_indexing_in_values_and_gradients():
    vectors = torch.randn(5, 3, requires_grad=True)
    index = torch.tensor([[0, 4], [4, 2]])
    torch.testing.assert_close(rows_of(vectors, index), vectors[index])
    (rows_of(vectors, index) * torch.arange(4.0).view(2, 2, 1)).sum().backward()
    assert vectors.grad[:, 0].tolist() == [0.0, 0.0, 3.0, 0.0, 3.0]


def learnt(net, batch):
    """Embeddings, and what each table learns by them."""
    net.zero_grad()
    p = net(batch)
    (p * torch.sin(torch.arange(p.numel()).view_as(p) + 1.0)).sum().backward()
    return [p.detach(), *(table.weight.grad for table in net.tables)]


MANY = synthetic_batch(SIZES, Shape(moments=200, length=60, ragged=True), seed=3)


def test_many_behaviours_learn_by_way_of_all_combinations(make):
    net = make().property
    assert MANY.type_BT.numel() > net.every.shape[1]
    torch.testing.assert_close(
        *(learnt(net.train(mode), MANY) for mode in (False, True)), rtol=1e-4, atol=1e-4
    )
    assert not any(table.weight.grad[0].any() for table in net.tables)


def test_of_more_combinations_than_pay_no_table_is_made_and_all_is_the_same(make, monkeypatch):
    whole = make().property.train()
    rows = whole.every.shape[1]
    monkeypatch.setattr(embedding, "MOST_COMBINATIONS", rows)
    assert make().property.every is not None
    monkeypatch.setattr(embedding, "MOST_COMBINATIONS", rows - 1)
    apart = make().property.train()
    assert apart.every is None
    apart.load_state_dict(whole.state_dict())
    assert torch.equal(apart(MANY), whole(MANY))
    torch.testing.assert_close(learnt(apart, MANY), learnt(whole, MANY), rtol=1e-4, atol=1e-4)
