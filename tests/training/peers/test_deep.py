"""Wide & Deep's deep side, DSSM and CNN-max, each against itself written out."""

from dataclasses import replace

import torch
from torch.nn import functional

from training.model.dupn import Dupn
from training.peers.cnn import MaxOverTime
from training.peers.config import PeersConfig
from training.peers.dssm import Dssm
from training.peers.inputs import pooled
from training.peers.wide_deep import Deep, WideDeep


def test_a_history_is_the_mean_of_its_items(asked):
    e_UE = torch.randn(len(asked.items.item_U), 3)
    e_UE[0] = 0
    found = pooled(asked.seq_BT, e_UE)
    for mine, row, length in zip(found, asked.seq_BT, asked.length_B, strict=True):
        expected = e_UE[row[:length]].mean(dim=0) if length else torch.zeros(3)
        torch.testing.assert_close(mine, expected)


def test_the_first_layer_is_one_layer_over_both_parts():
    deep = Deep(4, 3, (6, 5, 2), dropout=0.0)
    x_BX, other_NO, moment_N = torch.randn(2, 4), torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])
    weight = torch.cat([deep.first_of_moment.weight, deep.first_of_other.weight], dim=1)
    both = torch.cat([x_BX[moment_N], other_NO], dim=1)
    hidden = torch.relu(both @ weight.T + deep.first_of_moment.bias)
    hidden = torch.relu(deep.rest[0](hidden))
    torch.testing.assert_close(deep(x_BX, moment_N, other_NO), deep.rest[-1](hidden))


def test_the_sizes_of_table_2_are_the_papers(sizes, small, wide):
    def widths(*layers):
        every = [module for layer in layers for module in layer.modules()]
        return [layer.out_features for layer in every if isinstance(layer, torch.nn.Linear)]

    deep = WideDeep(small, sizes, PeersConfig(), wide).deep["ppp"]
    assert widths(deep.first_of_moment, deep.rest) == [1024, 512, 128, 7]
    dssm = Dssm(small, sizes, PeersConfig())
    for tower in (dssm.user_tower, dssm.item_tower, dssm.icon_tower):
        assert widths(tower) == [1024, 512, 128]
    maps = MaxOverTime(5, PeersConfig().windows, PeersConfig().maps)
    assert [c.kernel_size[0] for c in maps.convolutions] == list(range(1, 11))
    assert {c.out_channels for c in maps.convolutions} == {64}


def test_dssm_is_the_cosine_of_two_towers(asked, make):
    model = make("dssm")
    with torch.no_grad():
        model.ctr_constant.fill_(-0.7)
        model.fifp_constant.fill_(0.3)
        out = model(asked)
        e_UE = model.inputs.item(asked.items)
        user_BX = model.inputs.of_moment(asked, e_UE)
    for k in range(0, len(asked.cand_C), 7):
        user = model.user_tower(user_BX[asked.cand_moment_C[k]])
        item = model.item_tower(e_UE[asked.cand_C[k]])
        cosine = (user @ item) / (user @ user).sqrt() / (item @ item).sqrt()
        torch.testing.assert_close(out.ctr_C[k], 10 * cosine - 0.7)
    icon = model.icon_tower(model.inputs.icon(asked.icon_I[:1]))
    cosine = functional.cosine_similarity(model.user_tower(user_BX[:1]), icon)
    torch.testing.assert_close(out.fifp_I[:1], 10 * cosine + 0.3)


def by_loops(model: MaxOverTime, e_TE: torch.Tensor, length: int) -> torch.Tensor:
    found = []
    for convolution in model.convolutions:
        size = convolution.kernel_size[0]
        best = torch.zeros(convolution.out_channels)
        for start in range(length - size + 1):
            value = convolution.bias.clone()
            for offset in range(size):
                value += convolution.weight[:, :, offset] @ e_TE[start + offset]
            best = torch.maximum(best, torch.relu(value))
        found.append(best)
    return torch.cat(found)


def test_the_largest_of_every_map_is_found_as_by_loops():
    model = MaxOverTime(3, windows=4, maps=5)
    e_UE = torch.randn(6, 3)
    for T in (0, 2, 4, 7):
        length_B = torch.arange(T + 1)
        seq_BT = torch.randint(1, 6, (T + 1, T)) * (torch.arange(T) < length_B[:, None])
        with torch.no_grad():
            found = model(e_UE, seq_BT, length_B)
            for mine, row, length in zip(found, seq_BT, length_B, strict=True):
                torch.testing.assert_close(mine, by_loops(model, e_UE[row], int(length)))
        assert not found[0].any()


