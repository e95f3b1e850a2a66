"""From a token or a password to an `Identity`: all that is secret or slow about who somebody is, before the broker.

`keys` and `tokens` are what `auth` = `jwt` needs, `passwords` and `attempts` what `accounts` does; `prover` is where a
connection brings either.
"""
