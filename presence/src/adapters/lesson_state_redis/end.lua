-- KEYS: sockets of the replica, replicas, sockets of the user, the end of this one, that it is named after its end. Other
-- names are arguments, empty where there is none: alive:…, the recovery that goes with it, what a lesson's name follows in lesson_teacher_… or
-- lesson_student_…, and in whose sockets those are, and {user_id} or manager:…. Returns {lesson_id, whether the user has no other socket}, or nothing
-- where it had ended.
local replica, sid, user_id, ended_ttl, alive_ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local alive, recovery, members_of, owners_of, shown, user = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local sockets, replicas, own, ended, gone = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local stop = foreign({ sockets, alive ~= '' and alive or nil }, 'hash')
if stop then return stop end

-- A connection that took this one up keeps its recovery.
if recovery ~= '' then
  local is_taken_up = false
  for _, other in ipairs(redis.call('ZRANGE', own, 0, -1)) do
    local seen, itself = string.match(other, '^([^:]*):(.*)$')
    if seen == shown and itself ~= sid then is_taken_up = true end
  end
  if not is_taken_up then redis.call('DEL', recovery) end
end
local entry = redis.call('HGET', sockets, sid)
-- Without an entry it has ended, or Redis has lost it: then this is its end, and nobody has told of it.
if not entry and redis.call('EXISTS', ended) == 1 then return false end
redis.call('SET', ended, '1', 'EX', ended_ttl)
redis.call('HDEL', sockets, sid)
if redis.call('EXISTS', sockets) == 0 then redis.call('SREM', replicas, replica) end
redis.call('ZREM', own, shown .. ':' .. sid)
local is_last = redis.call('EXISTS', own) == 0

local lesson = ''
if entry then
  local read, of = pcall(cjson.decode, entry)
  if read and type(of) == 'table' and type(of.lesson) == 'string' then lesson = of.lesson end
elseif members_of ~= '' and redis.call('TYPE', user).ok == 'hash' then
  -- It may have joined after its entry was lost.
  local last = redis.call('HGET', user, 'lesson_id')
  if last and redis.call('HGET', owners_of .. last, user_id) == sid then lesson = last end
end
if lesson ~= '' and members_of ~= '' then
  local members, owners = members_of .. lesson, owners_of .. lesson
  if redis.call('HGET', owners, user_id) == sid then
    redis.call('HDEL', owners, user_id)
    if redis.call('TYPE', members).ok == 'hash' then redis.call('HDEL', members, user_id) end
  end
end
-- What is left is the name of a socket that is gone. The latest of those that stay takes its place; where none is known,
-- the first that is restored does.
if user ~= '' and redis.call('TYPE', user).ok == 'hash' and redis.call('HGET', user, 'sid') == shown then
  if is_last then
    redis.call('SET', gone, '1', 'EX', ended_ttl)
  else
    redis.call('HSET', user, 'sid', string.match(redis.call('ZREVRANGE', own, 0, 0)[1], '^([^:]*):'))
  end
end
-- One who logged out has no such key, and gets none.
if alive ~= '' and is_last and redis.call('EXISTS', alive) == 1 then
  redis.call('HSET', alive, 'state', 'disconnect')
  redis.call('EXPIRE', alive, alive_ttl)
end
return { lesson, is_last and 1 or 0 }
