package delivery

import "iter"

// A task is a function that can be suspended and resumed: a coroutine. It is an [evid.Task].
//
// Go insists that a coroutine is made and resumed either always or never by goroutines that
// are locked to a thread. One that raises may be, as may be one that closes the engine: so they
// do neither.
type task struct {
	body  func()
	next  func() (suspended func(), more bool)
	yield func(suspended func()) bool
	stop  func()
	run   func() // these two are made once: to start and to go on allocates nothing
	again func()
	own   bool // the goroutine that runs it has nothing else to do
}

func newTask(body func()) *task {
	t := &task{body: body}
	t.run, t.again = t.step, t.start
	return t
}

// start begins it, or goes on with it, on a goroutine of its own.
func (t *task) start() {
	t.own = true
	go t.run()
}

// Resume implements [evid.Task].
func (t *task) Resume() {
	t.own = false
	t.step()
}

func (t *task) step() {
	if t.next == nil {
		t.next, t.stop = iter.Pull(func(yield func(func()) bool) {
			t.yield = yield
			t.body()
		})
	}
	if suspended, more := t.next(); more {
		suspended()
	}
}

// end ends a task that is suspended: yield returns false.
func (t *task) end() { t.stop() }

// Suspend implements [evid.Task].
func (t *task) Suspend(suspended func()) { t.yield(suspended) }

// Own implements [evid.Task].
func (t *task) Own() {
	if !t.own {
		t.yield(t.again)
	}
}
