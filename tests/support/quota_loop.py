"""A namespace in memory whose pools live by one quota: decisions, and a controller that lags."""

from collections import Counter

from agentcorps.core.actions import CreateAgent, DeleteAgent, Drain
from agentcorps.core.amounts import NANO
from agentcorps.core.health import pods_to_create
from agentcorps.core.quota.foreign import ForeignUse
from agentcorps.core.quota.rooms import rooms
from agentcorps.core.quota_record import QuotaRecord
from agentcorps.core.records import Key
from agentcorps.core.scaling import replicas
from support.fleet import NAMESPACE, Fleet

QUOTA = Key(NAMESPACE, "q")
NEVER = 10**6


class QuotaLoop:
    """Steps of a second: what is due happens, then the operator decides, then it is carried out."""

    def __init__(self, hard: int, weights: dict[str, int], *, ends: int, lag: int) -> None:
        """Create quota and pools.

        Args:
            hard: Pods that the quota allows.
            weights: Of the pools, by name.
            ends: Seconds from the deletion of an Agent to the end of its pod.
            lag: Seconds after which the quota tells of that.
        """
        self.fleet = Fleet()
        self._hard = hard
        self._ends = ends
        self._lag = lag
        self.charged = 0
        self._due: list[tuple[float, Key | None]] = []
        """When a pod ends; without a name: when the quota tells of one less."""
        self._foreign = ForeignUse()
        self.refused = 0
        self.turns = 0
        self._directions: dict[str, int] = {}
        like = self.fleet.pool(replicas=0)
        self._like = like
        self.fleet.state.forget_pool(like.key)
        for name, weight in weights.items():
            self.want(name, hard, weight)
        self._tell()

    def want(self, name: str, count: int, weight: int) -> None:
        """Change what a pool asks for, and forget in which direction each one went."""
        key = Key(NAMESPACE, name)
        self.fleet.other_pool(self._like, key, replicas=count, quota_weight=weight)
        self._directions.clear()

    def strangers(self, count: int) -> None:
        """Somebody else creates pods, as many as there is room for, or deletes some."""
        self.charged += min(count, self._hard - self.charged)
        self._tell()

    def pods(self) -> Counter[str]:
        """How many pods each pool has."""
        return Counter(key.name.rpartition("-")[0] for key in self.fleet.state.pods)

    def run(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            before = self.pods()
            self.fleet.seconds += 1
            self._happen()
            self._decide()
            self._watch(before)

    def _happen(self) -> None:
        now = self.fleet.seconds
        due = [one for one in self._due if one[0] <= now]
        self._due = [one for one in self._due if one[0] > now]
        for _, pod in due:
            if pod is None:
                self.charged -= 1
                self._tell()
            else:
                self.fleet.state.forget_pod(pod)
                self._due.append((now + self._lag, None))

    def _decide(self) -> None:
        state, now = self.fleet.state, self.fleet.now
        found = rooms(state, self._foreign, now)
        for key in sorted(state.pools):
            for action in replicas(state, key, now, 0.0, found.get(key)):
                self._carry_out(action)
        for creation in pods_to_create(state):
            if self.charged < self._hard:
                self.charged += 1
                self.fleet.pod(state.agents[creation.agent])
                self._tell()
            else:
                self.refused += 1

    def _carry_out(self, action: CreateAgent | Drain | DeleteAgent) -> None:
        state, fleet = self.fleet.state, self.fleet
        match action:
            case CreateAgent():
                uid = state.pools[action.pool].uid
                fleet.agent(action.name, pool=action.pool.name, pool_uid=uid, startup_seconds=NEVER)
            case Drain():
                fleet.drain(action.agent)
            case DeleteAgent():
                state.forget_agent(action.agent)
                if action.agent in state.pods:
                    self._due.append((fleet.seconds + self._ends, action.agent))

    def _tell(self) -> None:
        record = QuotaRecord(
            "q",
            QUOTA,
            self.fleet.version(),
            {"pods": self._hard * NANO},
            {"pods": self.charged * NANO},
        )
        self.fleet.state.observe_quota(record)

    def _watch(self, before: Counter[str]) -> None:
        after = self.pods()
        for name in {**before, **after}:
            moved = after[name] - before[name]
            if moved:
                direction = 1 if moved > 0 else -1
                self.turns += self._directions.get(name, direction) != direction
                self._directions[name] = direction
