"""Users who write down all that they say and hear, and the judge of what they wrote.

The judge knows transcripts only: so it judges any server of the protocol, of one process or of many, real or simulated.
"""
