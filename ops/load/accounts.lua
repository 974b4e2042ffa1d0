-- Look-ups of random addresses, one a line in a file: wrk ... -s accounts.lua URL -- FILE [QUERY]
local ids, query, made = {}, "", 0

function setup(thread)
  thread:set("number", made)
  made = made + 1
end

function init(arguments)
  for line in io.lines(arguments[1]) do ids[#ids + 1] = line end
  query = arguments[2] or ""
  math.randomseed(os.time() * 31 + number)
end

function request()
  return wrk.format("GET", "/v1/accounts/" .. ids[math.random(#ids)] .. "/events" .. query)
end
