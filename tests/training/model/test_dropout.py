import pytest
import torch
from torch import nn

from training.model.dropout import Dropout, drawing_from


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.75])
def test_units_are_dropped_as_often_as_was_asked_and_the_others_make_up_for_them(p):
    torch.manual_seed(1)
    given = torch.ones(1000, 1000)
    found = Dropout(p)(given)
    assert float((found == 0).float().mean()) == pytest.approx(p, abs=0.002)
    assert float(found.mean()) == pytest.approx(1, abs=0.005)
    assert found[found > 0].unique().tolist() == pytest.approx([1 / (1 - p)])


def test_no_unit_hangs_on_another_whether_they_share_a_number_or_not():
    torch.manual_seed(2)
    dropped = (Dropout(0.3)(torch.ones(100_000, 8)) == 0).double()
    covariance = torch.cov(dropped.T)
    assert torch.allclose(covariance, torch.eye(8, dtype=torch.float64) * 0.21, atol=0.003)
    again = (Dropout(0.3)(torch.ones(100_000, 8)) == 0).double()
    assert float((dropped * again).mean()) == pytest.approx(0.09, abs=0.002)


def test_a_gradient_passes_where_the_value_passed():
    given = torch.randn(7, 5, requires_grad=True)
    found = Dropout(0.4)(given)
    found.sum().backward()
    assert torch.equal(given.grad, (found != 0) / (1 - 0.4))


def test_the_seed_of_torch_decides_the_mask():
    masks = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        masks.append(Dropout(0.5)(torch.ones(50)))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize("shape", [(0, 4), (1,), (3,), (5, 7, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shape_and_kind_of_number_stay(shape, dtype):
    given = torch.ones(shape, dtype=dtype)
    found = Dropout(0.2)(given)
    assert found.shape == given.shape
    assert found.dtype == dtype


def test_what_is_answered_is_not_dropped_from():
    given = torch.randn(40)
    assert torch.equal(Dropout(0.9).eval()(given), given)
    assert torch.equal(Dropout(0.0)(given), given)


def test_columns_of_another_order_are_dropped_from_as_well():
    given = torch.ones(300, 200).T
    assert float((Dropout(0.5)(given) == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert isinstance(Dropout(0.5), nn.Dropout)


def test_what_is_drawn_from_a_generator_of_ones_own_leaves_torchs_alone():
    torch.manual_seed(3)
    usual = Dropout(0.5)(torch.ones(50))
    masks = []
    for seed in (3, 4):
        torch.manual_seed(3)
        with drawing_from(torch.Generator().manual_seed(seed)):
            masks.append(Dropout(0.5)(torch.ones(50)))
        assert torch.equal(Dropout(0.5)(torch.ones(50)), usual)
    assert torch.equal(masks[0], usual)
    assert not torch.equal(masks[1], usual)
