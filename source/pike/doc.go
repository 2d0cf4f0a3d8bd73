// Package pike finds out which addresses send too much: module pike of OpenSIPS.
//
// [Pike.Check] counts a request of an address and says whether the address is blocked.
// What to do then is for the caller to decide; pike tells of it with a line in the log and
// the event [EventBlocked].
//
// # The algorithm
//
// It is that of OpenSIPS, as its manual of the module describes it and its master branch
// has it (read in November 2026), with x for Params.Density. Addresses are paths in a tree,
// a byte to a node. A request counts for one node only: the longest prefix of its address
// that is in the tree. A prefix that gets x/4 within a unit of time is hot: the next byte
// of each address that comes is then added below it, with as many hits as the prefix had
// before. Once the whole address is in the tree it is counted by itself, and blocked with
// its x-th request within one unit; it is unblocked at the end of the first unit in which
// and before which there were fewer than x. So whoever is blocked has sent x requests in a
// unit, and an address that nobody comes near is blocked after x and what its way down
// takes: with the defaults after 39 requests (IPv6: 51), of which 38 pass, as in the
// capture golden/pike. The limits that the manual gives, 3x and 9x, hold for every x from 2.
//
// A node ends Params.RemoveLatency after its last request, if it is a whole address, or
// else after it was made or lost the last node below it. The timer ticks once a second, and
// units and expiry are as exact as that.
//
// It differs from OpenSIPS in this: IPv4 and IPv6 have trees of their own, as 32.1.13.184 is
// no neighbour of 2001:db8::; an IPv4 address that came mapped into IPv6 is the IPv4 one; an
// address that expires while it is blocked is unblocked, and said to be; IPv6 addresses are
// written as in RFC 5952, not with all eight groups in capital letters; and
// [Pike.Unblock] takes them, too.
//
// # Bounds
//
// There is room for [MaxNodes] nodes, which take at most 200 MB, whatever arrives: a
// million addresses, if each is to be there as a whole, and more if they send little, as
// then only their first bytes are. Memory is given back as nodes expire.
//
// When there is no more room, somebody sends from very many addresses, most likely forged
// ones. To refuse new nodes would then let everyone through who is not yet in the tree, and
// to forget all would let go who is. So two things happen. A sieve holds back what comes once:
// an address that is not in the tree is only remembered, by a byte of its hash, and counts
// when it comes again before some two million others have come. And who is added takes the
// place of another node nearby, one without nodes below it that had no hit for long: each hit
// gives a node three chances, and whoever looks for a place takes one away. As it looks near
// where the new node is to stand, which its hash says, all nodes are looked at about as often.
// A forged address is held back or soon goes; a flooder has very many hits until it is looked
// at again, and stays, as do the nodes above it. It is found one request later, or a few. A
// blocked address that has gone silent may be unblocked that way, sooner than at the end of
// its unit. [Stats] counts both what is evicted, and requests for which no node could be made
// as all that could go had hits; those still count for the prefix.
//
// # Speed
//
// Nodes are spread over shards by their hash. An address that is in the tree is found and
// counted without a lock: see node. So checks on several cores do not slow each other down,
// unless they are of the same addresses. What adds nodes, moves them or blocks an address has
// the lock of one shard.
//
// A check never waits for the log or for who is told of events. Those wait in a queue; if
// that is full, an address is told of later, as long as it is blocked, and unblocked later,
// when that can be told. So there is one event for each time that an address is blocked,
// unless the address is unblocked before there is room, which is counted.
package pike
