from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from tests.training.model import conftest
from training.batch import Batch, Items
from training.config import ModelConfig, Task, TrainConfig
from training.model.dupn import Dupn
from training.optim import Optimizer

PER_MOMENT = ("seq_BT", "type_BT", "scenario_BT", "gap_BT", "daypart_BT", "weekend_BT")
ALL = tuple(Task)


def outputs(net: Dupn, batch: Batch) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in vars(net(batch)).items()}


def total_loss(net: Dupn, batch: Batch) -> Tensor:
    return sum(net.losses(net(batch), batch, ALL).values())


def gradients(net: Dupn, batch: Batch) -> dict[str, Tensor]:
    net.zero_grad()
    total_loss(net, batch).backward()
    return {
        name: weight.grad.to_dense().clone()
        for name, weight in net.named_parameters()
        if weight.grad is not None
    }


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], atol: float = 1e-5) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=atol, msg=name)


def asked_nothing(batch: Batch, *prefixes: str) -> Batch:
    return replace(
        batch,
        **{
            f.name: getattr(batch, f.name)[:0]
            for f in fields(Batch)
            if f.name.startswith(prefixes) and getattr(batch, f.name) is not None
        },
    )


def test_the_default_dimensions_are_the_paper_s():
    config = ModelConfig()
    assert (config.e_dim, config.p_dim, config.e_dim + config.p_dim) == (124, 48, 172)
    assert config.rep_dim == 256
    net = Dupn(config, conftest.SIZES)
    weights = net.lstm.paper_weights()
    assert weights["W_ei"].shape == (128, 124)
    assert weights["W_pi"].shape == (128, 48)
    assert weights["W_hi"].shape == (128, 128)
    assert net.attention.of_hidden.weight.shape == (64, 128)
    assert net.attention.of_context.weight.shape == (64, 64 + 128)
    assert net.ctr.first_of_rep.weight.shape == (128, 256)
    assert net.ctr.rest[0].weight.shape == (64, 128)


def test_every_question_gets_one_answer(make, batch):
    out = make()(batch)
    B, T = batch.seq_BT.shape
    assert out.rep_BR.shape == (B, 12)
    assert out.attention_BT.shape == (B, T)
    assert out.ctr_C.shape == out.l2r_C.shape == batch.cand_C.shape
    assert out.ppp_K7.shape == (len(batch.price_level_K), 7)
    assert out.fifp_I.shape == batch.icon_I.shape
    assert out.spp_S.shape == batch.shop_S.shape


def test_encode_gives_the_representation(make, batch):
    net = make()
    assert torch.equal(net.encode(batch), net(batch).rep_BR)


@pytest.mark.parametrize("setting", [{}, {"ranks_with_query": True}])
def test_serving_s_parts_give_the_same_scores(make, batch, setting):
    net = make(**setting)
    out = net(batch)
    e = net.item_part(batch.items)
    encoded = net.user_part(batch, e)
    asking = int((batch.query_BQ > 0).any(dim=1).nonzero()[0, 0])
    of_first = batch.cand_moment_C == asking
    moment = net.click_part(encoded).of(torch.tensor([asking]))
    weights = net.ranking_part(encoded)[[asking]]
    ctr = net.ctr.of_pair(moment, e[batch.cand_C[of_first]])
    features = net.ranking_features(batch.cand_features_CF[of_first], ctr)
    l2r = net.l2r.of_pair(weights, features)
    torch.testing.assert_close(ctr, out.ctr_C[of_first])
    torch.testing.assert_close(l2r, out.l2r_C[of_first])


def test_the_ranking_weighs_the_click_logit_without_teaching_it(make, batch):
    net = make()
    net(batch).l2r_C.sum().backward()
    assert net.l2r.weight[0].weight.grad is not None
    assert all(weight.grad is None for weight in net.ctr.parameters())
    given = batch.cand_features_CF
    assert net.ranking_features(given, net(batch).ctr_C).shape[1] == given.shape[1] + 1


def test_a_ranking_that_is_learnt_without_clicks_learns_its_own_match(make, batch):
    net = make()
    net.learns([Task.L2R])
    net(batch).l2r_C.sum().backward()
    assert all(weight.grad is not None for weight in net.ctr.parameters())


