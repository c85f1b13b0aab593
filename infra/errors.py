"""Every error that `dupn` raises on purpose: what it is about, what is wrong, what to do.

DupnError
├── ConfigError           a setting, preset or data set description is wrong
├── StoreError            the store could not be read or written (disk full, no permission)
│   ├── PartitionMissing  a step needs a partition that is not published
│   ├── PartitionCorrupt  a published file does not match its manifest, or cannot be read
│   └── RecordCorrupt     a small JSON file of the store (a night, a report) cannot be read
├── InputError            raw data that cannot be used at all (one bad row is a reject instead)
├── QualityFailed         a critical expectation failed; nothing downstream may run
├── OutOfTurn             a night must wait for an older one that has not ended well
├── TrainingError         no samples, diverged loss, a checkpoint that does not fit
├── RegistryError         a verdict: a move was refused, the canary heard other scores
│   └── RegistryUnavailable   MLflow does not answer; the same question may be answered later
├── ServingUnavailable    the service cannot answer: no version, too much asked, its port taken
└── OrchestrationError    Airflow or the MLflow UI did not start, a DAG run or a Beam job failed

Front doors (CLI, Airflow task, HTTP) catch `DupnError`; nobody else catches broadly.
"""

from infra.addresses import bare

LONGEST = 16_384
"""Characters of an error's sentence; a stranger's words in it may be of any length."""


class DupnError(Exception):
    """Root of the tree: one sentence a person can act on, without anybody's password."""

    def __init__(self, *said: object) -> None:
        super().__init__(*[_told(one) if isinstance(one, str) else one for one in said])


def _told(sentence: str) -> str:
    told = bare(sentence)
    return told if len(told) <= LONGEST else f"{told[: LONGEST - 3]}..."


class ConfigError(DupnError):
    """A setting, preset or data set description is wrong."""


class StoreError(DupnError):
    """The store could not be read or written."""


class PartitionMissing(StoreError):
    """A step needs a partition that is not published."""


class PartitionCorrupt(StoreError):
    """A published file does not match its manifest, or cannot be read."""


class RecordCorrupt(StoreError):
    """A small JSON file of the store cannot be read."""


class InputError(DupnError):
    """Raw data that cannot be used at all."""


class QualityFailed(DupnError):
    """A critical expectation failed."""


class OutOfTurn(DupnError):
    """A night must wait for an older one."""


class TrainingError(DupnError):
    """Training cannot start or go on."""


class RegistryError(DupnError):
    """MLflow, the ledger, the gate or the canary refused a move: asking again changes nothing."""


class RegistryUnavailable(RegistryError):
    """MLflow does not answer; the same question may be answered later."""


class ServingUnavailable(DupnError):
    """The service cannot answer now; ask again later."""


class OrchestrationError(DupnError):
    """Airflow or the MLflow UI did not start, or a DAG run or a Beam job failed."""
