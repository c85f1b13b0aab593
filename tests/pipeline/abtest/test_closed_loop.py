"""The closed loop: real rankers answer the marketplace's pages, and the night reads the log."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from evaluation.marketplace.arms import assignment
from evaluation.marketplace.run import simulate
from evaluation.studies import uplift
from features.carry import ONE_DAY
from features.schemas import BehaviorType, Scenario
from pipeline import steps
from pipeline.abtest import closed_loop as living
from pipeline.abtest.closed_loop import World
from pipeline.abtest.contenders import Before, Network, Policy
from serving import bundle as bundles
from serving import served as disassembled
from serving import snapshot
from serving.histories import LiveBehavior, LocalHistories
from serving.served import Name
from tests.chain import DATA, DAYS, EVALUATED, TRAINED
from training import checkpoint as checkpoints
from training.peers.config import WideConfig

TODAY = EVALUATED + ONE_DAY
FIRST = DAYS[:TRAINED]
SHARES = {"before": 0.5, "dupn": 0.5}
RAW = ("behaviors", "impressions", "follows", "items", "users")


@pytest.fixture(scope="module")
def base(chain, tmp_path_factory):
    """The smoke chain's home without its registry: five days so far, a model of three."""
    return living.copy_home(chain.settings, tmp_path_factory.mktemp("living") / "base")


def exploring(settings, share):
    living = settings.living.model_copy(update={"exploration": share})
    return settings.model_copy(update={"living": living, "wide": WideConfig(bits=16)})


def contenders(settings, *, nightly=False):
    network = Network(exploring(settings, 0.0), FIRST, nightly=nightly)
    old = Before(exploring(settings, 0.1), FIRST, nightly=nightly)
    old.begin()
    return {"before": old, "dupn": network}


@pytest.fixture(scope="module")
def split(base, tmp_path_factory):
    """One day with both arms, and its night, in which both learn."""
    settings = living.copy_home(base, tmp_path_factory.mktemp("split") / "home")
    arms = contenders(settings, nightly=True)
    for one in arms.values():
        one.learn(EVALUATED)
    world = World.split(settings, arms, SHARES, "salt")
    return settings, world, world.day(TODAY)


def kept(settings):
    """Names of the predecessors of a home."""
    return {path.name for path in Path(settings.home, "peers").iterdir()}


def publish_fewer(store, day):
    """The day's samples are made again, and lack one."""
    samples = store.partition("samples", day)
    rows, lineage = samples.table(), samples.manifest().lineage
    with samples.publish(**lineage) as out:
        out.record([out.write_table("fewer", rows[:-1])])


def digests(settings, day=TODAY):
    return {name: settings.store.partition("raw", day, name).digest() for name in RAW}


def impressions(settings):
    return pl.DataFrame(settings.store.partition("raw", TODAY, "impressions").table())


def test_everybody_under_the_policy_lives_the_simulated_day(base, tmp_path):
    plain = living.copy_home(base, tmp_path / "plain")
    twin = living.copy_home(base, tmp_path / "twin")
    simulate(plain.store, TODAY, 1, plain.marketplace, plain.seed)
    World.twin(twin, "policy", Policy()).day(TODAY)
    mine, theirs = digests(plain), digests(twin)
    assert mine.pop("impressions") != theirs.pop("impressions")  # with the arm on every page
    assert mine == theirs


def test_every_page_says_who_ranked_it(split):
    settings, *_ = split
    pages = impressions(settings)
    number = pages["user_id"].str.slice(1).cast(pl.Int64).to_numpy()
    arm_of = assignment(settings.marketplace.users, "salt", SHARES)
    assert pages["variant"].to_list() == np.array(list(SHARES))[arm_of[number]].tolist()
    said = pages.group_by("variant").agg(pl.col("line", "model_version").unique()).sort("variant")
    assert said["line"].to_list() == [["predecessor"], ["dupn"]]
    (before,), dupn = said["model_version"].to_list()
    assert re.fullmatch(rf"wide-{EVALUATED}-[0-9a-f]{{12}}\.npz", before)
    assert dupn == [f"dupn-{EVALUATED}"]
    assert pages["price_level"].is_between(1, 7).all()


def test_the_night_reads_the_day_and_both_arms_learn_from_it(split):
    settings, *_ = split
    pages = pl.DataFrame(settings.store.partition("events", TODAY, "impressions").table())
    assert pages.height == impressions(settings).height
    assert set(pages["variant"]) == set(SHARES)
    assert settings.store.partition("samples", TODAY).manifest().rows > 0
    assert checkpoints.final(settings.store, f"dupn-{TODAY}").exists()
    assert [name for name in kept(settings) if str(TODAY) in name]


def test_a_predecessor_is_one_of_these_settings_and_of_these_samples(base, tmp_path):
    settings = exploring(living.copy_home(base, tmp_path / "home"), 0.1)

    def learnt_anew(**over):
        known = kept(settings) if Path(settings.home, "peers").exists() else set()
        Before(settings.model_copy(update=over), FIRST, nightly=False).begin()
        return len(kept(settings) - known)

    slow = settings.wide.model_copy(update={"alpha": 0.01})
    assert [learnt_anew(), learnt_anew()] == [1, 0]
    assert [learnt_anew(seed=8), learnt_anew(wide=slow)] == [1, 1]
    small = Before(settings.model_copy(update={"wide": WideConfig(bits=12)}), FIRST)
    small.begin()
    assert len(small._wide(FIRST[-1]).model.z) == 1 << 12
    publish_fewer(settings.store, FIRST[0])
    assert [learnt_anew(), learnt_anew()] == [1, 0]


