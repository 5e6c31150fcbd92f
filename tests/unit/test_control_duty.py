"""The Lease alone does not make a leader: it has to know how things stand first."""

from agentcorps.control.duty import Duty
from support.control_room import Leader


def test_nothing_is_answered_between_the_lease_and_the_lists() -> None:
    """A process that took the Lease leads only once it has listed everything since."""
    lease = Leader(epoch=9)
    duty = Duty(lease)
    assert (lease.leading, duty.leading, duty.epoch) == (True, False, 9)
    duty.begin()
    assert duty.leading


def test_who_loses_the_lease_does_not_lead_any_more() -> None:
    """Having caught up once is not enough either."""
    lease = Leader()
    duty = Duty(lease)
    duty.begin()
    lease.leading = False
    assert not duty.leading
