"""Our AdaGrad is torch's, and touches only what the batch touched."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from training.config import TrainConfig
from training.optim import Optimizer, SparseAdagrad


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 50, (30,), generator=generator) for _ in range(5)]


def table(rows: int = 50) -> nn.Embedding:
    torch.manual_seed(1)
    return nn.Embedding(rows, 4, sparse=True)


def learn(embedding, optimizer, batches, l2: float = 0.0):
    for index in batches:
        optimizer.zero_grad()
        loss = embedding(index).sin().sum()
        if l2:
            loss = loss + l2 / 2 * embedding.weight[index.unique()].square().sum()
        loss.backward()
        optimizer.step()
    return embedding.weight.detach()


def test_sparse_adagrad_is_torchs_on_a_dense_table(batches):
    ours, theirs = table(), nn.Embedding.from_pretrained(table().weight.detach(), freeze=False)
    found = learn(ours, SparseAdagrad({"w": ours.weight}, lr=0.1), batches)
    expected = learn(theirs, torch.optim.Adagrad(theirs.parameters(), lr=0.1), batches)
    torch.testing.assert_close(found, expected)


def test_l2_is_the_penalty_on_touched_rows(batches):
    ours, theirs = table(), nn.Embedding.from_pretrained(table().weight.detach(), freeze=False)
    found = learn(ours, SparseAdagrad({"w": ours.weight}, lr=0.1, l2=0.5), batches)
    expected = learn(theirs, torch.optim.Adagrad(theirs.parameters(), lr=0.1), batches, l2=0.5)
    torch.testing.assert_close(found, expected)
    plain = table()
    assert not torch.allclose(learn(plain, SparseAdagrad({"w": plain.weight}, 0.1), batches), found)


def test_rows_that_no_batch_touches_stay(batches):
    embedding = table(60)
    before = embedding.weight.detach().clone()
    after = learn(embedding, SparseAdagrad({"w": embedding.weight}, 0.1, l2=0.5), batches)
    assert torch.equal(after[50:], before[50:])


def test_a_grown_table_keeps_its_state(batches):
    small, large = table(), table(80)
    old = SparseAdagrad({"w": small.weight}, 0.1)
    learn(small, old, batches)
    new = SparseAdagrad({"w": large.weight}, 0.1)
    new.load_state_dict(old.state_dict())
    assert torch.equal(new.sums["w"][:50], old.sums["w"])
    assert not new.sums["w"][50:].any()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.table = nn.Embedding(20, 4, sparse=True)
        self.bag = nn.EmbeddingBag(20, 4, sparse=True)
        self.layer = nn.Linear(4, 1)

    def forward(self, index):
        return self.layer(self.table(index) + self.bag(index[:, None])).sum()


def step(net, config, scale: float = 1.0):
    optimizer = Optimizer.of(net, config)
    (scale * net(torch.arange(10))).backward()
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    optimizer.step()
    return optimizer, {n: (w.detach() - before[n]).abs().max() for n, w in net.named_parameters()}


def test_tables_and_layers_are_told_apart_and_have_their_own_rates():
    net = Net()
    config = TrainConfig(learning_rate=0.01, embedding_learning_rate=0.3, clip_norm=None, l2=0)
    optimizer, moved = step(net, config)
    assert set(optimizer.sparse.tables) == {"table.weight", "bag.weight"}
    assert moved["layer.weight"] == pytest.approx(0.01, rel=1e-3)  # AdaGrad's first step is lr
    assert moved["table.weight"] == pytest.approx(0.3, rel=1e-3)


@pytest.mark.parametrize("rate", [0, -0.1])
def test_tables_that_would_not_learn_are_refused(rate):
    with pytest.raises(ValidationError, match=r"embedding_learning_rate\n.*greater than 0"):
        TrainConfig(embedding_learning_rate=rate)


def test_dense_gradients_are_clipped_together():
    net = Net()
    step(net, TrainConfig(clip_norm=0.5), scale=100)
    grads = [net.layer.weight.grad, net.layer.bias.grad]
    assert torch.cat([g.flatten() for g in grads]).norm() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("norm", [0, None])
def test_without_a_norm_nothing_is_clipped(norm):
    nets = [Net(), Net()]
    nets[1].load_state_dict(nets[0].state_dict())
    step(nets[0], TrainConfig(clip_norm=norm), scale=100)
    step(nets[1], TrainConfig(clip_norm=1e9), scale=100)
    torch.testing.assert_close(nets[0].layer.weight.grad, nets[1].layer.weight.grad)


def test_a_restored_optimizer_goes_on_exactly():
    nets = [Net(), Net()]
    config = TrainConfig(learning_rate=0.1)
    optimizers = [step(net, config)[0] for net in nets]
    fresh = Optimizer.of(nets[1], config)
    fresh.load_state_dict(optimizers[1].state_dict())
    for net, optimizer in zip(nets, (optimizers[0], fresh), strict=True):
        optimizer.zero_grad()
        net(torch.arange(5, 15)).backward()
        optimizer.step()
    for one, two in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_restored_optimizer_keeps_its_own_rates_and_penalties():
    net = Net()
    old, _ = step(net, TrainConfig(learning_rate=0.1, l2=0.2))
    new = Optimizer.of(net, TrainConfig(learning_rate=0.3, l2=0.4, embedding_l2=0.5))
    new.load_state_dict(old.state_dict())
    (group,) = new.dense.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.4)
    assert (new.sparse.lr, new.sparse.l2) == (0.3, 0.5)


def test_a_weight_that_a_step_s_loss_does_not_reach_stays():
    net = Net()
    optimizer, _ = step(net, TrainConfig(l2=0.1))
    before = [weight.detach().clone() for weight in net.layer.parameters()]
    optimizer.zero_grad()
    net.table(torch.arange(10)).sum().backward()
    optimizer.step()
    assert all(map(torch.equal, before, net.layer.parameters()))
