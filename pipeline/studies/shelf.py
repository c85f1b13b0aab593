"""Networks that one study has fitted and another asks, kept so that they are fitted once.

Working data, as worlds are: under `study/networks`, by a digest of what decides the fit. The folder
may be deleted when no study runs; a network that is not there is fitted again.
"""

import io
from collections.abc import Callable
from dataclasses import asdict

import torch

from infra.store import Store
from training.model.network import Network
from training.peers.fitting import Fit, Point


def once(store: Store, name: str, make: Callable[[], Network], learn: Callable[[], Fit]) -> Fit:
    """A fit from the shelf, or fitted now and put there.

    Args:
        store: of the study.
        name: the fit's key and digest.
        make: the network with any weights.
        learn: fits it.
    """
    key = f"study/networks/{name}.pt"
    content = store.get(key)
    if content is None:
        done = learn()
        plain = {
            "weights": done.network.state_dict(),
            "curve": [asdict(point) for point in done.curve],
            "best": asdict(done.best),
            "seconds": done.seconds,
        }
        buffer = io.BytesIO()
        torch.save(plain, buffer)
        store.put(key, buffer.getvalue())
        return done
    plain = torch.load(io.BytesIO(content), weights_only=True)
    network = make()
    network.load_state_dict(plain["weights"])
    network.eval()
    curve = tuple(Point(**point) for point in plain["curve"])
    return Fit(network, curve, Point(**plain["best"]), plain["seconds"])
