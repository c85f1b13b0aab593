"""The memory of prices reads what the network knows, teaches it nothing, and learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from features.schemas import PRICE_LEVELS
from tests.training.model.conftest import SIZES, SMALL
from training.config import Task, TrainConfig
from training.learner import Learner
from training.model.dupn import Dupn
from training.model.price_memory import FLOOR, STRIDE, WAYS, MemoryDims, PriceMemory, Seen

DIMS = MemoryDims(item=5, property=3, query=4, user=6, offers=False)
HEARING = DIMS._replace(offers=True)
B, T, TOKENS = 4, 6, 9


def memory(dims=DIMS):
    """None of its weights is zero, but the row of padding."""
    made = PriceMemory(dims, TOKENS)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(torch.randn_like(weight))
        made.words.weight[0] = 0
    return made


def seen(dims=DIMS, **changed):
    """Four moments, the last without a behaviour; a few behaviours have no known price."""
    levels = torch.randint(1, PRICE_LEVELS + 1, (B, T))
    levels[0, 2] = levels[1, 4:] = levels[3] = 0
    given = Seen(
        e_BTE=torch.randn(B, T, dims.item),
        p_BTP=torch.randn(B, T, dims.property),
        level_BT=levels,
        words_BQ=torch.tensor([[3, 4], [3, 0], [0, 0], [8, 8]]),
        q_BW=torch.randn(B, dims.query),
        u_BU=torch.randn(B, dims.user),
        wish_BE=torch.randn(B, dims.item),
        offer_BL=torch.softmax(torch.randn(B, PRICE_LEVELS), dim=1),
    )
    return given._replace(**changed)


def shares_by_hand(made, given):
    """Softmax over the behaviours with a known price, written out."""
    found = np.zeros((B, WAYS, PRICE_LEVELS))
    wanted = made.match(torch.cat([given.q_BW, given.u_BU], 1))
    if given.wish_BE is not None:
        wanted = wanted + given.wish_BE
    for b, way in np.ndindex(B, WAYS):
        known = [t for t in range(T) if given.level_BT[b, t]]
        scores = [
            float(made.of_match[way] * (given.e_BTE[b, t] @ wanted[b]))
            + (float(made.of_property.weight[way] @ given.p_BTP[b, t]) if made.of_property else 0)
            for t in known
        ]
        weights = np.exp(scores) / np.exp(scores).sum() if known else []
        for t, weight in zip(known, weights, strict=True):
            found[b, way, given.level_BT[b, t] - 1] += weight
    return found


@pytest.mark.parametrize("wish", [True, False])
@pytest.mark.parametrize("properties", [3, 0])
@torch.no_grad()
def test_shares_are_those_of_behaviours_with_a_price_weighted_by_match_and_property(
    wish, properties
):
    dims = DIMS._replace(property=properties)
    made, given = memory(dims), seen(dims)
    given = given if wish else given._replace(wish_BE=None)
    shares = made.shares(given)
    np.testing.assert_allclose(shares, shares_by_hand(made, given), atol=1e-5)
    np.testing.assert_allclose(shares.sum(dim=2)[:3], 1, atol=1e-5)
    assert not shares[3].any()


@torch.no_grad()
def test_scores_are_a_layer_over_shares_and_their_logarithms_and_the_sum_of_the_words():
    made, given = memory(), seen()
    shares = shares_by_hand(made, given)
    sides = np.concatenate([STRIDE * shares, np.log(7 * (shares + FLOOR))], axis=1)
    layer, words = made.of_shares, STRIDE * made.words.weight.numpy()
    expected = sides.reshape(B, -1) @ layer.weight.numpy().T + layer.bias.numpy()
    expected += [words[3] + words[4], words[3], 0 * words[0], 2 * words[8]]
    np.testing.assert_allclose(made(given), expected, atol=1e-4)


@torch.no_grad()
def test_what_is_on_offer_adds_a_layer_over_its_odds_against_even_shares():
    made, given = memory(HEARING), seen()
    odds = np.log(given.offer_BL.numpy() / (1 / PRICE_LEVELS))
    added = made(given) - made(given._replace(offer_BL=None))
    np.testing.assert_allclose(added, odds @ made.of_offers.weight.numpy().T, atol=1e-5)


@torch.no_grad()
def test_even_shares_on_offer_say_nothing():
    made, given = memory(HEARING), seen()
    even = given._replace(offer_BL=torch.full((B, PRICE_LEVELS), 1 / PRICE_LEVELS))
    torch.testing.assert_close(made(even), made(given._replace(offer_BL=None)))


@torch.no_grad()
def test_a_memory_that_does_not_hear_offers_is_the_same_whatever_there_is():
    made = memory()
    given = seen()
    assert torch.equal(made(given), made(given._replace(offer_BL=None)))


@torch.no_grad()
def test_a_level_that_every_weighing_knows_alone_is_all_there_is():
    made = memory()
    given = seen(level_BT=torch.tensor([[0, 5, 5, 0, 0, 0]] * B))
    shares = made.shares(given)
    np.testing.assert_allclose(shares[:, :, 4], 1, atol=1e-6)
    assert not shares[:, :, :4].any()


@pytest.mark.parametrize("dims", [DIMS, HEARING])
def test_a_fresh_memory_says_nothing(dims):
    made = PriceMemory(dims, TOKENS)
    assert not made(seen()).any()


def test_a_network_is_the_same_with_a_memory_that_says_nothing_yet(batch):
    torch.manual_seed(3)
    plain = Dupn(SMALL, SIZES).eval()
    torch.manual_seed(3)
    remembering = Dupn(SMALL.model_copy(update={"price_memory": True}), SIZES).eval()
    assert plain.price_memory is None
    before, after = vars(plain(batch)), vars(remembering(batch))
    assert all(torch.equal(before[name], after[name]) for name in before)


def noisy(**settings):
    """A network with a memory that has something to say."""
    model = Dupn(SMALL.model_copy(update={"price_memory": True, **settings}), SIZES).eval()
    with torch.no_grad():
        for weight in model.price_memory.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        model.price_memory.words.weight[0] = 0
    return model


@pytest.mark.parametrize("interaction", ["concat", "product"])
@pytest.mark.parametrize("variant", ["all", "nobp", "bplstm", "bpatt"])
def test_what_it_says_is_added_to_the_price_levels_and_reaches_no_other_answer(
    batch, variant, interaction
):
    model = noisy(variant=variant, interaction=interaction)
    with_it = model(batch)
    said = model.user_part(batch, model.item_part(batch.items)).remembered_B7
    assert said.shape == (batch.size, PRICE_LEVELS)
    model.price_memory = None
    without = model(batch)
    torch.testing.assert_close(with_it.ppp_K7, without.ppp_K7 + said[batch.price_moment_K])
    for name in ("ctr_C", "l2r_C", "fifp_I", "spp_S", "rep_BR"):
        assert torch.equal(getattr(with_it, name), getattr(without, name))


@pytest.fixture
def offered(batch):
    """The batch with something on offer at each moment."""
    return replace(batch, offer_BL=torch.softmax(torch.randn(batch.size, PRICE_LEVELS), dim=1))


def test_its_lessons_move_nothing_but_itself(offered):
    batch, model = offered, noisy(price_offers=True)
    said = model.user_part(batch, model.item_part(batch.items)).remembered_B7
    cross_entropy(said[batch.price_moment_K], batch.price_level_K).backward()
    moved = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert moved == {f"price_memory.{name}" for name, _ in model.price_memory.named_parameters()}


def test_from_a_kept_representation_it_says_the_same(offered):
    batch, model = offered, noisy(price_offers=True)
    whole = model(batch)
    torch.testing.assert_close(model.answer(batch, whole.rep_BR).ppp_K7, whole.ppp_K7)


def learnt(batch, steps=150):
    """Share of right price levels after learning from one batch, the network itself held fixed."""
    settings = {"price_memory": True, "price_offers": True, "dropout": 0.0}
    config = TrainConfig(tasks=(Task.PPP,), threads=1, learning_rate=0.05)
    learner = Learner(SMALL.model_copy(update=settings), config, SIZES, seed=2)
    learner.model.ppp.requires_grad_(requires_grad=False)
    learner.model.budget = None
    for weight in learner.model.ppp.parameters():
        weight.data.zero_()  # whatever is learnt, the memory has learnt
    for step in range(steps):
        out = learner.learn(batch, step).outputs
    return float((out.ppp_K7.argmax(dim=1) == batch.price_level_K).float().mean())


def lesson(batch, level_B):
    """The batch with a price question at every moment that has a history."""
    asked = torch.nonzero(level_B > 0).squeeze(1)
    return replace(batch, price_moment_K=asked, price_level_K=level_B[asked] - 1)


def test_it_learns_the_level_that_a_word_stands_for(batch):
    random = torch.Generator().manual_seed(1)
    query_BQ = torch.randint(2, SIZES.token, (batch.size, 1), generator=random)
    assert learnt(lesson(replace(batch, query_BQ=query_BQ), query_BQ[:, 0] % PRICE_LEVELS + 1)) == 1


def test_it_learns_the_level_that_is_most_on_offer(offered):
    level_B = offered.offer_BL.argmax(dim=1) + 1
    assert len(set(level_B.tolist())) > 2
    assert learnt(lesson(replace(offered, query_BQ=offered.query_BQ[:, :0]), level_B)) == 1


def test_it_learns_the_level_of_the_behaviours_that_were_of_a_type(batch):
    """One behaviour of each history is of type 4; what it was with is what will be bought."""
    T = batch.seq_BT.shape[1]
    real_BT = torch.arange(T) < batch.length_B[:, None]
    chosen_B = (batch.length_B - 1).clamp(min=0) // 2
    type_BT = torch.where(torch.arange(T) == chosen_B[:, None], 4, 1) * real_BT
    level_B = batch.items.price_U[batch.seq_BT.gather(1, chosen_B[:, None])[:, 0]]
    told = lesson(replace(batch, type_BT=type_BT, query_BQ=batch.query_BQ[:, :0]), level_B)
    assert len(set(told.price_level_K.tolist())) > 2
    assert learnt(told) == 1
