"""Polls end together, never late, and leave nothing behind."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from agentcorps.control.tide import LONG_SECONDS, PERIOD_SECONDS, Poll, Tide, ebb


def a_poll() -> Poll:
    """Return an open poll."""
    return asyncio.get_running_loop().create_future()


async def test_long_polls_that_begin_close_together_end_in_one_wave() -> None:
    """Their ends are at most one or two moments, however many they are."""
    tide = Tide()
    polls = [asyncio.create_task(tide.wait(a_poll(), LONG_SECONDS)) for _ in range(100)]
    await asyncio.sleep(0)
    assert len(tide) <= 2
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    assert len(tide) == 0


async def test_a_poll_that_nobody_wakes_ends_by_itself() -> None:
    """It says so, and one that was woken says that."""
    tide = Tide()
    assert not await tide.wait(a_poll(), 0.01)
    woken = a_poll()
    asyncio.get_running_loop().call_soon(woken.set_result, True)  # noqa: FBT003 - a result
    assert await tide.wait(woken, 60)
    assert len(tide) == 0


@given(begin=st.floats(0, 1e6), seconds=st.floats(0, 120))
def test_a_poll_ends_in_time_and_not_much_earlier(begin: float, seconds: float) -> None:
    """Long ones up to a period before their time, short ones exactly."""
    slack = PERIOD_SECONDS if seconds >= LONG_SECONDS else 0
    assert begin + seconds - slack <= ebb(begin, seconds) <= begin + seconds


@given(begin=st.floats(0, 1e6), seconds=st.floats(LONG_SECONDS, 120))
def test_ends_of_long_polls_lie_a_whole_period_apart(begin: float, seconds: float) -> None:
    """Whenever they began: the process wakes so often and not more."""
    assert ebb(begin, seconds) % PERIOD_SECONDS == 0
