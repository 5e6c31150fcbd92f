"""Pools with Tasks on a virtual clock: what the operator's own decisions lead to.

`run` is the clock and the one step, as the operator's loops take it: a target for each pool by its
decider, shares of the quotas by `core.quota.shares`, agents to and fro. `crew` holds one pool,
`shares` the quotas, `machines` the nodes, `outcome` what came of it. Nothing here decides how many
agents a pool is to have, or to get: that is the code of the operator, or of a peer in a benchmark.
"""
