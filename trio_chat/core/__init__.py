"""The chat itself, pure: no trio, no clock, no randomness, no logging, no I/O.

Knowledge runs one way through the files of this folder: `names`, `errors` → `messages` → `codec`, `effects` →
`limits`, `bans`, `sessions`, `rooms` → `connecting`, `membership`, `posting`, `history` → `commands` → `state`.
"""
