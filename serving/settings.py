"""How the service answers, and how much it takes on."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from infra.config import WHOLE, Config, Secret


class ServeConfig(Config):
    """The HTTP service (`dupn serve`)."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8000, ge=1024, le=65000)
    """Port to listen on; `--port` of `dupn serve` takes another."""
    workers: int = Field(0, ge=0)
    """Processes; 0 for one a core that may be used (affinity, a container's quota)."""
    threads: int = Field(1, ge=1)
    """Threads of a request's network: one, where each core has a process of its own."""
    user_part: Literal["onnx", "torch"] = "onnx"
    """What runs the network over a history: ONNX Runtime or torch; scores agree to 1e-5."""
    work: str = ""
    """Local folder for live behaviours, spools and item tables; `serving/` of the home if empty."""
    histories: str = ""
    """What makes the store of live behaviours, `package.module:function`; empty: `live.db`."""
    token: Secret = ""
    """Bearer token that callers must send; empty: none is asked for. Also `DUPN_SERVE_TOKEN`."""

    max_candidates: int = Field(20_000, ge=1)
    """Candidates of one request; more are refused (422)."""
    max_body_bytes: int = Field(4 << 20, ge=1024)
    """Of one request; a larger one is refused (413)."""
    timeout_s: float = Field(2.0, gt=0, le=86_400)
    """A request that waited longer than this for its turn is shed (503)."""
    queue: int = Field(8, ge=1)
    """Requests that may wait for their turn in one process; one more is shed (503)."""
    top_k: int = Field(100, ge=1)
    """Items of an answer where the caller names no number."""
    recall: int = Field(1000, ge=1, validate_default=True)
    """Items that a search recalls before they are ranked; at most `max_candidates`."""

    poll_s: float = Field(10.0, gt=0, le=86_400)
    """Seconds between two looks at the registry."""
    tolerance: float = Field(1e-4, gt=0)
    """Largest difference of a score from the recorded one when a version is loaded."""
    exposures: bool = True
    """Whether pages that were answered are logged as raw impressions."""
    flush_s: float = Field(60.0, gt=0, le=86_400)
    """Seconds after which logged exposures appear under `raw/`. Each process leaves a file each
    time that it has any, up to 1,440 a day at 60, and `events` takes some 7 ms more for each,
    however small it is: with many processes, or a home across a network, set 600. A night that
    begins sooner after midnight than that (`DUPN_NIGHTLY_CRON`) lacks the last pages of its day,
    which count as a second arrival."""
    salt: str = "dupn"
    """Of the hash that assigns users to lines."""
    shares: Annotated[dict[str, float], WHOLE] = Field(default_factory=lambda: {"champion": 1.0})
    """Alias (or version number, or line in place) -> share of the users; the shares add up to 1."""
    experiments: bool = True
    """Whether a running experiment splits the users (`dupn abtest start`) instead of `shares`."""

    @field_validator("recall")
    @classmethod
    def _ranked(cls, recall: int, info: ValidationInfo) -> int:
        most = info.data.get("max_candidates", recall)  # absent where it was refused itself
        if recall > most:
            raise ValueError(
                f"a search would recall {recall:,} items, and one request may rank {most:,} "
                "(serve.max_candidates); lower serve.recall or raise that"
            )
        return recall

    @field_validator("shares")
    @classmethod
    def _whole(cls, shares: dict[str, float]) -> dict[str, float]:
        below = [arm for arm, share in shares.items() if share < 0]
        if below:
            raise ValueError(f"the share of {below[0]} is {shares[below[0]]:g}, not from 0 to 1")
        if abs(sum(shares.values()) - 1) > 1e-9:  # as `features.abtest.assignment` asks
            raise ValueError(f"the shares add up to {sum(shares.values()):g}, not 1")
        return shares
