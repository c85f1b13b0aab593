"""What `dupn serve` hands to the service: settings, home, the data set's zone, the registry."""

import os
from pathlib import Path

from features.dataset import load as load_dataset
from infra.errors import ConfigError
from infra.tracking import tracking_uri
from pipeline.settings import Settings
from serving.running import Setup


def setup(settings: Settings, port: int | None = None) -> Setup:
    """The setup of a service on this machine.

    Raises:
        ConfigError: the home is an object store and no local folder is named for live behaviours.
    """
    token = settings.serve.token or os.environ.get("DUPN_SERVE_TOKEN", "")
    changed: dict[str, object] = {"token": token}
    if port is not None:
        changed["port"] = port
    return Setup(
        config=settings.serve.model_copy(update=changed),
        home=settings.home,
        work=str(_work(settings)),
        zone=load_dataset(settings.dataset).time_zone,
        tracking_uri=tracking_uri(settings.tracking, settings.store),
    )


def _work(settings: Settings) -> Path:
    """Live behaviours and spools must outlive the process, on a disk of this machine."""
    if settings.serve.work:
        return Path(settings.serve.work)
    if "://" in settings.home:
        raise ConfigError(
            f"{settings.home} is an object store: live behaviours need a local folder. "
            "Set serve.work."
        )
    return Path(settings.home) / "serving"
