"""What was typed, in the heads: rep has it by way of the attention alone (docs/adr/0005, 0021)."""

from dataclasses import replace

import torch


def test_what_is_typed_reaches_clicks_and_prices_without_any_history_and_no_icon(make, batch):
    net = make()
    stranger = replace(batch, length_B=torch.zeros_like(batch.length_B))
    other = replace(stranger, query_BQ=(stranger.query_BQ > 0) * (stranger.query_BQ % 24 + 1))
    one, two = net(stranger), net(other)
    typed_C = (batch.query_BQ > 0).any(dim=1)[batch.cand_moment_C]
    assert typed_C.any()
    assert not torch.isclose(one.ctr_C, two.ctr_C)[typed_C].any()
    assert torch.equal(one.ctr_C[~typed_C], two.ctr_C[~typed_C])
    assert torch.equal(one.rep_BR, two.rep_BR), "q is no part of what is remembered of a stranger"
    assert torch.equal(one.fifp_I, two.fifp_I)
    typed_K = (batch.query_BQ > 0).any(dim=1)[batch.price_moment_K]
    assert torch.equal(one.ppp_K7[~typed_K], two.ppp_K7[~typed_K])


def test_a_click_matches_item_vectors_with_rep_and_query_together(make, batch):
    net = make()
    out, e_UE = net(batch), net.item_part(batch.items)
    hidden = net.ctr.first_of_rep(out.rep_BR)[batch.cand_moment_C]
    e_CE = e_UE[batch.cand_C]
    plain = net.ctr.rest(torch.relu(hidden + net.ctr.first_of_other(e_CE)))[:, 0]
    with_what = net.ctr.match(out.rep_BR) + net.wish(net.query(batch.query_BQ))
    match = (with_what[batch.cand_moment_C] * e_CE).sum(dim=1)
    torch.testing.assert_close(out.ctr_C, plain + match)


def test_a_price_level_is_said_by_rep_and_query_together(make, batch):
    net = make()
    out = net(batch)
    q_KQ = net.query(batch.query_BQ)[batch.price_moment_K]
    said = net.ppp(out.rep_BR[batch.price_moment_K]) + net.budget(q_KQ)
    torch.testing.assert_close(out.ppp_K7, said)
    assert (net.budget.weight != 0).any()


def test_the_paper_s_heads_know_no_query(make):
    paper = make(interaction="concat")
    assert paper.wish is None
    assert paper.budget is None


def test_what_was_typed_weighs_the_ranking_features_by_setting(make, batch):
    net = make(ranks_with_query=True)
    out = net(batch)
    weights = net.l2r.of_moment(out.rep_BR) + net.emphasis(net.query(batch.query_BQ))
    features = net.ranking_features(batch.cand_features_CF, out.ctr_C)
    constant = torch.ones(len(features), 1)
    said = weights[batch.cand_moment_C] * torch.cat([features, constant], dim=1)
    torch.testing.assert_close(out.l2r_C, said.sum(dim=1))
    out.l2r_C.sum().backward()
    assert (net.emphasis.weight.grad != 0).any()
    assert make().emphasis is None


def test_the_ranking_weighs_by_what_was_typed_without_teaching_it(make, batch):
    with_query, without = make(ranks_with_query=True), make()
    with torch.no_grad():  # the same network otherwise
        kept = {k: v for k, v in with_query.state_dict().items() if not k.startswith("emphasis")}
        without.load_state_dict(kept)
    for net in (with_query, without):
        net(batch).l2r_C.sum().backward()
    one, other = (net.query.token.weight.grad.to_dense() for net in (with_query, without))
    torch.testing.assert_close(one, other)
    assert (one != 0).any()  # by way of the attention
