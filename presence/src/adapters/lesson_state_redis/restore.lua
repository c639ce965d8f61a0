-- KEYS: sockets of the replica, replicas, sockets of the user, the end of this one, that it is named after its end. Other
-- names are arguments, empty where there is none: {user_id} or manager:…, alive:…, lesson_teacher_… or lesson_student_…,
-- lesson_seat_…, whose sockets are in the lesson, and what a socket's name follows in the last of the keys.
local replica, sid, entry, login_time, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local user, alive, members, seating = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local client_id, role, org_id, lesson = ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local seats, ttl, owners, shown, gone_of = tonumber(ARGV[14]), ARGV[15], ARGV[16], ARGV[17], ARGV[18]
local without_lesson = ARGV[19]
local sockets, replicas, own, ended, gone = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ours = { sockets }
for _, name in ipairs({ user, alive, members, seating }) do
  if name ~= '' then ours[#ours + 1] = name end
end
local stop = foreign(ours, 'hash')
if stop then return stop end
if redis.call('EXISTS', ended) == 1 then return 0 end

redis.call('SADD', replicas, replica)
redis.call('ZADD', own, login_time, shown .. ':' .. sid)
redis.call('EXPIRE', own, keep)
redis.call('DEL', gone)
-- Whether it is one of this user's sockets, by the name that others see or by its own, and whether all such came earlier.
local function among_own(is_seen, name)
  local found, earlier = false, true
  local scored = redis.call('ZRANGE', own, 0, -1, 'WITHSCORES')
  for at = 1, #scored, 2 do
    local seen, itself = string.match(scored[at], '^([^:]*):(.*)$')
    if (is_seen and seen or itself) == name then
      found = true
      if tonumber(scored[at + 1]) >= tonumber(login_time) then earlier = false end
    end
  end
  return found, earlier
end
local is_theirs = false
if members ~= '' then
  local owner = redis.call('HGET', owners, client_id)
  if owner and owner ~= sid then
    local found, earlier = among_own(false, owner)
    is_theirs = found and not earlier
  end
end
-- The user has the lesson by another socket, which may be about to end: until then this one is not back whole, and is
-- restored again.
redis.call(is_theirs and 'HSETNX' or 'HSET', sockets, sid, is_theirs and without_lesson or entry)
if user ~= '' then
  local now = redis.call('HGET', user, 'sid')
  -- One that is neither gone nor among this user's sockets is another kind's, or not restored yet: it stays.
  local is_latest = not now or now == shown or redis.call('EXISTS', gone_of .. now) == 1
  if not is_latest then
    local found, earlier = among_own(true, now)
    is_latest = found and earlier
  end
  if is_latest then
    redis.call('HSET', user, 'sid', shown, 'client_id', client_id, 'role', role, 'org_id', org_id)
  end
  if lesson ~= '' and (is_latest or redis.call('HEXISTS', user, 'lesson_id') == 0) then
    redis.call('HSET', user, 'lesson_id', lesson)
  end
end
if alive ~= '' then
  local was = redis.call('HMGET', alive, 'login_time', 'state')
  if was[2] ~= 'connect' or (tonumber(was[1] or '') or 0) < tonumber(login_time) then
    redis.call('HSET', alive, 'login_time', login_time, 'state', 'connect')
  end
  redis.call('PERSIST', alive)
end
if members ~= '' then
  if not is_theirs then
    redis.call('HSET', members, client_id, shown)
    redis.call('HSET', owners, client_id, sid)
  end
  for _, key in ipairs({ members, owners }) do
    if redis.call('TTL', key) < 0 then redis.call('EXPIRE', key, ttl) end
  end
  make_seats(seating, seats)
end
return 1
