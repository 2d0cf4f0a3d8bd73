package xmlrpc

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/evid/evid"
	"github.com/evid/evid/modparam"
	"github.com/evid/evid/xmlrpc"
)

// Settings are the options of sockets and what follows from them. Sockets that
// set none share one, which is why what few have is here.
type settings struct {
	Options
	text   string       // the options of a socket, as they were written
	host   string       // of a socket, as it was written; empty: in lower case
	params evid.Encoder // of a single call
	items  evid.Encoder // of a call inside a system.multicall
}

func newSettings(o Options, replaced *atomic.Uint64) *settings {
	f := form{shape: xmlrpc.NameBeside, eventID: o.EventID, replaced: replaced}
	if o.UseStructParam {
		f.shape = xmlrpc.NameInStruct
	}
	if o.BigInt == "i8" {
		f.bigInt = xmlrpc.BigIntI8
	}
	items := f
	items.items = true
	return &settings{Options: o, params: f, items: items}
}

// with returns the options of a socket: o, but for what text ("timeout=500;confirm=0")
// says, and with what follows from one for another.
func (o Options) with(text string) (Options, error) {
	given := make(map[string]bool)
	if text != "" {
		if err := o.assign(text, given); err != nil {
			return o, err
		}
	}
	if o.Captured {
		if given["confirm"] && o.Confirm {
			return o, errors.New("options: captured=1 means confirm=0")
		}
		o.Confirm = false
	}
	if !o.Confirm { // the connection is half closed after the call, and nobody knows what came of it
		if given["keepalive"] && o.Keepalive {
			return o, errors.New("options: confirm=0 means keepalive=0")
		}
		if given["multicall"] && o.Multicall {
			return o, errors.New("options: confirm=0 means multicall=0")
		}
		o.Keepalive, o.Multicall = false, false
	}
	if err := o.checkRetry(); err != nil {
		return o, fmt.Errorf("options: %w", err)
	}
	return o, nil
}

func (o *Options) checkRetry() error {
	if o.RetryMin > o.RetryMax {
		return fmt.Errorf("retry_min: expected at most retry_max, %v, got %v", o.RetryMax, o.RetryMin)
	}
	return nil
}

// assign reads the options of a socket and notes which are given.
func (o *Options) assign(text string, given map[string]bool) error {
	params := o.modparams()
	for option := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(option, "=")
		if !ok {
			return fmt.Errorf("option %q: expected name=value", option)
		}
		if name == "struct" { // short for
			name = "use_struct_param"
		}
		err := modparam.Assign(params, name, value, modparam.Either)
		if errors.Is(err, modparam.ErrUnknown) {
			return fmt.Errorf("option %q: expected one of %s", option, optionNames(params))
		}
		if err != nil {
			return fmt.Errorf("option %q: %w", option, err)
		}
		given[name] = true
	}
	return nil
}

func optionNames(params []modparam.Param) string {
	names := []string{"struct"}
	for _, p := range params {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}
