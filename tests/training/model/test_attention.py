import pytest
import torch

from training.model import attention
from training.model.attention import Attention, AttentionDims

H, C, P, A = 6, 10, 4, 5


def network(dropout: float = 0.0, product: bool = False) -> Attention:
    return Attention(AttentionDims(H, C, P, A), dropout, product)


def inputs():
    B, T = 4, 7
    lengths = torch.tensor([7, 3, 1, 0])
    return torch.randn(B, T, H), torch.randn(B, C), torch.randn(B, T, P), lengths


def test_it_is_equation_7_over_the_concatenation():
    net = network()
    h, context, p, lengths = inputs()
    rep, a = net(h, context, p, lengths)
    first = torch.cat([net.of_hidden.weight, net.of_context.weight, net.of_property.weight], dim=1)
    for b, length in enumerate(lengths.tolist()):
        expected = torch.zeros(H)
        scores = [
            net.score.weight[0]
            @ torch.relu(first @ torch.cat([h[b, t], context[b], p[b, t]]) + net.of_context.bias)
            for t in range(length)
        ]
        if scores:
            weights = torch.softmax(torch.stack(scores), dim=0)
            expected = weights @ h[b, :length]
            torch.testing.assert_close(a[b, :length], weights, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(rep[b], expected, rtol=1e-5, atol=1e-6)


def test_the_product_adds_the_match_of_context_and_hidden_state_to_the_score():
    net = network(product=True)
    h, context, p, lengths = inputs()
    _, a = net(h, context, p, lengths)
    match, net.match = net.match, None
    _, without = net(h, context, p, lengths)
    factor = torch.exp(h[0] @ (match.weight @ context[0]))
    torch.testing.assert_close(a[0], without[0] * factor / (without[0] * factor).sum())


def test_weights_sum_to_one_over_real_behaviours_only():
    _, a = network(dropout=0.5)(*inputs())
    assert torch.allclose(a.sum(dim=1), torch.tensor([1.0, 1.0, 1.0, 0.0]))
    assert not a[1, 3:].any()
    assert (a >= 0).all()


def test_no_behaviours_give_zero_and_finite_gradients():
    net = network()
    h, context, p, _ = inputs()
    h.requires_grad_()
    rep, _ = net(h, context, p, torch.zeros(4, dtype=torch.long))
    assert not rep.any()
    rep.square().sum().backward()
    assert torch.isfinite(h.grad).all()
    empty, weights = net(h[:, :0], context, p[:, :0], torch.zeros(4, dtype=torch.long))
    assert not empty.any()
    assert weights.shape == (4, 0)


def test_query_user_and_property_each_move_the_weights():
    net = network()
    h, context, p, lengths = inputs()
    _, a = net(h, context, p, lengths)
    for other in ((context + 1, p), (context, torch.flip(p, [1]))):
        assert (net(h, *other, lengths).attention_BT - a)[0].abs().max() > 1e-4


def test_dropout_keeps_the_same_units_for_all_behaviours_of_a_moment():
    net = network(dropout=0.5)
    h, context, p, lengths = inputs()
    same_h, same_p = h[:, :1].expand_as(h), p[:, :1].expand_as(p)
    _, a = net(same_h, context, same_p, lengths)
    torch.testing.assert_close(a[0], torch.full((7,), 1 / 7))


@pytest.mark.parametrize("product", [False, True])
def test_the_gradient_by_hand_is_autograd_s(product):
    h, _, _, lengths = inputs()
    score, match, real = torch.randn(4, 7), torch.randn(4, H), torch.arange(7) < lengths[:, None]
    found = []
    for pool in (attention._pool, attention._Pool.apply):
        wanted = [x.clone().requires_grad_() for x in (score, match, h)]
        rep, a = pool(wanted[0], wanted[1] if product else None, wanted[2], real)
        (torch.sin(rep).sum() + (a * torch.arange(7.0)).sum()).backward()
        found.append([x.grad for x in (wanted if product else wanted[::2])])
    torch.testing.assert_close(*found)


def test_it_answers_the_same_with_and_without_gradients():
    net, given = network(product=True), inputs()
    learning = net(*given)
    with torch.no_grad():
        torch.testing.assert_close(tuple(learning), tuple(net(*given)))
