import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from training.baselines.loop import LoopLSTM
from training.model.lstm import PropertyGatedLSTM

E, P, H = 7, 5, 6


def inputs(B=5, T=8, property_dim=P):
    return (
        torch.randn(B, T, E, requires_grad=True),
        torch.randn(B, T, property_dim, requires_grad=True),
        torch.tensor([T, 3, 0, 1, T - 1][:B]),
    )


def values_and_gradients(net, e, p, lengths):
    for tensor in (e, p):
        tensor.grad = None
    net.zero_grad()
    h = net(e, p, lengths)
    (h * torch.sin(torch.arange(h.numel()).view_as(h) + 1.0)).sum().backward()
    return h.detach(), [e.grad, p.grad, *[weight.grad for weight in net.parameters()]]


@pytest.mark.parametrize("T", [1, 8, 100])
def test_the_fused_kernel_equals_the_explicit_equations_in_values_and_gradients(T):
    fused, loop = PropertyGatedLSTM(E, P, H), LoopLSTM(E, P, H)
    loop.load_state_dict(fused.state_dict())
    e, p, lengths = inputs(T=T)
    lengths = lengths.clamp(0, T)
    h_fused, g_fused = values_and_gradients(fused, e, p, lengths)
    h_loop, g_loop = values_and_gradients(loop, e, p, lengths)
    torch.testing.assert_close(h_fused, h_loop, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(g_fused, g_loop, rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_finite_differences():
    net = PropertyGatedLSTM(3, 2, 2).double()
    e, p = torch.randn(2, 3, 3).double(), torch.randn(2, 3, 2).double()
    e.requires_grad_()
    p.requires_grad_()
    assert torch.autograd.gradcheck(lambda e, p: net(e, p, torch.tensor([3, 2])), (e, p))


def test_paper_weights_give_the_same_states_in_numpy():
    net = PropertyGatedLSTM(E, P, H)
    w = {name: weight.numpy().astype(np.float64) for name, weight in net.paper_weights().items()}
    assert set(w) == {
        *(f"{name}{gate}" for name in ("W_e", "W_p", "W_h", "b_") for gate in "ifo"),
        *("W_ec", "W_hc", "b_c"),
    }
    e, p, lengths = inputs()
    got = net(e, p, lengths).detach().numpy()

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    for b, length in enumerate(lengths.tolist()):
        h, c = np.zeros(H), np.zeros(H)
        for t in range(length):
            e_t, p_t = e[b, t].detach().numpy(), p[b, t].detach().numpy()
            i = sigmoid(w["W_ei"] @ e_t + w["W_pi"] @ p_t + w["W_hi"] @ h + w["b_i"])  # (2)
            f = sigmoid(w["W_ef"] @ e_t + w["W_pf"] @ p_t + w["W_hf"] @ h + w["b_f"])  # (3)
            c = f * c + i * np.tanh(w["W_ec"] @ e_t + w["W_hc"] @ h + w["b_c"])  # (4)
            o = sigmoid(w["W_eo"] @ e_t + w["W_po"] @ p_t + w["W_ho"] @ h + w["b_o"])  # (5)
            h = o * np.tanh(c)  # (6)
            np.testing.assert_allclose(got[b, t], h, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("property_dim", [P, 0])
def test_without_properties_it_is_a_plain_lstm(property_dim):
    net = PropertyGatedLSTM(E, property_dim, H)
    plain = nn.LSTM(E, H, batch_first=True)
    w = net.paper_weights()
    with torch.no_grad():
        plain.weight_ih_l0.copy_(torch.cat([w[f"W_e{gate}"] for gate in "ifco"]))
        plain.weight_hh_l0.copy_(torch.cat([w[f"W_h{gate}"] for gate in "ifco"]))
        plain.bias_ih_l0.copy_(torch.cat([w[f"b_{gate}"] for gate in "ifco"]))
        plain.bias_hh_l0.zero_()
    e, p, _ = inputs(property_dim=property_dim)
    h = net(e, torch.zeros_like(p), torch.full((5,), 8))
    torch.testing.assert_close(h, plain(e)[0], rtol=1e-5, atol=1e-6)


def test_a_property_gates_but_never_writes():
    # with the gates' own weights at zero apart from the property's, a behaviour whose item says
    # nothing writes nothing, whatever its property
    net = PropertyGatedLSTM(E, P, H)
    with torch.no_grad():
        net.bias.zero_()
    e, p, lengths = inputs()
    assert not net(torch.zeros_like(e), 50 * p, lengths).any()
    # and an item that says something is let through or kept out by the property
    half_open, shut = net(e, 0 * p, lengths), net(e, p - 1e4 * p.sign(), lengths)
    assert (half_open - shut).abs().max() > 0.01


def test_the_property_to_candidate_block_stays_zero_whatever_the_optimizer_does():
    net = PropertyGatedLSTM(E, P, H)
    optimizer = torch.optim.Adagrad(net.parameters(), lr=0.5, weight_decay=0.1)
    e, p, lengths = inputs()
    before = net.from_property.detach().clone()
    for _ in range(5):
        optimizer.zero_grad()
        net(e, p, lengths).square().sum().backward()
        optimizer.step()
    block = net._fused_weights()[0][
        2 * H : 3 * H, E:
    ]  # the candidate's rows, the property's columns
    assert block.shape == (H, P)
    assert not block.any()
    assert (net.from_property - before).abs().min() > 0


def test_right_padding_never_matters():
    net = PropertyGatedLSTM(E, P, H)
    e, p, lengths = inputs()
    h, gradients = values_and_gradients(net, e, p, lengths)
    with torch.no_grad():
        for b, length in enumerate(lengths.tolist()):
            e[b, length:], p[b, length:] = 1e3, -1e3
    h_other, gradients_other = values_and_gradients(net, e, p, lengths)
    assert torch.equal(h, h_other)
    for g, g_other in zip(gradients, gradients_other, strict=True):
        torch.testing.assert_close(g, g_other, rtol=1e-5, atol=1e-6)
    for b, length in enumerate(lengths.tolist()):
        assert not e.grad[b, length:].any()
        assert not h[b, length:].any()
        alone = net(e[b : b + 1, :length], p[b : b + 1, :length], lengths[b : b + 1])
        torch.testing.assert_close(h[b : b + 1, :length], alone, rtol=1e-5, atol=1e-6)


def test_the_forget_gate_starts_open():
    weights = PropertyGatedLSTM(E, P, H).paper_weights()
    assert (weights["b_f"] == 1).all()
    assert not any(weights[f"b_{gate}"].any() for gate in "ico")


def test_each_gates_recurrence_starts_orthogonal_and_its_inputs_within_their_own_bound():
    net = PropertyGatedLSTM(48, 40, 32)
    for weight in net.from_hidden.detach().chunk(4):
        torch.testing.assert_close(weight @ weight.T, torch.eye(32), rtol=0, atol=1e-5)
    for weights, gates in ((net.from_item, 4), (net.from_property, 3)):
        bound = (6 / (weights.shape[1] + 32)) ** 0.5
        for weight in weights.detach().chunk(gates):
            assert 0.9 * bound < weight.abs().max() <= bound


def test_bf16_is_close_to_fp32():
    net = PropertyGatedLSTM(124, 48, 128)
    e, p = torch.randn(4, 100, 124) * 0.3, torch.randn(4, 100, 48) * 0.3
    lengths = torch.tensor([100, 60, 1, 0])
    exact = net(e, p, lengths)
    exact.square().mean().backward()
    wanted = net.from_item.grad.clone()
    net.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = net(e, p, lengths)
    rounded.float().square().mean().backward()
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).abs().max() < 0.02
    assert (net.from_item.grad - wanted).norm() < 0.03 * wanted.norm()


class Noting(TorchFunctionMode):
    """Keeps whether autocast would cast what the kernel is given, and of what dtype that is."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.lstm:
            self.seen = torch.is_autocast_enabled("cpu"), args[0].dtype
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_is_given_what_is_cast_already_and_autocast_lets_it_be(dtype):
    net = PropertyGatedLSTM(E, P, H)
    with Noting() as kernel, torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        assert net(*inputs()).dtype == dtype
    assert kernel.seen == (False, dtype)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_gpu_gives_the_same_states():
    net = PropertyGatedLSTM(E, P, H)
    e, p, lengths = inputs()
    h = net(e, p, lengths)
    on_gpu = net.cuda()(e.cuda(), p.cuda(), lengths.cuda())
    torch.testing.assert_close(on_gpu.cpu(), h, rtol=1e-4, atol=1e-5)
    with torch.autocast("cuda", torch.bfloat16):
        rounded = net(e.cuda(), p.cuda(), lengths.cuda())
    assert rounded.dtype == torch.bfloat16
    assert (rounded.cpu().float() - h).abs().max() < 0.02
