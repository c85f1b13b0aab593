import pytest
import torch

from training.model.heads import PairHead, RankingHead

B, R, C, E = 3, 8, 6, 4
MOMENT = torch.tensor([0, 2, 2, 1, 0, 2])


def pair_head(product):
    return PairHead(R, E, (7, 5), dropout=0.3, product=product).eval(), torch.randn(B, R)


@pytest.mark.parametrize("product", [False, True])
def test_the_split_first_layer_is_the_layer_over_the_concatenation(product):
    head, rep = pair_head(product)
    other = torch.randn(C, E)
    whole = torch.cat([head.first_of_rep.weight, head.first_of_other.weight], dim=1)
    x = torch.cat([rep[MOMENT], other], dim=1)
    second, _, _, last = head.rest
    expected = last(torch.relu(second(torch.relu(x @ whole.T + head.first_of_rep.bias))))[:, 0]
    if product:
        expected = expected + (head.match(rep)[MOMENT] * other).sum(dim=1)
    torch.testing.assert_close(head(rep, other, MOMENT), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("product", [False, True])
def test_a_kept_moment_part_scores_candidates_alike(product):
    head, rep = pair_head(product)
    other = torch.randn(C, E)
    kept = head.of_moment(rep)
    one = head.of_moment(rep[1:2])
    at_one = torch.ones(C, dtype=torch.long)
    torch.testing.assert_close(head.of_pair(kept.of(MOMENT), other), head(rep, other, MOMENT))
    torch.testing.assert_close(head.of_pair(one, other), head(rep, other, at_one))


def test_a_ranking_score_is_the_dot_product_of_weights_and_features_and_a_constant():
    head, rep, r = RankingHead(R, 5, 6, 0.3).eval(), torch.randn(B, R), torch.randn(C, 5)
    weights = head.of_moment(rep)
    expected = [weights[b] @ torch.cat([r[k], torch.ones(1)]) for k, b in enumerate(MOMENT)]
    scores = head.of_pair(weights[MOMENT], r)
    torch.testing.assert_close(scores, torch.stack(expected), rtol=1e-5, atol=1e-6)


def test_logits_are_never_dropped():
    head = PairHead(R, E, (7,), dropout=0.9, product=False).train()
    with torch.no_grad():
        head.rest[-1].weight.zero_()
        head.rest[-1].bias.fill_(3.0)
    assert (head(torch.randn(B, R), torch.randn(C, E), MOMENT) == 3.0).all()


def test_the_first_hidden_layer_is_dropped_as_are_the_others():
    head = PairHead(R, E, (40,), dropout=0.5, product=False).train()
    with torch.no_grad():
        head.first_of_rep.bias.fill_(100.0)  # every unit is on
        head.rest[-1].weight.fill_(1 / 100)
    said = head(torch.randn(1, R), torch.randn(200, E), torch.zeros(200, dtype=torch.long))
    assert said.std() > 1
