"""What the scripts share: the names of the keys, and the Lua functions that work on a room.

The keys, all of which begin with `trio_chat:`

- `owner`: a hash: `claims` counts the processes that had this log; `fence`, which only the last of them knows, is that
  number and something that no other has; `batch` and `done`: the number of the last batch of changes, and how many of
  it are done; `secret`, `run` and `version`: see `opening`.
- `lease`: who has the log now; it goes by itself where that process does not say in time that it lives.
- `answers`: of the last batch, so that one that is sent twice is done once.
- `rooms`: the keys of all rooms. `kept`: a hash of records, under kind and key.
- `{ROOM}:` and then, of each room,
  `m` a hash: `epoch`, `first`, `last`; `swept`: the first that is still there; `latest` and `disorder`: see `spans`;
  `h` a hash: seq → `Head` as MessagePack; `c` a hash: seq → content, where there is any;
  `k` a hash: author and key → seq, digest and until when, as MessagePack; `u` the same as a sorted set, by that time;
  `x:SEQ` a list: the edits of a message;
  `r:SEQ` a hash: emoji → its place among the others; `r:SEQ:EMOJI` a sorted set: who reacted so, by the reaction's seq.

What is stored in a hash field is gone when it is deleted, as far as the memory is used again. In a stream it would not
be: an entry that is deleted there stays in its node until all of that is.

Times and numbers that Lua would round are handed on as the text that they came as.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "trio_chat:"
OWNER, LEASE, ANSWERS = f"{PREFIX}owner", f"{PREFIX}lease", f"{PREFIX}answers"
ROOMS, KEPT = f"{PREFIX}rooms", f"{PREFIX}kept"
SWEEP = 200  # entries and keys that are deleted in one script at most

_ESCAPES = {ord(char): f"%{ord(char):02x}" for char in "%{}"}


def base(room: str) -> str:
    """What the keys of a room begin with. Its name is the hash tag: a Redis Cluster has them all in one slot."""
    return f"{PREFIX}{{{room.translate(_ESCAPES)}}}:"


# What every script begins with: ARGV[1] is the fence.
FENCE = """
local call = redis.call
local fence = call('HGET', KEYS[1], 'fence') or ''
if fence ~= ARGV[1] then return {'fenced', fence} end
"""

# A change: ARGV[2] is its batch, [3] its place in it, from 1 on, [4] the batch before and how many of it were done.
GUARD = (
    FENCE
    + """
local place = tonumber(ARGV[3])
local state = call('HMGET', KEYS[1], 'batch', 'done')
if state[1] ~= ARGV[2] then
    if state[1] .. ':' .. state[2] ~= ARGV[4] then return {'lost'} end
    if place ~= 1 then return {'skipped'} end
    call('HSET', KEYS[1], 'batch', ARGV[2], 'done', '0')  -- first: a server that is full refuses only the first write
    call('DEL', KEYS[2])
    state[2] = '0'
end
local done = tonumber(state[2])
if place <= done then return cmsgpack.unpack(call('HGET', KEYS[2], ARGV[3])) end
if place > done + 1 then return {'skipped'} end
local function answer(it)
    call('HSET', KEYS[2], ARGV[3], cmsgpack.pack(it))
    call('HSET', KEYS[1], 'done', ARGV[3])
    return it
end
local function keep(from)
    for i = from, #ARGV, 2 do
        if ARGV[i + 1] == '' then
            call('HDEL', KEYS[3], ARGV[i])
        else
            call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
        end
    end
end
"""
)

ROOM = f"""
local KIND, AUTHOR, SENDER, AT, SIZE, TO, OF = 1, 2, 3, 4, 5, 7, 9
local EMOJI, REMOVE, EDITED, ERASED, KEY = 10, 11, 14, 15, 16
local function head(base, seq)
    local found = call('HGET', base .. 'h', seq)
    return found and cmsgpack.unpack(found)
end
local function first_of(base, first, last, limit, oldest)
    first = math.max(first, last - limit + 1)
    while first <= last and head(base, first)[AT] < oldest do first = first + 1 end
    return first
end
local function unmark(base, seq)
    local marks = base .. 'r:' .. seq
    for _, emoji in ipairs(call('HKEYS', marks)) do call('DEL', marks .. ':' .. emoji) end
    call('DEL', marks)
end
local function sweep(base, swept, first)
    local stop = math.min(first, swept + {SWEEP})
    for seq = swept, stop - 1 do
        local gone = head(base, seq)
        if gone then
            if gone[KIND] == 'edit' then call('LREM', base .. 'x:' .. gone[OF], 1, seq) end
            unmark(base, seq)
            call('HDEL', base .. 'h', seq)
            call('HDEL', base .. 'c', seq)
        end
    end
    if stop ~= swept then call('HSET', base .. 'm', 'swept', stop) end
    return stop
end
local function forget_keys(base, wall, most)
    local old = call('ZRANGEBYSCORE', base .. 'u', '-inf', wall, 'LIMIT', 0, most)
    for _, key in ipairs(old) do
        call('HDEL', base .. 'k', key)
        call('ZREM', base .. 'u', key)
    end
    return #old
end
local function erase(base, seq, message, size)
    local digests = {{}}
    local seqs = call('LRANGE', base .. 'x:' .. message, 0, -1)
    seqs[#seqs + 1] = seq
    for _, one in ipairs(seqs) do
        local gone = head(base, one)
        if gone then
            gone[SIZE], gone[EDITED], gone[ERASED] = size, -1, true
            call('HSET', base .. 'h', one, cmsgpack.pack(gone))
            call('HDEL', base .. 'c', one)
            local known = gone[KEY] ~= '' and call('HGET', base .. 'k', gone[KEY])
            known = known and cmsgpack.unpack(known)
            if known and known[1] == tonumber(one) and known[2] ~= '' then
                digests[#digests + 1] = known[1]
                digests[#digests + 1] = known[2]
                known[2] = ''
                call('HSET', base .. 'k', gone[KEY], cmsgpack.pack(known))
            end
        end
    end
    unmark(base, seq)
    return digests
end
"""