@pytest.mark.parametrize("variant", ["all", "nobp", "bplstm", "bpatt"])
def test_a_variant_uses_properties_where_its_name_says(make, batch, variant):
    net = make(variant=variant)
    batch.length_B[:2] = 1
    e = net.item_part(batch.items)
    other = replace(batch, gap_BT=(batch.gap_BT % 15 + 1) * (batch.gap_BT > 0))
    before, after = net.user_part(batch, e), net.user_part(other, e)
    one = batch.length_B == 1  # attention has nothing to choose: what differs came by the LSTM
    changed = (before.rep_BR - after.rep_BR).abs().amax(dim=1) > 1e-6
    long = batch.length_B > 1
    assert changed[long].all() == (variant != "nobp")
    assert changed[one].all() == (variant in ("all", "bplstm"))
    in_attention = any(
        name.startswith("attention.of_property") for name, _ in net.named_parameters()
    )
    assert in_attention == (variant in ("all", "bpatt"))
    assert not changed[batch.length_B == 0].any()


def test_padding_never_matters_in_values_or_gradients(make, batch):
    net = make()
    wider = {
        name: torch.cat([getattr(batch, name), torch.full((batch.size, 4), 2)], dim=1)
        for name in PER_MOMENT
    }
    for name in PER_MOMENT:
        right = torch.arange(wider[name].shape[1]) >= batch.length_B[:, None]
        wider[name][right] = 2  # someone else's rows, where only zeros should be
    padded = replace(batch, **wider, query_BQ=torch.nn.functional.pad(batch.query_BQ, (0, 3)))
    ours, theirs = outputs(net, batch), outputs(net, padded)
    assert not theirs["attention_BT"][:, batch.seq_BT.shape[1] :].any()
    theirs["attention_BT"] = theirs["attention_BT"][:, : batch.seq_BT.shape[1]]
    assert_same(ours, theirs)
    assert_same(gradients(net, batch), gradients(net, padded))


def test_the_order_of_moments_never_matters(make, batch):
    net = make()
    order = torch.randperm(batch.size)
    place = torch.argsort(order)
    per_moment = (*PER_MOMENT, "length_B", "query_BQ", "profile_BP")
    shuffled = replace(
        batch,
        **{name: getattr(batch, name)[order] for name in per_moment},
        **{f.name: place[getattr(batch, f.name)] for f in fields(Batch) if "_moment_" in f.name},
    )
    ours, theirs = outputs(net, batch), outputs(net, shuffled)
    for name in ("rep_BR", "attention_BT"):
        theirs[name] = theirs[name][place]
    assert_same(ours, theirs)
    assert_same(gradients(net, batch), gradients(net, shuffled))


def test_it_does_not_matter_whether_equal_items_share_a_position(make, batch):
    net = make()
    every = torch.cat([torch.zeros(1, dtype=torch.long), batch.seq_BT.flatten(), batch.cand_C])
    items = Items(**{f.name: getattr(batch.items, f.name)[every] for f in fields(Items)})
    place = torch.arange(1, len(every))
    B, T = batch.seq_BT.shape
    repeated = replace(batch, items=items, seq_BT=place[: B * T].view(B, T), cand_C=place[B * T :])
    assert len(batch.items.item_U) < len(every)
    assert_same(outputs(net, batch), outputs(net, repeated))
    assert_same(gradients(net, batch), gradients(net, repeated))


def test_a_moment_is_the_same_alone_or_in_a_batch(make, batch):
    net = make()
    together = net.encode(batch)
    for b in range(batch.size):
        row = slice(b, b + 1)
        names = (*PER_MOMENT, "length_B", "query_BQ", "profile_BP")
        alone = replace(batch, **{name: getattr(batch, name)[row] for name in names})
        rep = net.user_part(alone, net.item_part(batch.items)).rep_BR
        torch.testing.assert_close(rep[0], together[b], rtol=1e-5, atol=1e-6)


def test_a_user_of_whom_nothing_is_known_has_a_representation(make, batch):
    net = make()
    B = batch.size
    nothing = replace(
        batch,
        **{name: getattr(batch, name)[:, :0] for name in PER_MOMENT},
        length_B=torch.zeros(B, dtype=torch.long),
        query_BQ=batch.query_BQ[:, :0],
        profile_BP=batch.profile_BP[:, :0],
    )
    rep = net.encode(nothing)
    assert not rep[:, :6].any()
    assert torch.equal(rep, rep[:1].expand(B, -1))
    total_loss(net, nothing).backward()
    assert all(
        torch.isfinite(weight.grad.to_dense()).all()
        for weight in net.parameters()
        if weight.grad is not None
    )


def test_tasks_that_are_not_asked_cost_nothing(make, batch):
    net = make()
    only_ctr = asked_nothing(batch, "price_", "icon_", "shop_")
    losses = net.losses(net(only_ctr), only_ctr, ALL)
    assert {task for task, loss in losses.items() if loss.item() == 0} == {
        Task.PPP,
        Task.FIFP,
        Task.SPP,
    }
    nothing = asked_nothing(batch, "price_", "icon_", "shop_", "cand_")
    assert not any(g.any() for g in gradients(net, nothing).values())


