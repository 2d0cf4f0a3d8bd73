package main

// grammar is the command line. Each command is in the file of its name, or in
// client.go, those about dead letters in letters.go, those about the script in
// routes.go, "queue verify" in verify.go.
type grammar struct {
	Run         runCmd         `cmd:"" help:"Run the daemon."`
	Check       checkCmd       `cmd:"" help:"Check a configuration file."`
	Demo        demoCmd        `cmd:"" help:"Show a daemon, a subscriber and two events at work."`
	Events      eventsCmd      `cmd:"" help:"List the registered events."`
	Subscribers subscribersCmd `cmd:"" help:"List who is subscribed."`
	Subscribe   subscribeCmd   `cmd:"" help:"Subscribe a socket to an event."`
	Unsubscribe unsubscribeCmd `cmd:"" help:"End a subscription; what waits for it is discarded."`
	Register    registerCmd    `cmd:"" help:"Make event names known."`
	Raise       raiseCmd       `cmd:"" help:"Raise an event."`
	DeadLetters deadLettersCmd `cmd:"" help:"List the events that were given up for a subscriber."`
	Replay      replayCmd      `cmd:"" help:"Deliver dead letters again."`
	Purge       purgeCmd       `cmd:"" help:"Throw dead letters away."`
	Queue       queueCmd       `cmd:"" help:"Say how the queue is doing; verify one."`
	RunRoute    runRouteCmd    `cmd:"" help:"Run a route of the script."`
	Reload      reloadCmd      `cmd:"" help:"Let the routes of the configuration as it is now take the place of those that run."`
	MI          miCmd          `cmd:"" name:"mi" help:"Carry out any command of the management interface (MI)."`
	Receive     receiveCmd     `cmd:"" help:"Be a subscriber: an XML-RPC server that prints each call."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

const description = `evid is an event notifier for SIP platforms: what raises an event does not wait,
and every XML-RPC server that subscribed to it has its method called.

Commands that talk to a daemon find it by --mi, else by $EVID_MI, else at
http://127.0.0.1:8888/mi. Flags may stand before the command or after it.

Exit codes:
  0  done
  1  the daemon refused, or something failed
  2  the command line is wrong
  3  the daemon cannot be reached
  4  nobody is subscribed to the event that was raised`
