"""Which errors a task may be tried again for, and which need a person."""

import pytest
from airflow.sdk.exceptions import AirflowFailException

from dags.running import front_door
from infra import errors


@pytest.mark.parametrize(
    "kind", [errors.RegistryUnavailable, errors.OrchestrationError, errors.StoreError]
)
def test_what_may_mend_itself_is_tried_again(kind):
    with pytest.raises(kind, match="asleep"), front_door():
        raise kind("asleep")


@pytest.mark.parametrize(
    "kind",
    [
        errors.ConfigError,
        errors.PartitionMissing,
        errors.PartitionCorrupt,
        errors.QualityFailed,
        errors.RegistryError,
    ],
)
def test_what_needs_a_person_fails_at_once_with_its_sentence(kind):
    with pytest.raises(AirflowFailException, match=f"{kind.__name__}: mend it"), front_door():
        raise kind("mend it")


def test_a_fault_of_ours_is_tried_again_as_it_is():
    with pytest.raises(ZeroDivisionError), front_door():
        raise ZeroDivisionError
