"""The whole server in virtual time: every task of it, real frames, and all that can happen to a network and a disk.

The same scenario and seed give the same run, to the byte, on any machine. See `run.simulate`.
"""
