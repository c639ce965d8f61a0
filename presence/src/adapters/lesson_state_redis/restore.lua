-- KEYS: sockets of the replica, replicas, sockets of the user, the end of this one. Other names are arguments, empty where
-- there is none: {user_id} or manager:…, alive:…, lesson_teacher_… or lesson_student_…, lesson_seat_….
local replica, sid, entry, login_time, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local user, alive, members, seating = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local client_id, role, org_id, lesson = ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local seats, ttl = tonumber(ARGV[14]), ARGV[15]
local sockets, replicas, own, ended = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ours = { sockets }
for _, name in ipairs({ user, alive, members, seating }) do
  if name ~= '' then ours[#ours + 1] = name end
end
local stop = foreign(ours, 'hash')
if stop then return stop end
if redis.call('EXISTS', ended) == 1 then return 0 end

redis.call('HSET', sockets, sid, entry)
redis.call('SADD', replicas, replica)
redis.call('ZADD', own, login_time, sid)
redis.call('EXPIRE', own, keep)
local is_latest = false
if user ~= '' then
  local now = redis.call('HGET', user, 'sid')
  -- One that is not among this user's sockets is another kind's, or has come and gone since: it stays.
  local theirs = now and redis.call('ZSCORE', own, now)
  is_latest = not now or now == sid or (theirs and tonumber(theirs) < tonumber(login_time)) or false
  if is_latest then
    redis.call('HSET', user, 'sid', sid, 'client_id', client_id, 'role', role, 'org_id', org_id)
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
  if is_latest or redis.call('HEXISTS', members, client_id) == 0 then
    redis.call('HSET', members, client_id, sid)
  end
  if redis.call('TTL', members) < 0 then redis.call('EXPIRE', members, ttl) end
  make_seats(seating, seats)
end
return 1
