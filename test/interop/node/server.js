// XML-RPC server on npm xmlrpc, as ../servers/README.md says.
//
// usage: node server.js OUT-FILE
'use strict'

const fs = require('fs')
const xmlrpc = require('xmlrpc')

const outFile = process.argv[2]

function utf8Hex(text) {
  return Buffer.from(text, 'utf8').toString('hex')
}

function show(value) {
  if (typeof value === 'string') return 's:' + utf8Hex(value)
  if (Number.isInteger(value)) return 'i:' + value
  if (Object.prototype.toString.call(value) !== '[object Object]') return '?:' + typeof value
  const members = Object.entries(value).map(([name, member]) => utf8Hex(name) + '=' + show(member))
  return '{' + members.sort().join(',') + '}'
}

const server = xmlrpc.createServer({ host: '127.0.0.1', port: 0 }, () => {
  console.log('http://127.0.0.1:' + server.httpServer.address().port)
})
for (const method of ['block_ip', 'other']) {
  server.on(method, (error, params, reply) => {
    fs.appendFileSync(outFile, [method, ...params.map(show)].join(' ') + '\n')
    reply(null, 1)
  })
}
