package daemon

import (
	"slices"
	"strings"

	"github.com/evid/evid"
	"github.com/evid/evid/mi"
	"github.com/evid/evid/mi/httpd"
	"github.com/evid/evid/modparam"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/cachedb"
	scriptcore "github.com/evid/evid/script/core"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/ratelimit"
	"github.com/evid/evid/script/sipreq"
	"github.com/evid/evid/script/statistics"
	"github.com/evid/evid/source/core"
	"github.com/evid/evid/transport/xmlrpc"
)

// A module is one row of the table that loadmodule looks into.
type module struct {
	name   string
	always bool // loaded without loadmodule
	params []modparam.Param

	// ignored are the parameters of OpenSIPS' module that have no effect here, with the
	// reason.
	ignored map[string]string

	// transports builds the transports that the module brings; nil: none.
	transports func() (transportSet, error)
	// parts builds what the module has for scripts and MI; nil: nothing. It is called for
	// modules that are not loaded as well: a script is told that it needs them.
	parts func(d *Daemon) (moduleParts, error)
}

// moduleParts are what a module has for scripts and for MI. What it does not have is nil.
type moduleParts struct {
	functions  []program.Function
	variables  []program.Variable
	commands   []mi.Command
	statistics func(to *mi.Statistics) // adds its groups
	events     []string                // that it raises: they are to be registered
	start      func()                  // before requests come
	stop       func()                  // after the last one
}

// A transportSet is what a transport module has built.
type transportSet interface {
	Schemes() []evid.Transport
	Replaced() uint64 // characters of events that could not be sent as they were
}

// settings are what a configuration sets, before anything is built of it.
type settings struct {
	log     logParams
	script  scriptParams
	core    core.Params
	source  sourceParams
	evi     eviParams
	queue   queue.Params
	store   jetstream.Params
	httpd   httpd.Params
	modules []module
	loaded  map[string]bool
}

// newSettings returns the settings that hold when nothing is said. This is the
// table of modules: a new transport is one line here.
func newSettings() *settings {
	s := &settings{
		log:    defaultLogParams(),
		script: defaultScriptParams(),
		source: defaultSourceParams(),
		queue:  queue.DefaultParams(),
		store:  jetstream.DefaultParams(),
		httpd:  httpd.DefaultParams(),
		loaded: make(map[string]bool),
	}
	eventXMLRPC := xmlrpc.DefaultParams()
	cachedbLocal := cachedb.DefaultParams()
	stateless := map[string]string{script.AllParams: "evid answers a request at once, or not at all"}
	var scriptStatistics statistics.Params
	rateLimit := ratelimit.DefaultParams()
	s.modules = []module{
		{name: "evi", always: true, params: s.evi.modparams()},
		{name: "queue", always: true, params: slices.Concat(s.queue.Modparams(), s.store.Modparams())},
		{name: "event_xmlrpc", params: eventXMLRPC.Modparams(), transports: func() (transportSet, error) {
			return xmlrpc.New(eventXMLRPC)
		}},
		{name: "httpd", params: s.httpd.HTTPD()},
		{name: "mi_http", params: s.httpd.MIHTTP()},
		{name: scriptcore.Cfgutils},
		{name: "cachedb_local", params: cachedbLocal.Modparams(), ignored: cachedb.Ignored(), parts: func(*Daemon) (moduleParts, error) {
			store, err := cachedb.New(cachedbLocal)
			if err != nil {
				return moduleParts{}, err
			}
			return moduleParts{functions: store.Functions()}, nil
		}},
		{name: "statistics", params: scriptStatistics.Modparams(), parts: func(*Daemon) (moduleParts, error) {
			store, err := statistics.New(scriptStatistics, ownGroups()...)
			if err != nil {
				return moduleParts{}, err
			}
			return moduleParts{functions: store.Functions(), statistics: store.AddTo}, nil
		}},
		{name: "ratelimit", params: rateLimit.Modparams(), ignored: ratelimit.Ignored(), parts: func(*Daemon) (moduleParts, error) {
			l, err := ratelimit.New(rateLimit)
			if err != nil {
				return moduleParts{}, err
			}
			return moduleParts{functions: l.Functions(), variables: l.Variables(), commands: l.Commands()}, nil
		}},
		{name: "event_route"}, // of OpenSIPS up to 2.4; later it needs no module
		{name: "proto_udp"},
		{name: "proto_tcp", params: s.source.sip.ProtoTCP()},
		{name: "proto_tls"},
		{name: "tls_mgm", params: s.source.sip.TLSMgm()},
		{name: "proto_hep", params: s.source.hep.ProtoHEP(), ignored: sendsHEP()},
		{name: "pike", params: s.source.pike.Modparams(), parts: s.source.buildPike},
		{name: sipreq.SL, ignored: stateless},
		{name: sipreq.Signaling, ignored: stateless},
		{name: sipreq.Sipmsgops, ignored: stateless},
		{name: "textops", ignored: stateless},
		{name: "tm", ignored: stateless},
	}
	return s
}