def test_days_that_are_made_again_meanwhile_change_no_control(base, tmp_path):
    settings = living.copy_home(base, tmp_path / "home")
    old = contenders(settings)["before"]
    publish_fewer(settings.store, FIRST[0])
    before = kept(settings)
    old.learn(EVALUATED)
    assert old._wide(EVALUATED).saved() == old._wide(FIRST[-1]).saved()
    assert kept(settings) == before


def test_a_predecessor_that_was_lost_is_learnt_again_night_by_night(split):
    """As where an earlier release kept it, which did not say what it was made of."""
    settings, *_ = split
    names = kept(settings)
    old = Before(exploring(settings, 0.1), FIRST)
    known = old._wide(TODAY).saved()
    for name in names:
        Path(settings.home, "peers", name).unlink()
    assert Before(exploring(settings, 0.1), FIRST)._wide(TODAY).saved() == known
    assert kept(settings) == names


def test_scores_are_those_that_the_service_gives(split, tmp_path):
    """Replayed through the live store and the one-by-one ranker of the service."""
    settings, _, played = split
    model = checkpoints.load_model(checkpoints.final(settings.store, f"dupn-{EVALUATED}"))
    bundles.write(tmp_path / "b", model, settings.store, EVALUATED, key="k", zone="UTC")
    disassembled.disassemble(tmp_path / "b", tmp_path / "items")
    served = disassembled.load(tmp_path / "b", tmp_path / "items", Name(version="1"))
    snapshot.build(settings.store, EVALUATED, tmp_path / "snapshot")
    histories = LocalHistories(tmp_path / "live", snapshot.load(tmp_path / "snapshot"), "UTC")
    pages = impressions(settings).filter(variant="dupn").tail(40)
    whose = set(pages["user_id"])
    done = [
        row for row in played.parts[0].behaviors.iter_rows(named=True) if row["user_id"] in whose
    ]
    done.sort(key=lambda row: row["ts"])
    midnight = int(np.datetime64(TODAY, "ms").astype(np.int64))
    histories.add(
        [
            LiveBehavior(row["user_id"], row["item_id"], BehaviorType[row["type"].upper()],
                         Scenario[row["scenario"].upper()], row["ts"])
            for row in done
        ],
        arrived=midnight,
    )  # fmt: skip
    assert done
    for page in pages.iter_rows(named=True):
        past = histories.before(page["user_id"], page["ts"])
        profile = histories.profile(page["user_id"], served.profile_columns)
        moment = served.moment(page["ts"], past, page["query"], profile)
        answer = served.answer(moment, served.rows_of(pa.array(page["item_ids"])))
        np.testing.assert_allclose(page["l2r"], answer.ranked.l2r, atol=1e-4, rtol=0)
        np.testing.assert_allclose(page["ctr"], answer.ranked.ctr, atol=1e-4, rtol=0)
        assert page["price_level"] == answer.heard.price_preference.argmax() + 1


def test_pages_show_the_best_of_the_recalled_first(split):
    settings, *_ = split
    ranked = impressions(settings).filter(variant="dupn")["l2r"]
    assert ranked.list.sort(descending=True).equals(ranked)


def test_exploration_is_a_share_of_pages(split):
    settings, *_ = split
    ranked = impressions(settings).filter(variant="before")["l2r"]
    dealt = (ranked.list.sort(descending=True) != ranked).mean()
    assert 0.02 < dealt < 0.25  # a tenth


def test_a_day_lived_again_is_the_same(split):
    settings, world, _ = split
    before = digests(settings)
    world.live(TODAY)
    assert digests(settings) == before


def test_a_twin_leaves_the_days_before_as_they_were(base, split):
    settings, *_ = split
    for stage in ("samples", "statistics"):
        assert settings.store.days(stage, *(["item"] if stage == "statistics" else []))[-1] == TODAY
    assert base.store.days("samples")[-1] == EVALUATED
    assert not base.store.partition("raw", TODAY, "behaviors").exists()
    assert digests(base, EVALUATED) == digests(settings, EVALUATED)


def test_twins_meet_the_same_people(base, tmp_path):
    lived = {}
    for name in ("policy", "dupn"):
        settings = living.copy_home(base, tmp_path / name)
        one = Policy() if name == "policy" else contenders(settings)["dupn"]
        world = World.twin(settings, name, one)
        lived[name] = uplift.of_effects(world.live(TODAY).effects, world.arm_of, [name], name, 1)[0]
    pages = [one.sums["pages"] for one in lived.values()]
    assert pages[0] == pytest.approx(pages[1], rel=0.02)
    assert lived["dupn"].price_precision > 0


def test_stages_that_nobody_needs_are_not_run(base, tmp_path):
    settings = living.copy_home(base, tmp_path / "policy")
    World.twin(settings, "policy", Policy()).day(TODAY)
    assert not settings.store.partition("events", TODAY, "behaviors").exists()


def test_data_that_a_twin_takes_along_is_linked(base, chain):
    for stage in DATA[2:4]:
        mine = next(Path(base.home, stage).rglob("*.parquet"))
        assert mine.samefile(Path(chain.settings.home, mine.relative_to(base.home)))


def test_steps_are_named_as_the_stages_of_a_night():
    assert all(hasattr(steps, stage) for stage in (*living.STATE, "samples"))
