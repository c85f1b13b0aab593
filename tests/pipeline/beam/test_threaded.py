import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.beam.run import pipeline
from pipeline.beam.runner import BeamConfig
from pipeline.beam.threaded import Threaded


class Halve(Threaded):
    def work(self, element):
        yield element // 2
        if element % 2:
            yield beam.pvalue.TaggedOutput("odd", element)


@pytest.mark.parametrize("threads", [1, 3])
def test_outputs_of_every_element_arrive_under_their_tags(threads):
    with pipeline(BeamConfig()) as p:
        done = (
            p
            | beam.Create(range(7))
            | beam.ParDo(Halve(threads)).with_outputs("odd", main="halves")
        )
        assert_that(done.halves, equal_to([0, 0, 1, 1, 2, 2, 3]), label="halves")
        assert_that(done.odd, equal_to([1, 3, 5]), label="odd")


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_a_thread_ends_the_pipeline(threads):
    class Refuse(Threaded):
        def work(self, element):
            yield 1 // element

    with pytest.raises(ZeroDivisionError), pipeline(BeamConfig()) as p:
        _ = p | beam.Create([1, 0, 2]) | beam.ParDo(Refuse(threads))