def test_windows_are_torchs_convolutions():
    model = MaxOverTime(3, windows=4, maps=5)
    e_UE, seq_BT = torch.randn(9, 3, requires_grad=True), torch.randint(1, 9, (5, 11))
    ours = model(e_UE, seq_BT, torch.full((5,), 11))
    e_BET = e_UE[seq_BT].transpose(1, 2)
    theirs = torch.cat([torch.relu(c(e_BET)).amax(dim=-1) for c in model.convolutions], dim=-1)
    torch.testing.assert_close(ours, theirs)
    weights = [e_UE, *model.parameters()]
    gradients = (torch.autograd.grad(one.square().sum(), weights) for one in (ours, theirs))
    for mine, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, expected)


def test_a_window_never_sees_padding():
    model = MaxOverTime(3, windows=4, maps=5)
    length_B = torch.tensor([6, 3, 1, 0])
    seq_BT = torch.randint(1, 9, (4, 6)) * (torch.arange(6) < length_B[:, None])
    e_UE = torch.randn(9, 3)
    loud = e_UE.clone()
    loud[0] = 1e4
    loud.requires_grad_()
    found = model(loud, seq_BT, length_B)
    torch.testing.assert_close(found, model(e_UE, seq_BT, length_B))
    found.sum().backward()
    assert loud.grad.isfinite().all()
    assert not loud.grad[0].any()


def test_cnn_max_has_the_heads_of_dupn(make, small, sizes):
    cnn, dupn = make("cnn_max"), Dupn(small.model_copy(update={"variant": "nobp"}), sizes)
    for name in ("item", "query", "user", "icon", "ctr", "l2r", "ppp", "fifp", "spp"):
        one, other = (
            {k: v.shape for k, v in getattr(m, name).state_dict().items()} for m in (cnn, dupn)
        )
        assert one == other
    assert not hasattr(cnn, "lstm")
    assert not hasattr(cnn, "attention")


def test_cnn_max_sees_query_order_and_profile(asked, make):
    model = make("cnn_max")
    with torch.no_grad():
        for name in ("query_BQ", "profile_BP", "seq_BT"):
            other = replace(asked, **{name: getattr(asked, name).flip(0)})
            assert not torch.allclose(model(asked).rep_BR, model(other).rep_BR), name
        kept = asked.length_B == 9
        back = replace(asked, seq_BT=torch.where(kept[:, None], asked.seq_BT.flip(1), asked.seq_BT))
        assert not torch.allclose(model(asked).rep_BR[kept], model(back).rep_BR[kept])


def test_cnn_max_is_one_layer_over_maps_and_query_beside_the_user(asked, make):
    model = make("cnn_max")
    with torch.no_grad():
        rep = model(asked).rep_BR
        found = model.maps(model.item(asked.items), asked.seq_BT, asked.length_B)
        seen = torch.cat([found, model.query(asked.query_BQ)], dim=1)
        rep_s = torch.tanh(seen @ model.layer.weight.T + model.layer.bias)
        torch.testing.assert_close(rep, torch.cat([rep_s, model.user(asked.profile_BP)], dim=1))
    assert model.property is None, "behaviour properties are DUPN's"


def test_cnn_max_learns_with_dropout_in_its_own_part_of_the_representation(asked, make):
    width = make("cnn_max").layer.out_features
    rep = make("cnn_max", dropout=0.5).train()(asked).rep_BR
    share = (rep[:, :width] == 0).float().mean()
    assert 0.3 < share < 0.7


def test_cnn_max_remembers_prices_by_the_match_alone_where_that_is_set(asked, make):
    model = make("cnn_max", price_memory=True)
    assert model.price_memory.of_property is None
    before = model(asked)
    with torch.no_grad():
        model.price_memory.of_shares.weight.normal_()
    after = model(asked)
    moved = (after.ppp_K7 - before.ppp_K7).abs().amax(dim=1) > 0
    assert moved[asked.length_B[asked.price_moment_K] > 0].all()
    assert torch.equal(after.ctr_C, before.ctr_C)
