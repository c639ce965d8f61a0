-- What every step begins with. A key of another type than ours is somebody else's: then nothing is written at all.
local function foreign(keys, kind)
  for _, key in ipairs(keys) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      return redis.error_reply('WRONGTYPE a key of the lesson state is a ' .. found .. ', not a ' .. kind)
    end
  end
end

-- Seats are made once, all of them empty.
local function make_seats(key, count)
  if redis.call('EXISTS', key) == 1 then return end
  local seats = {}
  for seat = 1, count do
    seats[#seats + 1] = seat
    seats[#seats + 1] = ''
  end
  redis.call('HSET', key, unpack(seats))
end

-- What others see of a socket's id: the same for a connection and for those that took it up.
local function shown(sid)
  return string.sub(sid, 1, 22)
end

-- When the user's socket logged in that is seen as this, if there is one besides `but`.
local function seen_as(own, sid, but)
  for _, other in ipairs(redis.call('ZRANGE', own, 0, -1)) do
    if other ~= but and shown(other) == shown(sid) then return tonumber(redis.call('ZSCORE', own, other)) end
  end
  return nil
end
