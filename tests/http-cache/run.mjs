// Runs the tests of the package in a folder against the command: node run.mjs PACKAGE COMMAND [CASE]

import { spawn } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { pathToFileURL } from 'node:url'

import exceptions from './exceptions.mjs'
import { fetchThrough } from './fetch.mjs'

/** How many cases are run at once: they wait most of the time, but what is asked must be answered within a second. */
const AT_ONCE = 50

const [folder, command, only] = process.argv.slice(2)
const load = file => import(pathToFileURL(path.join(folder, file)))

/** Starts the origin of the tests on a free port of this machine. */
async function startOrigin () {
  const handlers = {}
  for (const name of ['config', 'state', 'test']) {
    handlers[name] = (await load(`server/handle-${name}.mjs`)).default
  }
  const server = http.createServer((request, response) => {
    const [kind, ...rest] = new URL(request.url, 'http://origin/').pathname.slice(1).split('/')
    if (kind in handlers) {
      handlers[kind](rest, request, response)
    } else {
      response.writeHead(404).end()
    }
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return server
}

/** Starts the cache before an origin, and returns it with its port once it listens. */
async function startCache (origin, folder) {
  const options = [
    'stream', '--listen', '127.0.0.1:0', '--remote', `http://127.0.0.1:${origin}/`, '--cache', folder,
    // It stands before a server of its own, and is told what that is told.
    '--pass-all-headers', '--pass-credentials', '--show-header', 'Clear-Site-Data', '--show-header', 'Public-Key-Pins',
    '--heed-header', 'Surrogate-Control', '--heed-header', 'CDN-Cache-Control',
    // What the origin is asked is counted.
    '--retries', '0', '--access-log', 'none'
  ]
  const child = spawn(command, options, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise(resolve => child.once('exit', resolve))
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => { child.kill('SIGKILL'); process.exit(1) })
  }
  process.once('exit', () => child.kill('SIGKILL'))
  const said = []
  for await (const line of readline.createInterface({ input: child.stderr })) {
    said.push(line)
    const port = line.match(/127\.0\.0\.1:(\d+)/)?.[1]
    if (port !== undefined) {
      child.stderr.resume()
      return { child, ended, port: Number(port) }
    }
  }
  throw new Error(`it does not listen: ${said.join('\n')}`)
}

/** Returns how each case went, by its kind: those that passed, that failed, and those that depend on such. */
function judge (suites, results, display) {
  const kinds = { required: [], optimal: [], check: [] }
  for (const test of suites.flatMap(suite => suite.tests)) {
    if (!(test.id in results)) continue
    const mark = display.determineTestResult(suites, test.id, results)[2]
    const end = { '✅': 'passed', Y: 'passed', '⚪️': 'depends' }[mark] ?? 'failed'
    const why = end === 'depends' ? `depends on ${test.depends_on.join(', ')}` : [results[test.id]].flat().join(': ')
    kinds[test.kind ?? 'required'].push({ id: test.id, end, why })
  }
  return kinds
}

/** Tells how the cases went; false if one did not go as it is known to. */
function tell (kinds) {
  const print = line => process.stdout.write(`${line}\n`)
  const reasons = new Map(exceptions.flatMap(({ reason, cases }) => cases.map(id => [id, reason])))
  const names = { required: 'required', optimal: 'optimal', check: 'behaviour, asked for only' }
  let good = true
  for (const [kind, cases] of Object.entries(kinds)) {
    const of = end => cases.filter(one => one.end === end)
    print(`\n${names[kind]}: ${of('passed').length} of ${cases.length} passed`)
    for (const { id, why } of of('failed').concat(of('depends'))) {
      const reason = kind === 'required' ? reasons.get(id) : ''
      good &&= reason !== undefined
      print(`  ${id}: ${reason || why}${reason === undefined ? ' <- NOT KNOWN' : ''}`)
    }
  }
  const passed = new Set(kinds.required.filter(one => one.end === 'passed').map(one => one.id))
  for (const id of reasons.keys()) {
    if (passed.has(id)) {
      good = false
      print(`${id} passes: it is no exception any more`)
    }
  }
  return good
}

const [{ runTests, getResults }, display, tests, surrogate] = await Promise.all(
  ['client/runner.mjs', 'lib/display.mjs', 'tests/index.mjs', 'tests/surrogate-control.mjs'].map(load))
const suites = [...tests.default, surrogate.default]
const chosen = suites.map(suite => ({ ...suite, tests: suite.tests.filter(test => !only || test.id === only) }))
const place = fs.mkdtempSync(path.join(os.tmpdir(), 'http-cache-tests-'))
process.once('exit', () => fs.rmSync(place, { recursive: true, force: true }))

const origin = await startOrigin()
const cache = await startCache(origin.address().port, path.join(place, 'cache'))
const log = console.log
if (only) {
  chosen.flatMap(suite => suite.tests).forEach(test => { test.dump = true })
} else {
  // The origin tells of each request that is none of a test.
  console.log = () => {}
}
const fetch = fetchThrough(cache.port, origin.address().port)
await runTests(chosen, fetch, false, `http://127.0.0.1:${cache.port}`, AT_ONCE)
console.log = log
cache.child.kill('SIGTERM')
await cache.ended
origin.closeAllConnections?.()
origin.close()

const results = getResults()
if (only) {
  log(results)
} else if (!tell(judge(suites, results, display))) {
  process.exitCode = 1
}
