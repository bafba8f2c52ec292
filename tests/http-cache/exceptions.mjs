// The required cases that do not pass, and why.

const methods = ['POST', 'PUT', 'DELETE', 'M-SEARCH']

export default [
  {
    reason: 'nothing is changed through this server, which answers 405 to unsafe methods: so there is nothing to invalidate',
    cases: methods.flatMap(method => [`invalidate-${method}`, `invalidate-${method}-location`, `invalidate-${method}-cl`])
  },
  {
    reason: 'cookies are between a source and one client: they neither pass nor are kept',
    cases: ['headers-store', '304-etag-update-response'].flatMap(test => [`${test}-Set-Cookie`, `${test}-Set-Cookie2`])
  },
  {
    reason: 'a transfer coding that was not asked for would be taken for the content: the response is refused',
    cases: ['headers-store-Transfer-Encoding']
  },
  {
    reason: 'an Age of several numbers may be any, as age-parse-dup-0 wants it: the response is asked for anew',
    cases: ['age-parse-prefix']
  },
  {
    reason: 'what is stale is served only where its source or the operator allows that, so there is nothing to forbid',
    cases: ['must-revalidate', 'proxy-revalidate', 'no-cache', 's-maxage=2'].map(directive => `stale-close-${directive}`)
  }
]
