// Package daemon is the whole of evid in one value: it reads a configuration,
// builds the parts that it asks for, and runs them.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/delivery"
	"github.com/evid/evid/mi"
	"github.com/evid/evid/mi/httpd"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/source/core"
	"github.com/evid/evid/transport/route"
)

// Options say what to run.
type Options struct {
	ConfigFile string    // empty: Config
	Config     string    // the text of a configuration; empty: the built-in one
	Version    string    // of evid
	Revision   string    // of its source; empty: unknown
	Memory     uint64    // bytes that the process should do with; 0: as it needs
	Stderr     io.Writer // for the log; nil: standard error
}

// A Daemon is a running evid. [New] makes one.
type Daemon struct {
	log        *slog.Logger
	logEnd     logWriters
	events     *evid.Interface
	queue      *queue.Queue
	store      *jetstream.Store // nil: the queue is in memory only
	sync       string           // when it goes to the disk; empty: in memory only, or an external server knows
	dormant    map[dormantKey]string
	engine     *delivery.Engine
	transports []transportSet
	parts      []moduleParts // of the modules that are loaded
	http       *httpd.Server // nil: module mi_http is not loaded
	stats      mi.Statistics
	core       *core.Source // of events about evid itself
	sources    sources

	routes    *routes
	opts      Options         // to read the configuration again
	compiling program.Options // to compile its routes again
}

// New reads the configuration and builds what it asks for. The queue is opened, with
// what it has kept on disk; else nothing runs yet. What is wrong with the configuration
// is a [*ConfigError].
func New(opts Options) (*Daemon, error) {
	c, err := readConfig(opts)
	if err != nil {
		return nil, err
	}
	if opts.Stderr == nil {
		opts.Stderr = os.Stderr
	}
	level := new(logLevel)
	log, logEnd := slog.New(slog.DiscardHandler), logWriters(nil)
	if len(c.wrong) == 0 {
		if log, logEnd, err = newLogger(c.settings.log, opts.Stderr, level); err != nil {
			return nil, err
		}
	}
	if opts.Memory > 0 {
		debug.SetMemoryLimit(int64(opts.Memory))
	}
	d, err := build(c, opts, log, level)
	if err != nil {
		logEnd.close()
		return nil, err
	}
	d.logEnd = logEnd
	if opts.Memory == 0 && c.settings.core.PkgThreshold+c.settings.core.ShmThreshold > 0 {
		d.log.Warn("event_shm_threshold and event_pkg_threshold have no effect: expected evid run -m MB")
	}
	for _, w := range c.warnings {
		d.log.Warn(w.Msg, "at", w.Pos)
	}
	return d, nil
}

