// XML-RPC server on npm xmlrpc, as README.md says.
//
// usage: NODE_PATH=node_modules node node.js
'use strict'

const xmlrpc = require('xmlrpc')

let executed = 0

const server = xmlrpc.createServer({ host: '127.0.0.1', port: 0 }, () => {
  console.log('http://127.0.0.1:' + server.httpServer.address().port)
})
server.on('block_ip', (error, params, reply) => {
  executed++
  reply(null, 1)
})
process.on('SIGTERM', () => {
  console.log('executed=' + executed)
  process.exit(0)
})
