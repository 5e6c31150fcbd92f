"""The built-in autoscaler: (spec, load, history, now) to a decision with its reason.

demand → buffer → panic → behavior → bounds → pauses, each in a module of its own; `decision` puts
them together. History is a value that goes in and comes out.
"""
