"""What is done in the Redis server itself, in Lua: each script wholly or not at all, and nothing in between.

`lua` says what the keys are, and has what the scripts begin with.
"""

from __future__ import annotations

from trio_chat.cluster.lua import FENCE, GUARD, ROOM, SWEEP

# KEYS: owner, lease, answers. ARGV: who, milliseconds, what no other claim has: a server that was emptied counts anew.
CLAIM = """
local call = redis.call
if call('EXISTS', KEYS[2]) == 1 then return {'held', call('GET', KEYS[2]), call('PTTL', KEYS[2])} end
local version = call('HGET', KEYS[1], 'version') or '1'
if version ~= '1' then return {'version', version} end
call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
local fence = call('HINCRBY', KEYS[1], 'claims', 1) .. ':' .. ARGV[3]
call('HSET', KEYS[1], 'fence', fence, 'batch', '0', 'done', '0', 'version', '1')
call('DEL', KEYS[3])
local was = call('HMGET', KEYS[1], 'secret', 'run')
return {'ok', fence, was[1] or '', was[2] or ''}
"""

# KEYS: owner, lease. ARGV: fence, who, milliseconds.
RENEW = FENCE + "call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) return {'ok'}"

# KEYS: owner, lease. ARGV: fence.
RELEASE = FENCE + "call('DEL', KEYS[2]) return {'ok'}"

# KEYS: owner. ARGV: fence, then fields and values of the owner.
NOTE = FENCE + "call('HSET', KEYS[1], unpack(ARGV, 2)) return {'ok'}"

# KEYS: owner, answers, kept. ARGV: guard, then fields and values; an empty one: no longer.
KEEP = GUARD + "keep(5) return answer({'ok'})"

# KEYS: owner, answers, kept, base, rooms. ARGV: guard, then as they are named below; then what is kept with it.
APPEND = (
    GUARD
    + ROOM
    + """
local base, room, epoch, made, content = KEYS[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local key, digest, till, wall = ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local limit, oldest = tonumber(ARGV[13]), tonumber(ARGV[14])
local moderator, most_emoji, at = ARGV[15] == '1', tonumber(ARGV[16]), ARGV[17]
local m = base .. 'm'
local meta = call('HMGET', m, 'epoch', 'first', 'last', 'swept', 'latest', 'disorder')
if not meta[1] then
    call('HSET', m, 'epoch', epoch, 'first', '1', 'last', '0', 'swept', '1', 'latest', '0', 'disorder', '0')
    call('SADD', KEYS[5], room)
    meta = {epoch, '1', '0', '1', '0', '0'}
end
if meta[1] ~= epoch then return answer({'stale'}) end
local last, swept = tonumber(meta[3]), tonumber(meta[4])
local first = first_of(base, tonumber(meta[2]), last, limit, oldest)
if key ~= '' then
    local known = call('HGET', base .. 'k', key)
    known = known and cmsgpack.unpack(known)
    if known and known[3] > tonumber(wall) then return answer({'known', known[1], known[2]}) end
end
local draft = cmsgpack.unpack(made)
local kind, of, target = draft[KIND], draft[OF], nil
local marks = base .. 'r:' .. of
local users = marks .. ':' .. draft[EMOJI]
if kind == 'edit' or kind == 'delete' or kind == 'react' then
    target = of >= first and of <= last and head(base, of)
    local text = target and (target[KIND] == 'message' or target[KIND] == 'private')
    local alone = target and kind == 'delete' and target[KIND] == 'edit' and target[OF] < first
    if not target or target[ERASED] or not (text or alone) then return answer({'rejected', 'no_such_entry'}) end
    if kind == 'react' then
        local mine = call('ZSCORE', users, draft[AUTHOR])
        if draft[REMOVE] then
            if not mine then return answer({'rejected', 'no_such_entry'}) end
        elseif mine then
            return answer({'duplicate', tonumber(mine)})
        elseif call('HEXISTS', marks, draft[EMOJI]) == 0 and call('HLEN', marks) >= most_emoji then
            return answer({'rejected', 'too_large'})
        end
    elseif draft[AUTHOR] ~= target[AUTHOR] and not moderator then
        return answer({'rejected', 'forbidden'})
    end
end
local seq = last + 1
call('HSET', base .. 'h', seq, made)
if content ~= '' then call('HSET', base .. 'c', seq, content) end
if tonumber(at) < tonumber(meta[5]) then
    call('HSET', m, 'disorder', seq)
else
    call('HSET', m, 'latest', at)
end
if call('EXISTS', base .. 'u') == 1 then forget_keys(base, wall, 2) end
if key ~= '' then
    call('HSET', base .. 'k', key, cmsgpack.pack({seq, digest, tonumber(till)}))
    call('ZADD', base .. 'u', till, key)
end
local digests = {}
if kind == 'react' then
    if draft[REMOVE] then
        call('ZREM', users, draft[AUTHOR])
        if call('EXISTS', users) == 0 then call('HDEL', marks, draft[EMOJI]) end
    else
        call('HSETNX', marks, draft[EMOJI], seq)
        call('ZADD', users, seq, draft[AUTHOR])
    end
elseif kind == 'edit' then
    target[SIZE], target[EDITED] = draft[SIZE], draft[AT]
    call('HSET', base .. 'h', of, cmsgpack.pack(target))
    if content == '' then call('HDEL', base .. 'c', of) else call('HSET', base .. 'c', of, content) end
    call('RPUSH', base .. 'x:' .. of, seq)
elseif kind == 'delete' then
    digests = erase(base, of, target[KIND] == 'edit' and target[OF] or of, draft[SIZE])
end
first = first_of(base, first, seq, limit, oldest)
call('HSET', m, 'first', first, 'last', seq)
swept = sweep(base, swept, first)
keep(18)
answer({'ok', seq, first, swept < first and 1 or 0})
return {'ok', seq, first, swept < first and 1 or 0, digests}
"""
)