// sendsHEP are the parameters of OpenSIPS' proto_hep about what it sends.
func sendsHEP() map[string]string {
	const reason = "evid receives HEP and sends none"
	return map[string]string{
		"hep_id": reason, "hep_capture_id": reason, "hep_async": reason, "hep_send_timeout": reason,
		"hep_async_max_postponed_chunks": reason, "hep_async_local_connect_timeout": reason,
		"hep_async_local_write_timeout": reason, "hep_retry_cooldown": reason, "homer5_on": reason, "homer5_delim": reason,
	}
}

// Schema returns what a configuration can speak of. All values are the defaults.
func Schema() script.Schema { return newSettings().schema() }

func (s *settings) schema() script.Schema {
	schema := script.Schema{
		Globals: slices.Concat(s.log.globals(), s.script.globals(), s.core.Globals(), s.source.globals()),
		Ignored: ignoredGlobals(), OutsideGlobals: missingGlobals(), Outside: outsideModules(),
	}
	for _, m := range s.modules {
		schema.Modules = append(schema.Modules, script.Module{Name: m.name, Params: m.params, Always: m.always, Ignored: m.ignored})
	}
	return schema
}

// apply assigns what the file says.
func (s *settings) apply(file *script.File) (warnings script.Errors, err error) {
	loaded, warnings, err := file.Apply(s.schema())
	for _, name := range loaded {
		s.loaded[name] = true
	}
	return warnings, err
}

// scriptParams are the globals about the script.
type scriptParams struct{ maxWhileLoops int }

func defaultScriptParams() scriptParams { return scriptParams{maxWhileLoops: 10000} }

func (p *scriptParams) globals() []modparam.Param {
	return []modparam.Param{{
		Name: "max_while_loops", Value: modparam.Int(&p.maxWhileLoops, 1, 1_000_000),
		Usage: "how often a while can go round; all loops of one run together a thousand times as often",
	}}
}

// eviParams are the parameters of module evi: the Event Interface itself.
type eviParams struct {
	register     []string
	autoRegister bool
}

func (p *eviParams) modparams() []modparam.Param {
	register := func(text string) error {
		for event := range strings.SplitSeq(text, ";") {
			if event = strings.TrimSpace(event); event == "" {
				continue
			}
			if err := evid.CheckEventName(event); err != nil {
				return err
			}
			p.register = append(p.register, event)
		}
		return nil
	}
	return []modparam.Param{
		{
			Name: "register", Value: modparam.Func(modparam.Text, func() string { return strings.Join(p.register, ";") }, register),
			Usage: "events to register, with ; between; can be given more than once",
		},
		{
			Name: "auto_register", Value: modparam.Bool(&p.autoRegister),
			Usage: "raising or subscribing by MI registers an unknown event",
		},
	}
}

// ignoredGlobals are the globals of OpenSIPS that have nothing to act upon here.
func ignoredGlobals() map[string]string {
	const processes = "evid is one process"
	const modules = "the modules of evid are built in"
	return map[string]string{
		"udp_workers": processes, "tcp_workers": processes, "children": processes,
		"timer_workers": processes, "auto_scaling_profile": processes,
		"mpath": modules, "xlog_buf_size": "evid has no limit on lines of the log",
		"log_facility": "evid logs to the facility daemon", "log_name": "evid logs as evid",
		"open_files_limit": "evid raises the limit as far as it may",
	}
}
