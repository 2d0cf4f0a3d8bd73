package xmlrpc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/modparam"
)

// Params are the parameters of module event_xmlrpc.
type Params struct {
	Options // what a socket that does not say otherwise has

	TLSCA   string // file with the certificates of the authorities to trust; empty: the system's
	TLSCert string // files with the certificate to show to servers that ask for one, and its key
	TLSKey  string
}

// Options are the parameters that each socket can set for itself.
type Options struct {
	evid.Policy

	UseStructParam bool          // a named parameter is a struct of one member
	Keepalive      bool          // the connection serves more than one event
	Confirm        bool          // the reply is read and decides what became of the event
	Captured       bool          // exactly the bytes of OpenSIPS: no keepalive, no confirm, no multicall, no header of ours
	Multicall      bool          // what waits goes in calls of system.multicall, to servers that have it
	Timeout        time.Duration // for the call, from its first byte to the end of the reply
	ConnectTimeout time.Duration // for the connection, with all addresses of the host
	RetryFaults    []int         // fault codes after which the event is worth another attempt
	BigInt         string        // integers outside 32 bits: "string" or "i8"
	EventID        bool          // the event's id is a last parameter, named event_id
	UserAgent      string
	TLSVerify      bool // the certificate of an xmlrpcs server must be valid
}

// Limits of the parameters.
const (
	maxAttempts    = 1_000_000
	maxMaxAge      = 10 * 365 * 24 * time.Hour
	maxRetry       = 24 * time.Hour
	maxConnections = 64
)

// userAgent is what OpenSIPS sends (capture xmlrpc/struct0-named_str.http).
const userAgent = "OpenSIPS XMLRPC Notifier"

// DefaultParams returns the values that parameters have when nothing is said.
// The ones that OpenSIPS has too are as documented there.
func DefaultParams() Params {
	return Params{Options: Options{
		Policy:         evid.DefaultPolicy(),
		Keepalive:      true,
		Confirm:        true,
		Multicall:      true,
		Timeout:        5 * time.Second,
		ConnectTimeout: 2 * time.Second,
		RetryFaults:    []int{-32300, -32400, -32500, -32603},
		BigInt:         "string",
		UserAgent:      userAgent,
		TLSVerify:      true,
	}}
}

// Modparams lists the parameters for the script.
func (p *Params) Modparams() []modparam.Param {
	return append(p.modparams(),
		modparam.Param{
			Name: "tls_ca", Value: modparam.String(&p.TLSCA),
			Usage: "file with the certificates of the authorities to trust instead of the system's",
		},
		modparam.Param{
			Name: "tls_cert", Value: modparam.String(&p.TLSCert),
			Usage: "file with the certificate to show to servers that ask for one",
		},
		modparam.Param{
			Name: "tls_key", Value: modparam.String(&p.TLSKey),
			Usage: "file with the key of tls_cert",
		},
	)
}

func (o *Options) modparams() []modparam.Param {
	return slices.Concat(o.callParams(), o.retryParams(), o.contentParams())
}

// callParams say how a call is made.
func (o *Options) callParams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "use_struct_param", Value: modparam.Bool(&o.UseStructParam),
			Usage: "send a named parameter as a struct of one member, which XML-RPC libraries understand",
		},
		{
			Name: "sync_mode", Value: modparam.Bool(&o.Sync),
			Usage: "a raise waits for one attempt at the subscriber",
		},
		{
			Name: "keepalive", Value: modparam.Bool(&o.Keepalive),
			Usage: "use a connection for more than one event",
		},
		{
			Name: "confirm", Value: modparam.Bool(&o.Confirm),
			Usage: "read the reply; 0 is for receivers that never answer",
		},
		{
			Name: "captured", Value: modparam.Bool(&o.Captured),
			Usage: "send exactly what OpenSIPS sends: keepalive=0, confirm=0, multicall=0, no header of evid",
		},
		{
			Name: "multicall", Value: modparam.Bool(&o.Multicall),
			Usage: "send what waits in calls of system.multicall, to servers that have it",
		},
		{
			Name: "timeout", Value: modparam.Duration(&o.Timeout, time.Millisecond, time.Hour),
			Usage: "for a call and the whole of its reply",
		},
		{
			Name: "connect_timeout", Value: modparam.Duration(&o.ConnectTimeout, time.Millisecond, time.Hour),
			Usage: "for a connection",
		},
	}
}