def test_losses_are_the_means_over_the_questions(make, batch):
    net = make()
    out = net(batch)
    losses = net.losses(out, batch, ALL)
    answered = {
        Task.CTR: (out.ctr_C, batch.cand_clicked_C),
        Task.FIFP: (out.fifp_I, batch.icon_followed_I),
        Task.SPP: (out.spp_S, batch.shop_preferred_S),
    }
    for task, (logit, y) in answered.items():
        p = torch.sigmoid(logit)
        likelihood = y * torch.log(p) + (1 - y) * torch.log(1 - p)
        torch.testing.assert_close(losses[task], -likelihood.mean(), msg=task)
    margin = batch.cand_label_C * out.l2r_C
    l2r = (batch.cand_weight_C * torch.log1p(torch.exp(-margin))).mean()
    chosen = torch.softmax(out.ppp_K7, dim=1)[
        torch.arange(len(batch.price_level_K)), batch.price_level_K
    ]
    torch.testing.assert_close(losses[Task.L2R], l2r)
    torch.testing.assert_close(losses[Task.PPP], -torch.log(chosen).mean())
    assert set(net.losses(out, batch, (Task.CTR,))) == {Task.CTR}


def test_each_task_reaches_the_shared_encoder(make, batch):
    net = make()
    for task in ALL:
        net.zero_grad()
        net.losses(net(batch), batch, (task,))[task].backward()
        assert net.lstm.from_hidden.grad.any(), task
        assert net.attention.of_hidden.weight.grad.any(), task


def test_only_embedding_tables_have_sparse_gradients(make, batch):
    net = make()
    total_loss(net, batch).backward()
    optimizer = Optimizer.of(net, TrainConfig())
    sparse = {id(table) for table in optimizer.sparse.tables.values()}
    found = {id(w) for w in net.parameters() if w.grad is not None and w.grad.is_sparse}
    assert sparse == found >= {id(net.item.item.weight), id(net.item.shop.weight)}
    dense = {id(w) for group in optimizer.dense.param_groups for w in group["params"]}
    assert dense == {id(weight) for weight in net.parameters()} - sparse


@pytest.mark.parametrize("interaction", ["concat", "product"])
def test_it_learns_a_batch_by_heart(make, batch, interaction):
    net = make(interaction=interaction, dropout=0.0).train()
    optimizer = Optimizer.of(net, TrainConfig(learning_rate=0.05))
    first = total_loss(net, batch).item()
    for _ in range(40):
        net.zero_grad()
        total_loss(net, batch).backward()
        optimizer.step()
    assert total_loss(net, batch).item() < 0.6 * first


DROPS = {
    "ctr": "ctr_C", "l2r": "l2r_C", "ppp": "ppp_K7", "fifp": "fifp_I", "spp": "spp_S",
    "attention": "attention_BT", "user": "rep_BR",
}  # fmt: skip
"""Parts of the network with dropout of their own, and where it shows."""


def test_dropout_is_for_training_only(make, batch):
    def differing(net):
        one, again = outputs(net, batch), outputs(net, batch)
        return {name for name, value in one.items() if not torch.equal(value, again[name])}

    net = make(dropout=0.5)
    assert differing(net) == set()
    for part, output in DROPS.items():
        net.eval().get_submodule(part).train()
        assert output in differing(net), part
    assert differing(net.train()) == set(DROPS.values())


def test_bf16_is_close_to_fp32(batch):
    net = Dupn(ModelConfig(), conftest.SIZES).eval()
    exact, exact_gradients = outputs(net, batch), gradients(net, batch)
    net.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        out = net(batch)
        loss = sum(net.losses(out, batch, ALL).values())
    loss.backward()
    for name, value in vars(out).items():
        assert value.dtype == torch.float32, name
        assert (value - exact[name]).abs().max() < 0.05, name
    for name, weight in net.named_parameters():
        if weight.grad is not None and exact_gradients[name].any():
            ours, wanted = weight.grad.to_dense().flatten(), exact_gradients[name].flatten()
            assert torch.cosine_similarity(ours, wanted, dim=0) > 0.9, name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_gpu_gives_the_same_answers(make, batch):
    net = make()
    ours = outputs(net, batch)
    theirs = {name: v.cpu() for name, v in outputs(net.cuda(), batch.to("cuda")).items()}
    assert_same(ours, theirs, atol=1e-4)
