"""What Wide & Deep and DSSM read of a moment, and what they answer, each written out."""

import pytest
import torch
from torch import nn

from training.config import Task
from training.peers.build import builder
from training.peers.dssm import tower
from training.peers.names import PEERS
from training.peers.wide_deep import Deep


def loud(network):
    """Weights start at almost nothing; these make every part of a sum matter."""
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Embedding):
                part.weight.normal_(std=0.7)[0].zero_()
            elif isinstance(part, nn.Linear):
                part.weight.mul_(3)
    return network


def moment(inputs, batch, e_UE, place):
    """Profile fields, the mean of the words that were typed, the mean of the history's items."""
    fields = [
        table.weight[row]
        for table, row in zip(inputs.profile, batch.profile_BP[place], strict=True)
    ]
    typed = [row for row in batch.query_BQ[place].tolist() if row]
    query = inputs.query.token.weight[typed].mean(dim=0) if typed else inputs.query.absent
    past = batch.seq_BT[place, : batch.length_B[place]]
    history = e_UE[past].mean(dim=0) if len(past) else torch.zeros(e_UE.shape[1])
    return torch.cat([*fields, query, history])


@pytest.mark.parametrize("name", ["wide_deep", "dssm"])
def test_a_moment_is_its_profile_its_query_and_its_history(name, scattered, make):
    inputs = loud(make(name)).inputs
    with torch.no_grad():
        inputs.query.absent.normal_()
        e_UE = inputs.item(scattered.items)
        found = inputs.of_moment(scattered, e_UE)
        wanted = [moment(inputs, scattered, e_UE, place) for place in range(scattered.size)]
    torch.testing.assert_close(found, torch.stack(wanted))
    assert found.shape[1] == inputs.moment_dim


def questions(batch, inputs, e_UE):
    """By task: each question's moment, and what it is about."""
    features = batch.cand_features_CF
    nothing = torch.zeros(len(batch.price_moment_K), 0)
    return {
        Task.CTR: (batch.cand_moment_C, e_UE[batch.cand_C]),
        Task.L2R: (batch.cand_moment_C, torch.cat([e_UE[batch.cand_C], features], dim=1)),
        Task.PPP: (batch.price_moment_K, nothing),
        Task.FIFP: (batch.icon_moment_I, inputs.icon.weight[batch.icon_I]),
        Task.SPP: (batch.shop_moment_S, inputs.item.shop.weight[batch.shop_S]),
    }


def test_the_deep_side_answers_from_the_moment_and_what_is_asked_about(scattered, make):
    model = loud(make("wide_deep"))
    with torch.no_grad():
        out = model(scattered)  # the wide side has learnt nothing yet
        e_UE = model.inputs.item(scattered.items)
        x_BX = model.inputs.of_moment(scattered, e_UE)
        asked = questions(scattered, model.inputs, e_UE)
        answers = (out.ctr_C, out.l2r_C, out.ppp_K7, out.fifp_I, out.spp_S)
        for (task, (moment_N, other_NO)), answer in zip(asked.items(), answers, strict=True):
            deep = model.deep[task.value]
            first = deep.first_of_moment(x_BX[moment_N])
            if other_NO.shape[1]:
                first = first + other_NO @ deep.first_of_other.weight.T
            wanted = deep.rest(torch.relu(first))
            torch.testing.assert_close(answer, wanted if task is Task.PPP else wanted[:, 0])
            assert answer.std() > 0.01, "all the same: this test shows nothing"


def test_dssm_holds_the_users_direction_against_icons_and_items(
    scattered, peers, wide, small, sizes
):
    halved = peers.model_copy(update={"cosine_scale": 5.0})
    model = loud(builder("dssm", halved, wide)(small, sizes)).eval()
    with torch.no_grad():
        out = model(scattered)
        e_UE = model.inputs.item(scattered.items)
        user = model.user_tower(model.inputs.of_moment(scattered, e_UE))
        item = model.item_tower(e_UE[scattered.cand_C])
        icon = model.icon_tower(model.inputs.icon.weight[scattered.icon_I])
    torch.testing.assert_close(out.rep_BR, user / user.norm(dim=1, keepdim=True))
    for answer, moment_N, other in (
        (out.ctr_C, scattered.cand_moment_C, item),
        (out.fifp_I, scattered.icon_moment_I, icon),
    ):
        cosine = torch.cosine_similarity(user[moment_N], other)
        torch.testing.assert_close(answer, 5 * cosine)


def dropped(module, *given):
    """Shares of zeros that each dropout of a module left in ones."""
    shares = []
    for one in (m for m in module.modules() if isinstance(m, nn.Dropout)):
        one.register_forward_hook(lambda m, x, y: shares.append(float((y == 0).float().mean())))
        one.register_forward_pre_hook(lambda m, x: (torch.ones_like(x[0]),))
    module.train()(*given)
    return shares


def test_every_hidden_layer_of_the_deep_side_is_dropped_from():
    deep = Deep(3, 2, (500, 400, 300, 7), dropout=0.4)
    place = torch.arange(5)
    shares = dropped(deep, torch.randn(5, 3), place, torch.randn(5, 2))
    assert shares == pytest.approx([0.4] * 3, abs=0.05)


def test_a_tower_is_tanh_after_each_layer_and_dropout_between_them():
    layers, given = tower(3, (500, 400, 300), dropout=0.4), torch.randn(5, 3)
    expected = given
    for layer in (m for m in layers if isinstance(m, nn.Linear)):
        expected = torch.tanh(layer(expected))
    torch.testing.assert_close(layers.eval()(given), expected)
    assert (layers.train()(given) != 0).all(), "a direction is not dropped from"
    assert dropped(layers, given) == pytest.approx([0.4] * 2, abs=0.05)


@pytest.mark.parametrize("name", PEERS)
def test_tables_that_grow_with_a_vocabulary_learn_by_the_row_and_padding_stays_zero(
    name, asked, learner
):
    network = learner(name, *PEERS[name].tasks)
    network.learn(asked, 0)
    tables = {n: m for n, m in network.model.named_modules() if isinstance(m, nn.Embedding)}
    for place, table in tables.items():
        assert table.sparse == ("property" not in place), place
        assert not table.weight[0].any(), place
