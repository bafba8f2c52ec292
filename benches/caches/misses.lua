-- Asks for another URL each time, of one of so many files, so that each is a miss; says how it went. For one thread.
function init(arguments)
    count, asked = tonumber(arguments[1]), 0
end

function request()
    asked = asked + 1
    return wrk.format("GET", string.format("/small/f%06d?%d", asked % count, asked))
end

function done(summary)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("result %d %d %d\n", summary.requests, summary.duration, failed))
end
