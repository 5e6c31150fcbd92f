"""Which leader of the operator to listen to."""

from __future__ import annotations

PATIENCE_SECONDS = 60.0


class Term:
    """Ignores answers of a leader whose successor has spoken already."""

    def __init__(self) -> None:
        self._epoch = 0
        self._lower_since: float | None = None

    def accepts(self, epoch: int) -> bool:
        """Whether an answer of this epoch counts; a higher one becomes the current one."""
        if epoch < self._epoch:
            return False
        self._epoch = epoch
        self._lower_since = None
        return True

    def accepts_hello(self, epoch: int, now: float) -> bool:
        """The same for the answer to a hello.

        No leader outlives its Lease for long. If hello is answered with lower epochs only for a
        minute, then the Lease was deleted and counts from zero again.

        Args:
            epoch: That of the answer.
            now: Monotonic time in seconds.
        """
        if self.accepts(epoch):
            return True
        if self._lower_since is None:
            self._lower_since = now
        if now - self._lower_since < PATIENCE_SECONDS:
            return False
        self._epoch = epoch
        self._lower_since = None
        return True
