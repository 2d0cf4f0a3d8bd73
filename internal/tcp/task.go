package tcp

// A Task is who makes a call. While it waits for a connection it is suspended, and its
// goroutine is free for others.
type Task interface {
	// Suspend suspends the task, then calls suspended, and returns when it is resumed,
	// which can be before suspended returns.
	Suspend(suspended func())
	// Resume goes on with the task on the goroutine of the caller, who has to wait until
	// it is suspended again or ends.
	Resume()
	// Own goes on with the task on a goroutine of its own, if that of another runs it.
	// The task calls it before what may block.
	Own()
}

// A waiter is a task that just blocks its goroutine: that of who calls.
type waiter chan struct{}

func newWaiter() waiter { return make(waiter, 1) }

func (w waiter) Suspend(suspended func()) {
	suspended()
	<-w
}

func (w waiter) Resume() { w <- struct{}{} }

func (w waiter) Own() {}
