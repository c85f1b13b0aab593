"""What `dupn serve` hands to the service: settings, home, the data set's zone, the registry."""

import os
from pathlib import Path

from features.raw.dataset import load as load_dataset
from infra.errors import ConfigError
from infra.tracking import address
from pipeline.settings import Settings
from serving import published
from serving.running import Setup, copies


def setup(settings: Settings, port: int | None = None, bundle: str = "") -> Setup:
    """The setup of a service on this machine.

    Args:
        settings: whose home, registry and `serve`.
        port: where to listen; else the setting's.
        bundle: a bundle of the store (`<run key>` or `<run key>/v<number>`) to serve as it is; no
            registry is asked then, and MLflow may be away. Empty: what the aliases name.

    Raises:
        ConfigError: the home is an object store and no local folder is named for live behaviours.
        PartitionMissing: there is no such bundle.
        PartitionCorrupt: a file of it is not what was published.
    """
    token = settings.serve.token or os.environ.get("DUPN_SERVE_TOKEN", "")
    changed: dict[str, object] = {"token": token}
    if port is not None:
        changed["port"] = port
    work = _work(settings)
    made = Setup(
        config=settings.serve.model_copy(update=changed),
        home=settings.home,
        work=str(work),
        zone=load_dataset(settings.dataset).time_zone,
    )
    if not bundle:
        uri = address(settings.tracking, settings.store)
        return made.model_copy(update={"tracking_uri": uri})
    name, _ = published.fetch(published.find(settings.store, bundle), copies(work))
    return made.model_copy(update={"name": name})


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
