"""The built-in autoscaler: (spec, load, history, now) to a decision with its reason.

`load` counts what there is to do; `demand` says what each policy asks for (`metrics` and
`schedules` for two kinds of them), the idle buffer included; `decision` takes the highest, within
the windows and rates of `behavior` and with an eye on `panic`, then bounds and pauses. `history` is
what the last decision leaves to the next: a value that goes in and comes out.
"""
