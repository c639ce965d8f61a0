-- KEYS: sockets of the replica, replicas, sockets of the user, the end of this one, that it is named after its end,
-- {user_id} or manager:…, alive:… (the last two as far as the kind has them). Returns {whether the user was known, lesson_id}.
local replica, sid, entry, login_time, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local client_id, role, org_id, shown = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local sockets, replicas, own, ended, gone, user, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local stop = foreign({ sockets, user, alive }, 'hash')
if stop then return stop end
-- The end has overtaken the beginning.
if redis.call('EXISTS', ended) == 1 then return { 0, '' } end

redis.call('HSETNX', sockets, sid, entry)
redis.call('SADD', replicas, replica)
redis.call('ZADD', own, login_time, shown .. ':' .. sid)
redis.call('EXPIRE', own, keep)
redis.call('DEL', gone)
local before, lesson = 0, false
if user then
  local was = redis.call('HMGET', user, 'sid', 'lesson_id')
  -- Its own sid is there when this step is repeated, or a connection taken up.
  if was[1] ~= shown then before = redis.call('EXISTS', user) end
  lesson = was[2]
  redis.call('HSET', user, 'sid', shown, 'client_id', client_id, 'role', role, 'org_id', org_id)
  redis.call('PERSIST', user)
end
if alive then
  redis.call('HSET', alive, 'login_time', login_time, 'state', 'connect')
  redis.call('PERSIST', alive)
end
return { before, lesson or '' }
