// Package hep receives SIP messages that a SIP server or a capture agent mirrors over
// HEP, the Homer Encapsulation Protocol, also named EEP.
//
// A [Server] listens on sockets such as hep_udp:127.0.0.1:9060 and calls a handler for
// each packet that carries SIP. [Decode] reads one packet; it does no I/O.
//
// Where the facts are from:
//
//   - Version 3: "HEP3 Network Protocol Specification", rev. 37 of 2025-06-25, by Roland
//     Haenel and Alexandr Dubovikov (github.com/sipcapture/HEP). All its generic chunks
//     are known here.
//   - Versions 1 and 2 have no specification: the header is what OpenSIPS' proto_hep
//     accepts and Kamailio's siptrace sends, and UDP only.
//   - Names of chunks, names of protocols and the defaults of sockets: the modules
//     proto_hep and sipcapture of OpenSIPS. Chunks that they do not know are named here.
//
// HEP has no authentication worth the name: whoever reaches the socket can make evid
// believe in any SIP message from any address. Listen on loopback, or where a firewall
// lets in only those who are to send.
package hep
