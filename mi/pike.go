package mi

import (
	"context"
	"net/netip"
)

// A Pike blocks addresses that send too much. It may be asked from several goroutines at
// once.
type Pike interface {
	// Blocked lists the addresses that are blocked.
	Blocked() []netip.Addr
	// Unblock unblocks an address, and says whether it is known and was blocked.
	Unblock(addr netip.Addr) (known, blocked bool)
}

// PikeCommands returns the commands of module pike.
func PikeCommands(p Pike) []Command {
	return []Command{
		{
			Name: "pike_list", Alias: "pike:list",
			Help:   "lists the addresses that are blocked",
			Params: [][]string{{}},
			Run: func(context.Context, Args) (any, error) {
				ips := []string{}
				for _, addr := range p.Blocked() {
					ips = append(ips, addr.String())
				}
				return struct{ IPs []string }{ips}, nil
			},
		},
		{
			Name: "pike_rm", Alias: "pike:rm",
			Help:   "unblocks an address",
			Params: [][]string{{"ip"}},
			Run: func(_ context.Context, a Args) (any, error) {
				ip, err := a.Text("ip")
				if err != nil {
					return nil, err
				}
				return pikeRemove(p, ip)
			},
		},
	}
}

// pikeRemove answers as OpenSIPS does, which takes IPv4 only.
func pikeRemove(p Pike, ip string) (any, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, &Error{Code: 500, Message: "Bad IP"}
	}
	switch known, blocked := p.Unblock(addr); {
	case !known:
		return nil, &Error{Code: 404, Message: "Match not found"}
	case !blocked:
		return nil, &Error{Code: 400, Message: "IP not blocked"}
	}
	return "OK", nil
}
