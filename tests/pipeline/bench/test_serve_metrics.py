import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from pipeline.bench import serve_metrics


def page(*seconds):
    registry = CollectorRegistry()
    edges = (0.01, 0.02, 0.04)
    plain = Histogram("plain_seconds", "-", buckets=edges, registry=registry)
    named = Histogram("named_seconds", "-", ["endpoint"], buckets=edges, registry=registry)
    for one in seconds:
        plain.observe(one)
        named.labels("/v1/rank").observe(2 * one)
    return serve_metrics.parse(generate_latest(registry).decode())


def test_what_came_in_between_has_its_own_quantiles():
    before, after = page(0.005, 0.005), page(0.005, 0.005, *[0.015] * 99, 0.03)
    found = after["plain_seconds"].since(before["plain_seconds"])
    assert found.count == 100
    assert found.quantile_ms(0.99) == pytest.approx(20)
    assert found.quantile_ms(0.495) == pytest.approx(15)
    assert found.quantile_ms(0.995) == pytest.approx(30)


def test_histograms_by_endpoint_are_told_apart():
    found = page(0.008)  # twice that by endpoint, which is the next bucket
    assert found["plain_seconds"].quantile_ms(0.5) == pytest.approx(5)
    assert found["named_seconds /v1/rank"].quantile_ms(0.5) == pytest.approx(15)


def test_nothing_has_no_quantile():
    one = page(0.005)["plain_seconds"]
    assert one.since(one).quantile_ms(0.5) != one.since(one).quantile_ms(0.5)
