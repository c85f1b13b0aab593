"""Makes the networks of Table 2, all behind `training.model.network.Network`."""

from collections.abc import Sequence

from torch import Tensor

from infra.errors import ConfigError
from training.batch import VocabularySizes
from training.config import ModelConfig, Task
from training.model.dupn import Dupn
from training.model.network import Network
from training.peers.cnn import CnnMax
from training.peers.config import PeersConfig, WideConfig
from training.peers.dssm import Dssm
from training.peers.fitting import Build
from training.peers.names import LETTER, NETWORKS
from training.peers.wide import WideOnly
from training.peers.wide_deep import WideDeep
from training.peers.word2vec import Word2vecDupn


def builder(
    name: str,
    peers: PeersConfig,
    wide: WideConfig,
    tasks: Sequence[Task] | None = None,
    vectors: Tensor | None = None,
) -> Build:
    """What makes the network of a name.

    Args:
        name: of `NETWORKS`.
        peers: widths.
        wide: of Wide, and of Wide & Deep's wide side.
        tasks: that it will learn, by default all that it can; Wide and Wide & Deep share nothing
            between tasks but embeddings, and have the parts of these only.
        vectors: of items, for `w2v`: see `training.peers.word2vec`.

    Raises:
        ConfigError: there is no such network, it cannot answer one of the tasks, or nothing makes
            it.
    """
    if name not in NETWORKS:
        raise ConfigError(f"there is no network {name!r}. Choose one of {', '.join(NETWORKS)}.")
    peer = NETWORKS[name]
    asked = peer.tasks if tasks is None else tuple(tasks)
    beyond = [task for task in asked if task not in peer.tasks]
    if beyond:
        raise ConfigError(
            f"{peer.title} cannot learn {', '.join(beyond)}. Ask it for {', '.join(peer.tasks)}."
        )

    def ours(model: ModelConfig, sizes: VocabularySizes) -> Network:
        return Dupn(_variant(model, name), sizes)

    made: dict[str, Build] = {
        "wide": lambda model, sizes: WideOnly(sizes, wide, asked),
        "wide_deep": lambda model, sizes: WideDeep(model, sizes, peers, wide, asked),
        "dssm": lambda model, sizes: Dssm(model, sizes, peers),
        "cnn_max": lambda model, sizes: CnnMax(model, sizes, peers),
        **dict.fromkeys(("nobp", "bplstm", "bpatt", "all"), ours),
        "w2v": lambda model, sizes: _word2vec(model, sizes, vectors),
        LETTER: lambda model, sizes: Dupn(_to_the_letter(model), sizes),
    }
    if name not in made:
        raise ConfigError(
            f"{name} is in Table 2 and nothing makes it. Make it in training/peers/build.py."
        )
    return made[name]


def _variant(model: ModelConfig, name: str) -> ModelConfig:
    return model.model_copy(update={"variant": name})


def _to_the_letter(model: ModelConfig) -> ModelConfig:
    letter = {"variant": "all", "interaction": "concat", "ranks_with_ctr": False}
    beyond = {"ranks_with_query": False, "price_memory": False, "price_offers": False}
    return model.model_copy(update={**letter, **beyond})


def _word2vec(model: ModelConfig, sizes: VocabularySizes, vectors: Tensor | None) -> Network:
    if vectors is None:
        raise ConfigError(
            "DUPN-w2v needs item vectors. Make them with training.peers.word2vec.pretrain."
        )
    return Word2vecDupn(_variant(model, "all"), sizes, vectors)