// retryParams say what happens when a call fails, and on what it waits.
func (o *Options) retryParams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "retry_faults", Value: intList(&o.RetryFaults),
			Usage: "fault codes after which an event is worth another attempt, with commas between",
		},
		{
			Name: "max_attempts", Value: modparam.Int(&o.MaxAttempts, 1, maxAttempts),
			Usage: "attempts at an event that the subscriber takes offence at or does not answer",
		},
		{
			Name: "max_age", Value: modparam.Duration(&o.MaxAge, time.Millisecond, maxMaxAge),
			Usage: "from the raise of an event to its last attempt",
		},
		{
			Name: "retry_min", Value: modparam.Duration(&o.RetryMin, time.Millisecond, maxRetry),
			Usage: "the longest pause after a first failure; it doubles with each further one",
		},
		{
			Name: "retry_max", Value: modparam.Duration(&o.RetryMax, time.Millisecond, maxRetry),
			Usage: "the longest pause after any failure",
		},
		{
			Name: "lane", Value: laneChoice(&o.OwnLane),
			Usage: "share connections with the other subscribers of the server, or have an own one",
		},
		{
			Name: "connections", Value: modparam.Int(&o.Connections, 1, maxConnections),
			Usage: "how many subscribers of a server are called at a time",
		},
	}
}

// contentParams say what is in a call.
func (o *Options) contentParams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "big_int", Value: modparam.OneOf(&o.BigInt, "string", "i8"),
			Usage: "how integers outside 32 bits are sent",
		},
		{
			Name: "event_id", Value: modparam.Bool(&o.EventID),
			Usage: "send the event's id as a last parameter named event_id",
		},
		{
			Name: "user_agent", Value: headerText(&o.UserAgent),
			Usage: "the User-Agent header",
		},
		{
			Name: "tls_verify", Value: modparam.Bool(&o.TLSVerify),
			Usage: "the certificate of an xmlrpcs server must be valid",
		},
	}
}

// laneChoice is "shared" or "own".
func laneChoice(own *bool) modparam.Value {
	get := func() string {
		if *own {
			return "own"
		}
		return "shared"
	}
	set := func(text string) error {
		var choice string
		if err := modparam.OneOf(&choice, "shared", "own").Set(text); err != nil {
			return err
		}
		*own = choice == "own"
		return nil
	}
	return modparam.Func(modparam.Text, get, set)
}

// intList is a list of integers with commas between them.
func intList(p *[]int) modparam.Value {
	get := func() string {
		texts := make([]string, len(*p))
		for i, n := range *p {
			texts[i] = strconv.Itoa(n)
		}
		return strings.Join(texts, ",")
	}
	set := func(text string) error {
		var list []int
		for word := range strings.SplitSeq(text, ",") {
			if word = strings.TrimSpace(word); word == "" {
				continue
			}
			n, err := strconv.Atoi(word)
			if err != nil {
				return fmt.Errorf("expected integers with commas between, got %q", text)
			}
			list = append(list, n)
		}
		*p = list
		return nil
	}
	return modparam.Func(modparam.Either, get, set)
}

// headerText is a string that can be the value of a header.
func headerText(p *string) modparam.Value {
	set := func(text string) error {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("expected printable ASCII, got %q", text)
		}
		*p = text
		return nil
	}
	return modparam.Func(modparam.Text, func() string { return *p }, set)
}