# KEYS: owner, answers, kept, base, rooms. ARGV: guard, room.
FORGET = (
    GUARD
    + ROOM
    + """
local base = KEYS[4]
local meta = call('HMGET', base .. 'm', 'swept', 'last')
if meta[1] then
    for seq = tonumber(meta[1]), tonumber(meta[2]) do
        unmark(base, seq)
        local one = head(base, seq)
        call('DEL', base .. 'x:' .. seq)
        if one[KIND] == 'edit' then call('DEL', base .. 'x:' .. one[OF]) end
    end
    call('UNLINK', base .. 'm', base .. 'h', base .. 'c', base .. 'k', base .. 'u')
    call('SREM', KEYS[5], ARGV[5])
end
return answer({'ok'})
"""
)

# KEYS: owner, base. ARGV: fence, limit, oldest. What is held; nothing is written.
SPAN = (
    FENCE
    + ROOM
    + """
local base = KEYS[2]
local meta = call('HMGET', base .. 'm', 'epoch', 'first', 'last', 'swept', 'disorder')
if not meta[1] then return {'none'} end
local last = tonumber(meta[3])
local first = first_of(base, tonumber(meta[2]), last, tonumber(ARGV[2]), tonumber(ARGV[3]))
"""
)

SPANS = SPAN + "return {'ok', meta[1], first, last, tonumber(meta[4]), tonumber(meta[5])}"

# … and epoch, `after` or `before`, the number itself (-1: none), limit and bytes.
READ = (
    SPAN
    + """
if meta[1] ~= ARGV[4] then return {'stale'} end
local number, most, left = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local from, to, step = first, last, 1
if ARGV[5] == 'after' then
    from = math.max(first, number + 1)
else
    from, to, step = number < 0 and last or math.min(last, number - 1), first, -1
end
local rows = {}
for seq = from, to, step do
    if #rows >= most then break end
    local packed = call('HGET', base .. 'h', seq)
    left = left - cmsgpack.unpack(packed)[SIZE]
    if left < 0 and #rows > 0 then break end
    local shown, marks = {}, base .. 'r:' .. seq
    local places = call('HGETALL', marks)
    for i = 1, #places, 2 do
        local users = marks .. ':' .. places[i]
        local one = {places[i], tonumber(places[i + 1]), call('ZCARD', users)}
        local found = call('ZRANGE', users, 0, tonumber(ARGV[9]) - 1, 'WITHSCORES')
        for j = 2, #found, 2 do one[#one + 1] = head(base, found[j])[SENDER] end
        shown[#shown + 1] = one
    end
    rows[#rows + 1] = {seq, packed, call('HGET', base .. 'c', seq) or '', shown}
end
return {'ok', first, last, rows}
"""
)

