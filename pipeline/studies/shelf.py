"""Networks that one study has fitted and another asks, kept so that they are fitted once.

Working data, as worlds are: under `study/networks`, by a digest of what decides the fit. The folder
may be deleted when no study runs; a network that is not there is fitted again, by one of the cells
side by side that want it, while the others wait.
"""

import io
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from infra.files import alone
from infra.store import Store
from training.model.network import Network
from training.peers.fitting import Fit, Point


def once(store: Store, name: str, make: Callable[[], Network], learn: Callable[[], Fit]) -> Fit:
    """A fit from the shelf, or fitted now and put there.

    Args:
        store: of the study, on a local disk.
        name: the fit's key and digest.
        make: the network with any weights.
        learn: fits it.
    """
    key = f"study/networks/{name}.pt"
    with alone(Path(store.address(f"{key}.lock"))):
        content = store.get(key)
        if content is None:
            done = learn()
            store.put(key, _packed(done))
            return done
    plain = torch.load(io.BytesIO(content), weights_only=True)
    network = make()
    network.load_state_dict(plain["weights"])
    network.eval()
    curve = tuple(Point(**point) for point in plain["curve"])
    return Fit(network, curve, Point(**plain["best"]), plain["seconds"])


def _packed(done: Fit) -> bytes:
    buffer = io.BytesIO()
    torch.save(
        {
            "weights": done.network.state_dict(),
            "curve": [asdict(point) for point in done.curve],
            "best": asdict(done.best),
            "seconds": done.seconds,
        },
        buffer,
    )
    return buffer.getvalue()
