import threading

import pytest

from pipeline.beam.threads import Threads


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_come_in_order_whatever_the_number_of_threads(count):
    threads = Threads(lambda value: value * value, count)
    assert list(threads.map(range(40))) == [value * value for value in range(40)]
    threads.close()


def test_no_more_are_begun_than_may_wait():
    begun, gate = [], threading.Event()

    def work(value):
        begun.append(value)
        gate.wait(5)
        return value

    threads = Threads(work, 2)
    assert list(threads.put(0)) == []
    assert list(threads.put(1)) == []
    gate.set()
    assert list(threads.put(2)) == [0]
    assert list(threads.rest()) == [1, 2]
    threads.close()


def test_an_error_comes_out_where_its_result_would():
    threads = Threads(lambda value: 1 // value, 2)
    with pytest.raises(ZeroDivisionError):
        list(threads.map([1, 0, 1]))
    threads.close()
