-- KEYS: sockets of the replica, the end of this one, {user_id}, lesson_teacher_… or lesson_student_…, whose sockets those
-- are, lesson_seat_…, and the recovery where there is one. Returns {whether the user was known, lesson_id}.
local sid, entry, ttl, lesson, seats = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local by_token, recovery, client_id, role, org_id, shown = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local sockets, ended, user, members, owners, seating = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local stop = foreign({ sockets, user, members, seating }, 'hash')
if stop then return stop end
if redis.call('EXISTS', ended) == 1 then return { 0, '' } end

-- One that is lost is restored whole, and not half by this.
if redis.call('HEXISTS', sockets, sid) == 1 then redis.call('HSET', sockets, sid, entry) end
make_seats(seating, seats)
redis.call('HSET', members, client_id, shown)
redis.call('EXPIRE', members, ttl)
redis.call('HSET', owners, client_id, sid)
redis.call('EXPIRE', owners, ttl)
local was = redis.call('HMGET', user, 'sid', 'lesson_id')
local before = redis.call('EXISTS', user)
redis.call('HSET', user, 'lesson_id', lesson)
if by_token == '1' then
  redis.call('HSET', user, 'sid', shown, 'client_id', client_id, 'role', role)
  redis.call('EXPIRE', user, ttl)
elseif not was[1] then
  redis.call('HSET', user, 'sid', shown, 'client_id', client_id, 'role', role, 'org_id', org_id)
end
if KEYS[7] then redis.call('SET', KEYS[7], recovery, 'EX', ttl) end
return { before, was[2] or '' }
