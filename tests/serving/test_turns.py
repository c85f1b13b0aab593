"""A full queue sheds at once; what is accepted is answered in order."""

import asyncio
import threading

import pytest

from infra.errors import ServingUnavailable
from serving.turns import Turns


def run(body):
    return asyncio.run(body())


async def stays():
    """Nobody is gone."""
    return False


def test_a_full_queue_turns_the_next_one_away():
    async def body():
        turns, go = Turns(queue=2, timeout_s=5), threading.Event()
        tasks = [asyncio.create_task(turns.take(go.wait, stays)) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(ServingUnavailable, match="wait already"):
            await turns.take(lambda: None, stays)
        go.set()
        assert await asyncio.gather(*tasks) == [True] * 3
        assert await turns.take(lambda: "next", stays) == "next"  # recovery is immediate
        turns.close()

    run(body)


def test_who_waits_too_long_is_turned_away():
    async def body():
        turns, go = Turns(queue=5, timeout_s=0.05), threading.Event()
        first = asyncio.create_task(turns.take(go.wait, stays))
        await asyncio.sleep(0.01)
        with pytest.raises(ServingUnavailable, match=r"0\.05 s"):
            await turns.take(lambda: None, stays)
        assert turns.waiting == 0
        go.set()
        await first
        turns.close()

    run(body)


def test_answers_come_in_the_order_of_asking():
    async def body():
        turns, said = Turns(queue=9, timeout_s=5), []
        await asyncio.gather(*[turns.take(lambda n=n: said.append(n), stays) for n in range(8)])
        assert said == list(range(8))
        turns.close()

    run(body)


def test_an_error_gives_the_turn_back():
    async def body():
        turns = Turns(queue=1, timeout_s=1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await turns.take(lambda: 1 // 0, stays)
        turns.close()

    run(body)
