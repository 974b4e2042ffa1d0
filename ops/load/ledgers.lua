-- Look-ups of random ledgers: wrk ... -s ledgers.lua URL -- FIRST LAST [events]
local first, last, events, made = 0, 0, false, 0

function setup(thread)
  thread:set("number", made)
  made = made + 1
end

function init(arguments)
  first, last, events = tonumber(arguments[1]), tonumber(arguments[2]), arguments[3] == "events"
  math.randomseed(os.time() * 31 + number)
end

function request()
  local ledger = math.random(first, last)
  if events then return wrk.format("GET", "/v1/events?from=" .. (ledger - 1)) end
  return wrk.format("GET", "/v1/ledgers/" .. ledger)
end
