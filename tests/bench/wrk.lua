-- wrk.lua - what wrk sends to dpl-serve and its peers
--
--	wrk … -s wrk.lua URL -- post PATH OPERATION…   a request about each operation in turn
--	wrk … -s wrk.lua URL -- calls OPERATION…       starts of calls, and the end of each behind the answer to its start
--	wrk … -s wrk.lua URL -- put KEY…               puts to etcd's gateway, each key in turn
--
-- Prints `wrk RATE P50 P99 ERRORS`: answers a second, microseconds, how many answers were no success or never came.

local function quoted(members)
	local texts = {}
	for i = 1, #members, 2 do
		texts[#texts + 1] = string.format('"%s":"%s"', members[i], members[i + 1])
	end
	return "{" .. table.concat(texts, ",") .. "}"
end

local function post(path, members)
	return wrk.format("POST", path, nil, quoted(members))
end

-- The same requests again and again, made once.
local function in_turn(requests)
	local i = 0
	function request()
		i = i % #requests + 1
		return requests[i]
	end
end

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
	local out = {}
	for i = 1, #text, 3 do
		local a, b, c = text:byte(i, i + 2)
		local n = a * 65536 + (b or 0) * 256 + (c or 0)
		for j = 0, 3 do
			local d = math.floor(n / 64 ^ (3 - j)) % 64
			out[#out + 1] = (j == 2 and not b or j == 3 and not c) and "=" or digits:sub(d + 1, d + 1)
		end
	end
	return table.concat(out)
end

-- Each call is ended by whichever connection is free next: a request says nothing of connections.
local function calls(operations)
	local starts, started, first, last, i = {}, {}, 1, 0, 0
	for k, id in ipairs(operations) do
		starts[k] = post("/call/start", {"operationId", id, "participantId", "bench", "description", "a piece of work"})
	end
	function request()
		if first <= last then
			local said = started[first]
			started[first] = nil
			first = first + 1
			return post("/call/end", {"operationId", said[1], "callId", said[2], "participantId", "bench", "result", "done"})
		end
		i = i % #starts + 1
		return starts[i]
	end
	function response(_, _, body)
		local call = body:match('"callId":"([^"]*)"')
		if call then
			last = last + 1
			started[last] = {body:match('"operationId":"([^"]*)"'), call}
		end
	end
end

function init(args)
	local what, requests = table.remove(args, 1), {}
	wrk.headers["Content-Type"] = "application/json"
	if what == "calls" then
		return calls(args)
	end
	local path = what == "put" and "/v3/kv/put" or table.remove(args, 1)
	for k, name in ipairs(args) do
		requests[k] = what == "put" and post(path, {"key", base64(name), "value", base64("a piece of work, " .. name)}) or
			post(path, {"operationId", name, "participantId", "bench"})
	end
	in_turn(requests)
end

function done(summary, latency, _)
	local e = summary.errors
	io.write(string.format("wrk %.0f %.0f %.0f %d\n", summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99),
		e.connect + e.read + e.write + e.status + e.timeout))
end
