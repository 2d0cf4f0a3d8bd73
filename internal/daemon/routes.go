package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/mi"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
	"github.com/evid/evid/source/core"
)

// routes are the routes of the script, which can be loaded anew while they run.
type routes struct {
	log     *slog.Logger
	core    *core.Source // is told what took too long
	current atomic.Pointer[program.Program]

	// loading is held while another program takes the place of current. An event of one of
	// its routes that is new waits for that.
	loading sync.Mutex
	coming  atomic.Pointer[program.Program] // nil: none is being loaded

	ctx    context.Context // of all that runs
	cancel context.CancelFunc

	timing  sync.Mutex // guards ticking, and that no timer begins once ctx is done
	ticking map[timer]context.CancelFunc
	timers  sync.WaitGroup
}

func newRoutes(log *slog.Logger, events *core.Source) *routes {
	r := &routes{log: log, core: events, ticking: make(map[timer]context.CancelFunc)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// HasEvent implements [route.Runner].
func (r *routes) HasEvent(name string) bool {
	if coming := r.coming.Load(); coming != nil && coming.HasEvent(name) {
		return true
	}
	return r.current.Load().HasEvent(name)
}

// RunEvent implements [route.Runner].
func (r *routes) RunEvent(ctx context.Context, name string, e *evid.Event) error {
	p := r.current.Load()
	if !p.HasEvent(name) {
		r.loading.Lock() // it may be coming
		p = r.current.Load()
		r.loading.Unlock()
	}
	return p.RunEvent(ctx, name, e)
}

// A timer is what ticks for the timer routes of one name and interval.
type timer struct {
	name  string
	every time.Duration
}

// startTimers lets the timer routes of the current program run, each for the first time
// after its interval. Those that the program before had, too, go on ticking; those that it
// alone had end, but for a run that is under way.
func (r *routes) startTimers() {
	r.timing.Lock()
	defer r.timing.Unlock()
	if r.ctx.Err() != nil {
		return
	}
	wanted := make(map[timer]bool)
	for _, t := range r.current.Load().Timers() {
		wanted[timer{t.Name, t.Every}] = true
	}
	for t, end := range r.ticking {
		if !wanted[t] {
			end()
			delete(r.ticking, t)
		}
	}
	for t := range wanted {
		if r.ticking[t] == nil {
			var ticking context.Context
			ticking, r.ticking[t] = context.WithCancel(r.ctx)
			r.timers.Go(func() { r.tick(ticking, t) })
		}
	}
}

// tick runs the timer routes of one name and interval again and again. A run that takes
// longer than the interval costs those that would begin meanwhile.
func (r *routes) tick(ticking context.Context, t timer) {
	ticker := time.NewTicker(t.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticking.Done():
			return
		case <-ticker.C:
		}
		p := r.current.Load()
		for _, route := range p.Timers() {
			if (timer{route.Name, route.Every}) == t {
				r.runTimer(p, route)
			}
		}
	}
}

func (r *routes) runTimer(p *program.Program, t program.Timer) {
	began := time.Now()
	if err := p.RunTimer(r.ctx, t); err != nil && r.ctx.Err() == nil {
		r.log.Error("timer route failed", "route", t.Name, "err", err)
	}
	r.core.Took("timer_route", time.Since(began), t.Name)
}

// stop ends what runs by timer.
func (r *routes) stop() {
	r.timing.Lock()
	r.cancel()
	r.timing.Unlock()
	r.timers.Wait()
}

// RunRoute implements [mi.Routes].
func (d *Daemon) RunRoute(ctx context.Context, name string, args []string) (int64, error) {
	p := d.routes.current.Load()
	if !p.HasRoute(name) {
		return 0, &mi.Error{Code: 404, Message: "Route not found", Data: fmt.Sprintf("the script has no route[%s]", name)}
	}
	values := make([]value.Value, len(args))
	for i, arg := range args {
		values[i] = value.String(arg)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.routes.ctx, cancel)()
	result, err := p.RunRoute(ctx, name, values)
	if err != nil {
		d.log.Error("route failed", "route", name, "err", err)
		return 0, &mi.Error{Code: 500, Message: "Route failed", Data: err.Error()}
	}
	return result, nil
}

// startRoutes subscribes the event routes, runs the startup route, and ends what an earlier
// script has subscribed and this one has not.
func (d *Daemon) startRoutes(ctx context.Context) {
	p := d.routes.current.Load()
	for _, er := range p.EventRoutes() {
		if err := d.events.SubscribeFromScript(er.Event, routeSocket(er), evid.Never); err != nil {
			d.log.Error("event route is not subscribed", "event", er.Event, "err", err)
		}
	}
	if err := p.RunStartup(ctx); err != nil {
		d.log.Error("startup route failed: what an earlier script has subscribed stays", "err", err)
		return
	}
	ended, err := d.events.EndOldScript()
	for _, old := range ended {
		d.notice("subscription ended: the script does not have it any more", "event", old.Event, "socket", old.Socket)
	}
	if err != nil {
		d.log.Error("subscriptions of an earlier script", "err", err)
	}
}

// routeSocket is the socket of an event route.
func routeSocket(er program.EventRoute) string {
	if er.Sync {
		return "route:" + er.Event + ";sync_mode=1"
	}
	return "route:" + er.Event
}

// ReloadRoutes implements [mi.Routes]: it reads the configuration again and lets its routes
// take the place of those that run now. Of the rest nothing changes, and the startup route
// is not run. After an error all is as before.
func (d *Daemon) ReloadRoutes(context.Context) error {
	d.routes.loading.Lock()
	defer d.routes.loading.Unlock()
	err := d.reloadLocked()
	if err == nil {
		d.notice("routes are loaded anew")
		return nil
	}
	data := err.Error()
	d.log.Error("routes are not loaded anew", "err", err)
	return &mi.Error{Code: 500, Message: "Reload failed", Data: data}
}

func (d *Daemon) reloadLocked() error {
	if d.routes.ctx.Err() != nil {
		return evid.ErrClosed
	}
	c, err := readConfig(d.opts)
	if err != nil {
		return err
	}
	for name := range c.settings.loaded {
		if !slices.Contains(d.compiling.Loaded, name) {
			return fmt.Errorf("module %s: modules are loaded at the start only: start evid again", name)
		}
	}
	to := c.compile(d.compiling)
	d.checkRoutes(c, to)
	if err := c.err(); err != nil {
		return err
	}
	for _, w := range c.warnings {
		d.log.Warn(w.Msg, "at", w.Pos)
	}
	for _, event := range to.Registers() {
		if err := d.events.Register(event); err != nil {
			return err
		}
	}
	d.routes.coming.Store(to)
	defer d.routes.coming.Store(nil)
	from := d.routes.current.Load()
	if err := d.subscribeRoutes(from.EventRoutes(), to.EventRoutes()); err != nil {
		return err
	}
	d.routes.current.Store(to)
	d.routes.startTimers()
	for _, er := range missingIn(to, from.EventRoutes()) {
		err := d.events.Unsubscribe(er.Event, routeSocket(er))
		if _, ended := errors.AsType[*evid.SocketError](err); err != nil && !ended { // it may have ended before
			d.log.Error("event route is gone", "event", er.Event, "err", err)
		}
	}
	return nil
}

// subscribeRoutes subscribes the event routes that were not there, have changed, or were
// subscribed otherwise or unsubscribed since. After an error none of the first two is.
func (d *Daemon) subscribeRoutes(from, to []program.EventRoute) error {
	for i, er := range to {
		if slices.Contains(from, er) && d.isSubscribed(er) {
			continue
		}
		err := d.events.SubscribeFromScript(er.Event, routeSocket(er), evid.Never)
		if err == nil {
			continue
		}
		for _, done := range to[:i] {
			err = errors.Join(err, d.unsubscribeRoute(from, done))
		}
		return err
	}
	return nil
}

// isSubscribed reports whether an event route is subscribed as the script has it.
func (d *Daemon) isSubscribed(er program.EventRoute) bool {
	return slices.ContainsFunc(d.events.Subscribers(er.Event), func(s evid.Subscriber) bool {
		return s.Script && s.Expire == evid.Never && s.Socket.String() == routeSocket(er)
	})
}

// unsubscribeRoute brings an event route back to what it was.
func (d *Daemon) unsubscribeRoute(from []program.EventRoute, er program.EventRoute) error {
	was := slices.IndexFunc(from, func(f program.EventRoute) bool { return f.Event == er.Event })
	switch {
	case was < 0:
		return d.events.Unsubscribe(er.Event, routeSocket(er))
	case from[was] != er:
		return d.events.SubscribeFromScript(er.Event, routeSocket(from[was]), evid.Never)
	default:
		return nil
	}
}

// missingIn are the event routes that a program does not have.
func missingIn(p *program.Program, all []program.EventRoute) []program.EventRoute {
	return slices.DeleteFunc(slices.Clone(all), func(er program.EventRoute) bool { return p.HasEvent(er.Event) })
}
