package delivery

import "iter"

// A task is a function that can be suspended and resumed: a coroutine. It is an [evid.Task].
type task struct {
	next  func() (suspended func(), more bool)
	yield func(suspended func()) bool
	end   func() // of a task that is suspended: yield returns false
	run   func() // resume and start, made once: they allocate nothing
	again func()
	own   bool // the goroutine that runs it has nothing else to do
}

func newTask(body func(*task)) *task {
	t := &task{}
	t.next, t.end = iter.Pull(func(yield func(func()) bool) {
		t.yield = yield
		body(t)
	})
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
	if suspended, more := t.next(); more {
		suspended()
	}
}

// Suspend implements [evid.Task].
func (t *task) Suspend(suspended func()) { t.yield(suspended) }

// Own implements [evid.Task].
func (t *task) Own() {
	if !t.own {
		t.yield(t.again)
	}
}
