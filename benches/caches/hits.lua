-- Says how it went, for a program to read.
function done(summary)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("result %d %d %d\n", summary.requests, summary.duration, failed))
end
