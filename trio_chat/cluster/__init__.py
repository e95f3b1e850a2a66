"""What a Redis or Valkey server does for us: today the log kind `redis`, of one node.

It needs `coredis`, which is installed with `trio-chat[redis]` and imported by nobody who does not ask for this kind.
"""