# KEYS: owner, base. ARGV: fence, from, to, bytes, a word in lower case or empty. Contents, the newest first, of those
# that may hold the word; as many as are looked through with so many bytes; and the last that was looked at.
LOOK = (
    FENCE
    + ROOM
    + """
local base, from, to, left, word = KEYS[2], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local found, seq = {}, from
while seq >= to and left > 0 do
    local content = call('HGET', base .. 'c', seq)
    left = left - 100
    if content then
        left = left - #content
        if string.find(content, '[\\128-\\255]') or string.find(string.lower(content), word, 1, true) then
            local packed = call('HGET', base .. 'h', seq)
            local kind = packed and cmsgpack.unpack(packed)[KIND]
            if kind == 'message' or kind == 'private' then found[#found + 1] = {seq, packed, content} end
        end
    end
    seq = seq - 1
end
return {'ok', seq + 1, found}
"""
)

# KEYS: owner, base. ARGV: fence, limit, oldest, wall. Deletes what is no longer held; whether there is more.
TIDY = (
    SPAN
    + f"""
if first ~= tonumber(meta[2]) then call('HSET', base .. 'm', 'first', first) end
local swept = sweep(base, tonumber(meta[4]), first)
local old = forget_keys(base, ARGV[4], {SWEEP})
return {{'ok', (swept < first or old == {SWEEP}) and 1 or 0}}
"""
)

# KEYS: owner, base. ARGV: fence, epoch. A new epoch.
EPOCH = FENCE + "call('HSET', KEYS[2] .. 'm', 'epoch', ARGV[2]) return {'ok'}"

# KEYS: owner, base. ARGV: fence, from, to. The heads of entries, as they are held.
HEADS = (
    FENCE
    + """
local found = {}
for seq = tonumber(ARGV[2]), tonumber(ARGV[3]) do
    local head = call('HGET', KEYS[2] .. 'h', seq)
    if head then found[#found + 1] = {seq, head} end
end
return {'ok', found}
"""
)

# KEYS: owner, base. ARGV: fence, bytes of an erased entry, seq, author, sender, to, emoji, remove, whether the content
# goes, whether it is by whoever is forgotten. See `Forgetting`.
ANONYMOUS = (
    FENCE
    + ROOM
    + """
local base, seq = KEYS[2], ARGV[3]
local one = head(base, seq)
if not one then return {'ok'} end
if ARGV[10] == '1' then
    if one[KEY] ~= '' then
        call('HDEL', base .. 'k', one[KEY])
        call('ZREM', base .. 'u', one[KEY])
    end
    local kind = one[KIND]
    local text = kind == 'message' or kind == 'private' or kind == 'edit'
    if text and not one[ERASED] and not (kind == 'edit' and call('HEXISTS', base .. 'h', one[OF]) == 1) then
        erase(base, seq, kind == 'edit' and one[OF] or seq, tonumber(ARGV[2]))
        one = head(base, seq)
    elseif kind == 'react' then
        local marks = base .. 'r:' .. one[OF]
        local users = marks .. ':' .. one[EMOJI]
        call('ZREM', users, one[AUTHOR])
        if call('EXISTS', users) == 0 then call('HDEL', marks, one[EMOJI]) end
    end
    one[KEY] = ''
end
one[AUTHOR], one[SENDER], one[TO], one[EMOJI], one[REMOVE] = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8] == '1'
call('HSET', base .. 'h', seq, cmsgpack.pack(one))
if ARGV[9] == '1' then call('HDEL', base .. 'c', seq) end
return {'ok'}
"""
)

# KEYS: owner, base. ARGV: fence, authors. No key of theirs is known any longer.
UNKEY = (
    FENCE
    + """
local gone = {}
for i = 2, #ARGV do gone[ARGV[i]] = true end
for _, key in ipairs(call('HKEYS', KEYS[2] .. 'k')) do
    if gone[string.match(key, '^(.-)%z')] then
        call('HDEL', KEYS[2] .. 'k', key)
        call('ZREM', KEYS[2] .. 'u', key)
    end
end
return {'ok'}
"""
)

# KEYS: owner, kept. ARGV: fence, field, value. Keeps it no longer, unless it is another by now.
DONE = (
    FENCE
    + """
if call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then return {'ok', 0} end
call('HDEL', KEYS[2], ARGV[2])
return {'ok', 1}
"""
)
