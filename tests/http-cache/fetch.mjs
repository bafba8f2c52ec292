// What the tests fetch with: it sends what it is told and nothing else, and follows nothing.

import http from 'node:http'

/** How long a response may take, in milliseconds. */
const PATIENCE = 30_000

/** Makes a `fetch` that speaks to the cache under test, and about the tests themselves to their origin. */
export function fetchThrough (cache, origin) {
  return (url, init = {}) => new Promise((resolve, reject) => {
    const { pathname, search } = new URL(url)
    const own = pathname.startsWith('/config/') || pathname.startsWith('/state/')
    const body = init.body ?? ''
    const port = own ? origin : cache
    const headers = [['Host', `127.0.0.1:${port}`], ['Connection', 'close'], ...(init.headers ?? [])]
    if (body !== '') headers.push(['Content-Length', Buffer.byteLength(body)])
    const options = { host: '127.0.0.1', port, path: pathname + search, method: init.method ?? 'GET', headers }
    const request = http.request({ ...options, agent: false, timeout: PATIENCE }, response => {
      const blocks = []
      response.on('data', block => blocks.push(block))
      response.on('error', reject)
      response.on('end', () => {
        const headers = new Headers()
        for (let at = 0; at < response.rawHeaders.length; at += 2) {
          headers.append(response.rawHeaders[at], response.rawHeaders[at + 1])
        }
        const text = async () => Buffer.concat(blocks).toString()
        resolve({ status: response.statusCode, statusText: response.statusMessage, headers, text })
      })
    })
    request.on('timeout', () => request.destroy(new Error(`no response within ${PATIENCE} ms`)))
    request.on('error', reject)
    request.end(Buffer.from(body))
  })
}
