"""Lua scripts that the server runs atomically. Times are whole seconds."""

from __future__ import annotations

from hashlib import sha1


class Script:
    """A script, and the digest by which the server finds it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


SPENT, DONE, TAKEN = 0, 1, -1
"""The results of ``SPEND_AND_SAVE``: spent before or unknown; spent and saved; a duplicate key, so nothing is done."""

SPEND_AND_SAVE = Script("""
local used_at, first = ARGV[1], 1
if used_at ~= '' then
  first = 2
  if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'used_at') == 1 then return 0 end
end
for i = first, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return -1 end
end
if first == 2 then redis.call('HSET', KEYS[1], 'used_at', used_at) end
for i = first, #KEYS do
  local at = 2 + (i - first) * 3
  redis.call('HSET', KEYS[i], 'grant', ARGV[at])
  if ARGV[at + 1] ~= '' then redis.call('HSET', KEYS[i], 'used_at', ARGV[at + 1]) end
  redis.call('EXPIRE', KEYS[i], ARGV[at + 2])
end
return 1
""")
"""Keys: the grant to spend, if ``used_at`` is given, then the grants to save. Arguments: ``used_at``, and for each
saved grant its content, its own ``used_at`` and the seconds for which it stays."""

UNDO = Script("""
local first = 1
if ARGV[1] ~= '' then
  first = 2
  redis.call('HDEL', KEYS[1], 'used_at')
end
for i = first, #KEYS do redis.call('DEL', KEYS[i]) end
return 1
""")
"""The reverse of ``SPEND_AND_SAVE``, with the same keys and ``used_at``."""

DECIDE = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'used_at') == 1 then return 0 end
return redis.call('HSETNX', KEYS[1], 'decision', ARGV[1])
""")
"""Argument: the authorization, or an empty text if the user denied."""

POLL = Script("""
local polled = redis.call('HGET', KEYS[1], 'polled')
if redis.call('EXISTS', KEYS[1]) == 0 or (polled and polled ~= ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'polled', ARGV[2])
return 1
""")
"""Arguments: the time of the poll and the interval, before and from now on. A grant that was never polled has no such
field."""

COUNT = Script("""
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('TTL', KEYS[1]) == -1 then
  local now = tonumber(redis.call('TIME')[1])
  local ends_at = math.max(tonumber(ARGV[2]), now) + tonumber(ARGV[3])
  redis.call('EXPIREAT', KEYS[1], string.format('%.0f', ends_at))
end
return count
""")
"""Arguments: the number to add, when the counter expires, and the seconds for which it stays longer."""

REMEMBER = Script("""
if redis.call('SETNX', KEYS[1], '') == 0 then return 0 end
local now = tonumber(redis.call('TIME')[1])
local ends_at = math.max(tonumber(ARGV[1]), now) + tonumber(ARGV[2])
redis.call('EXPIREAT', KEYS[1], string.format('%.0f', ends_at))
return 1
""")
"""Arguments: when the key expires, and the seconds for which it stays longer."""
