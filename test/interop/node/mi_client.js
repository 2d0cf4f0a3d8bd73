// Runs the event calls of npm opensips-mi-client and prints the result of each
// as a line of JSON. Exits with status 1 if any of them failed.
//
// usage: node mi_client.js MI-URL EVENT SOCKET
//
// EVENT must be registered. SOCKET is subscribed to it, gets three events and
// is unsubscribed.
'use strict'

const { Client } = require('opensips-mi-client')

const [url, event, socket] = process.argv.slice(2)
if (!socket) {
  console.error('usage: node mi_client.js MI-URL EVENT SOCKET')
  process.exit(2)
}
const client = new Client({ communication_type: 'http', url })

const calls = [
  ['which'],
  ['eventsList'],
  ['eventSubscribe', { event, socket }],
  ['eventSubscribe', { event, socket, expire: 60 }],
  ['subscribersList', { event }],
  ['subscribersList', { event, socket }],
  ['raiseEvent', { event }],
  ['raiseEvent', { event, params: ['192.168.2.11', 'second'] }],
  ['raiseEvent', { event, params: { ip: '192.168.2.11', hits: -5 } }],
  ['eventSubscribe', { event, socket, expire: 0 }],
]

async function main() {
  for (const [call, params] of calls) {
    try {
      console.log(JSON.stringify({ call, params, result: await client[call](params) }))
    } catch (error) {
      console.log(JSON.stringify({ call, params, error: error.message }))
      process.exitCode = 1
    }
  }
}

main()
