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