// build puts the parts together, in the order in which an event passes them. Before
// anything is opened it says what is wrong with the configuration.
func build(c *config, opts Options, log *slog.Logger, level *logLevel) (*Daemon, error) {
	s := c.settings
	d := &Daemon{opts: opts}
	s.core.Memory = opts.Memory
	d.core = core.New(s.core, d.raise)
	log = slog.New(d.core.LogHandler(log.Handler()))
	d.log, d.routes = log, newRoutes(log, d.core)
	schemes := d.buildTransports(c)
	library, err := d.library(c, schemes)
	if err != nil {
		return nil, cmp.Or(c.err(), err)
	}
	d.compiling = program.Options{
		Library: library, Loaded: slices.Sorted(maps.Keys(s.loaded)), Log: log, MaxWhileLoops: s.script.maxWhileLoops,
		AnyCalled: s.loaded["mi_http"], // by run_route
	}
	if d.sources.checkRoute != "" {
		d.compiling.Called = []string{d.sources.checkRoute}
	}
	d.routes.current.Store(c.compile(d.compiling))
	d.checkRoutes(c, d.routes.current.Load())
	if len(c.wrong) == 0 {
		d.buildSources(c)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	d.engine = delivery.New(delivery.Options{
		Log: d.log, Raise: d.raise,
		Took: func(socket evid.Socket, long time.Duration) {
			if d.core.Slow(long) {
				d.core.Took("delivery", long, socket.String())
			}
		},
	})
	if err := d.openQueue(s); err != nil {
		return nil, err
	}
	schemes = append(schemes, route.New(d.routes))
	d.events = evid.New(evid.Options{Keeper: d.queue, Transports: schemes, AutoRegister: s.evi.autoRegister})
	for _, event := range slices.Concat(s.evi.register, delivery.Events(), core.Names(), d.moduleEvents(), d.routes.current.Load().Registers()) {
		if err := d.events.Register(event); err != nil {
			return nil, errors.Join(err, d.closeQueue())
		}
	}
	err = d.buildMI(c, mi.Info{
		Version:  opts.Version,
		Revision: opts.Revision,
		Started:  time.Now(),
		Args:     os.Args,
		LogLevel: level,
	})
	if err != nil {
		return nil, errors.Join(err, d.closeQueue())
	}
	return d, nil
}

// raise raises an event. Who raises them is built before the Event Interface is.
func (d *Daemon) raise(ctx context.Context, event string, params ...evid.Param) (evid.ID, error) {
	return d.events.Raise(ctx, event, params...)
}

// buildTransports builds the transports of the modules. If the configuration is wrong,
// some may be missing.
func (d *Daemon) buildTransports(c *config) []evid.Transport {
	var schemes []evid.Transport
	for _, m := range c.settings.modules {
		if m.transports == nil || !c.settings.loaded[m.name] {
			continue
		}
		t, err := m.transports()
		if err != nil {
			c.blame(m.name, err)
			continue
		}
		schemes = append(schemes, t.Schemes()...)
		d.transports = append(d.transports, t)
	}
	return schemes
}

// openQueue opens the queue, with what it has kept on disk.
func (d *Daemon) openQueue(s *settings) error {
	if s.queue.Mode == queue.Memory {
		d.queue = queue.New(s.queue, d.engine)
		return nil
	}
	store, err := jetstream.Open(s.store, d.log)
	if err != nil {
		return err
	}
	if d.queue, err = queue.Open(s.queue, d.engine, store, d.log); err != nil {
		return errors.Join(fmt.Errorf("open queue: %w", err), store.Close())
	}
	d.store = store
	if s.store.URL == "" {
		d.sync = s.store.Sync
	}
	return nil
}

// closeQueue saves what is to be saved. Nothing is raised or delivered any more.
func (d *Daemon) closeQueue() error {
	err := d.queue.Close()
	if d.store == nil {
		return err
	}
	return errors.Join(err, d.store.Close())
}

// buildMI builds the commands and what carries them.
func (d *Daemon) buildMI(c *config, info mi.Info) error {
	d.stats.AddProcess(info.Started)
	d.stats.Add("evi", d.statistics)
	d.stats.Add("queue", d.queueStatistics)
	d.sourceStatistics()
	var commands []mi.Command
	for _, parts := range d.parts {
		if parts.statistics != nil {
			parts.statistics(&d.stats)
		}
		commands = append(commands, parts.commands...)
	}
	if !c.settings.loaded["mi_http"] {
		return nil
	}
	table, err := mi.NewTable(slices.Concat(mi.EventCommands(d.events, d.queue), mi.DeadLetterCommands(d.events, d.queue),
		mi.QueueCommands(d), mi.RouteCommands(d), mi.CoreCommands(info), d.stats.Commands(), commands)...)
	if err != nil {
		return err
	}
	if d.http, err = httpd.New(c.settings.httpd, table, d.log); err != nil {
		c.blame("httpd", err)
	}
	return c.err()
}

// ownGroups are the groups of statistics that evid has without a module.
func ownGroups() []string { return []string{"core", "shmem", "evi", "queue"} }

// statistics is the group evi. Accepted counts an event once for each subscriber;
// it is the sum of delivered, dead, dropped, abandoned and waiting.
func (d *Daemon) statistics() []mi.Statistic {
	total := d.queue.Totals()
	letters := d.queue.DeadLetterCounts()
	var replaced uint64
	for _, t := range d.transports {
		replaced += t.Replaced()
	}
	return []mi.Statistic{
		{Name: "raised", Value: d.events.Raised(), Incremental: true},
		{Name: "accepted", Value: total.Accepted, Incremental: true},
		{Name: "delivered", Value: total.Delivered, Incremental: true},
		{Name: "unconfirmed", Value: total.Unconfirmed, Incremental: true},
		{Name: "odd_replies", Value: total.Odd, Incremental: true},
		{Name: "retried", Value: total.Retried, Incremental: true},
		{Name: "dead", Value: total.Dead, Incremental: true},
		{Name: "dropped", Value: total.Dropped, Incremental: true},
		{Name: "abandoned", Value: total.Abandoned, Incremental: true},
		{Name: "replaced", Value: replaced, Incremental: true},
		{Name: "replayed", Value: letters.Replayed, Incremental: true},
		{Name: "purged", Value: letters.Purged, Incremental: true},
		{Name: "waiting", Value: total.Waiting},
		{Name: "dead_letters", Value: letters.Kept},
		{Name: "subscribers", Value: uint64(d.events.SubscriberCount())},
	}
}

// maxDormant is how many subscriptions that were not restored are logged, each.
const maxDormant = 10

// restore brings back the subscriptions that the queue has kept. What cannot be
// restored does not stop the start: a line in the configuration may bring it back.
func (d *Daemon) restore() {
	restored, failed := d.events.Restore()
	d.noteDormant(failed)
	failed = slices.DeleteFunc(failed, func(f *evid.RestoreError) bool { return f.Script && f.Expires.IsZero() }) // see startRoutes
	for _, f := range failed[:min(maxDormant, len(failed))] {
		d.log.Warn("subscription not restored: what waits for it is kept", "event", f.Event, "socket", f.Socket, "err", f.Err)
	}
	if more := len(failed) - maxDormant; more > 0 {
		d.log.Warn("more subscriptions not restored", "subscriptions", more)
	}
	if restored > 0 {
		d.notice("subscriptions restored", "subscriptions", restored)
	}
}

// Start restores the subscriptions that were kept, runs the startup route of the script,
// and begins to listen and to run by timer. After an error the daemon is at its end. Ctx
// ends a startup route that takes too long.
func (d *Daemon) Start(ctx context.Context) error {
	d.core.Start()
	d.restore()
	d.startRoutes(ctx)
	if err := d.startReceiving(); err != nil {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		return errors.Join(err, d.Stop(ended))
	}
	d.routes.startTimers()
	return nil
}

// startReceiving begins to take requests.
func (d *Daemon) startReceiving() error {
	if d.http != nil {
		if err := d.http.Start(); err != nil {
			return err
		}
		d.notice("MI over HTTP is ready", "url", d.MIURL())
	}
	return d.startSources()
}

// MIURL is where MI is reached over HTTP, after [Daemon.Start]; empty: nowhere.
func (d *Daemon) MIURL() string {
	if d.http == nil {
		return ""
	}
	return d.http.URL()
}

// Events is the Event Interface, for events that this program itself raises.
func (d *Daemon) Events() *evid.Interface { return d.events }

// DrainTime is how long it is worth to wait in [Daemon.Stop] for what is not delivered:
// what is on disk can wait there.
func (d *Daemon) DrainTime() time.Duration {
	if d.store == nil {
		return 10 * time.Second
	}
	return 2 * time.Second
}

// Stop takes no more events, waits until those that were taken are attempted,
// at most until ctx is done, and stops. What is on disk stays there. What is in memory
// only is lost: its error says what was not delivered, and for each subscriber the log
// does. It is called once, after a [Daemon.Start] that was no error.
func (d *Daemon) Stop(ctx context.Context) error {
	errSources := d.stopSources(ctx)
	d.routes.stop()
	d.core.Close()
	d.events.Close()
	d.queue.Refuse()
	var errMI error
	var stopping sync.WaitGroup
	if d.http != nil {
		stopping.Go(func() { errMI = d.http.Stop(ctx) }) // beside draining: a command may wait for an attempt
	}
	if err := d.engine.Drain(ctx); err != nil {
		d.log.Debug("stop without having delivered everything", "err", err)
	}
	d.engine.Close()
	err := d.closeQueue()
	stopping.Wait()
	err = errors.Join(errSources, errMI, err, d.reportLost())
	d.notice("stopped")
	d.logEnd.close()
	return err
}

// reportLost logs the events that nobody will deliver any more.
func (d *Daemon) reportLost() error {
	if d.store != nil {
		if waiting := d.queue.Totals().Waiting; waiting > 0 {
			d.notice("events wait on disk for the next start", "waiting", waiting)
		}
		return nil
	}
	var lost uint64
	for _, s := range d.queue.Subscribers() {
		if s.Counts.Waiting > 0 {
			lost += s.Counts.Waiting
			d.log.Error("events lost: they were in memory only", "event", s.Event, "socket", s.Socket,
				"lost", s.Counts.Waiting, "dropped_before", s.Counts.Dropped)
		}
	}
	if lost > 0 {
		return fmt.Errorf("stop: events lost, not delivered in time: %d", lost)
	}
	return nil
}
